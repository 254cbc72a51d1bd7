package stream

import (
	"unicode"
	"unicode/utf8"
)

// folded is a text with the differences taken out that a model makes when it
// repeats words: runs of white space are one space, typographic quotes,
// dashes and ellipses are their ASCII forms. at maps back: at[i] is the
// offset in the original after the rune that byte i of text stands for.
type folded struct {
	text []byte
	at   []int
}

// foldOf folds src. The result reuses f's memory.
func (f *folded) foldOf(src []byte) {
	f.text, f.at = f.text[:0], f.at[:0]
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		i += n
		if unicode.IsSpace(r) || r == 0x200b || r == 0xfeff {
			// A run of white space ends where its last rune ends.
			if k := len(f.text); k > 0 && f.text[k-1] == ' ' {
				f.at[k-1] = i
				continue
			}
			f.add(" ", i)
			continue
		}
		if plain, ok := plainForms[r]; ok {
			f.add(plain, i)
			continue
		}
		f.add(string(src[i-n:i]), i)
	}
}

func (f *folded) add(s string, end int) {
	f.text = append(f.text, s...)
	for range len(s) {
		f.at = append(f.at, end)
	}
}

// end returns the offset in the original after the first n bytes of the
// folded text.
func (f *folded) end(n int) int {
	if n == 0 {
		return 0
	}
	return f.at[n-1]
}

// plainForms are the ASCII forms of characters that models exchange freely.
var plainForms = map[rune]string{
	'“': `"`, '”': `"`, '„': `"`, '‟': `"`, '«': `"`, '»': `"`, '″': `"`,
	'‘': "'", '’': "'", '‚': "'", '‛': "'", '′': "'", '´': "'", '`': "'",
	'‐': "-", '‑': "-", '‒': "-", '–': "-", '—': "-", '―': "-", '−': "-",
	'…': "...",
}

// trailingSpace returns the white space that text ends in.
func trailingSpace(text []byte) []byte {
	i := len(text)
	for i > 0 {
		r, n := utf8.DecodeLastRune(text[:i])
		if !unicode.IsSpace(r) {
			break
		}
		i -= n
	}
	return text[i:]
}

// leadingSpace returns the white space that text begins with.
func leadingSpace(text []byte) []byte {
	i := 0
	for i < len(text) {
		r, n := utf8.DecodeRune(text[i:])
		if !unicode.IsSpace(r) {
			break
		}
		i += n
	}
	return text[:i]
}
