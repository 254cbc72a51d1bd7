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
	text  []byte
	at    []int
	tight bool // white space is left out: the text is JSON, which may be laid out anew
}

// foldOf folds src. The result reuses f's memory.
func (f *folded) foldOf(src []byte) {
	f.text, f.at = f.text[:0], f.at[:0]
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		if !f.tight || !isBlank(r) {
			f.text = appendFoldedRune(f.text, r, src[i:i+n])
		}
		i += n
		if k := len(f.at); k > 0 && k == len(f.text) && !f.tight {
			// A run of white space ends where its last rune ends.
			f.at[k-1] = i
		}
		for len(f.at) < len(f.text) {
			f.at = append(f.at, i)
		}
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

// appendFolded appends src, folded; tight leaves white space out.
func appendFolded(dst, src []byte, tight bool) []byte {
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		if !tight || !isBlank(r) {
			dst = appendFoldedRune(dst, r, src[i:i+n])
		}
		i += n
	}
	return dst
}

// appendFoldedRune appends r, whose bytes are src, to a folded text.
func appendFoldedRune(dst []byte, r rune, src []byte) []byte {
	switch {
	case isBlank(r):
		if k := len(dst); k > 0 && dst[k-1] == ' ' {
			return dst
		}
		return append(dst, ' ')
	case r >= utf8.RuneSelf || r == '`':
		if plain, ok := plainForms[r]; ok {
			return append(dst, plain...)
		}
	}
	return append(dst, src...)
}

// plainForms are the ASCII forms of characters that models exchange freely.
var plainForms = map[rune]string{
	'“': `"`, '”': `"`, '„': `"`, '‟': `"`, '«': `"`, '»': `"`, '″': `"`,
	'‘': "'", '’': "'", '‚': "'", '‛': "'", '′': "'", '´': "'", '`': "'",
	'‐': "-", '‑': "-", '‒': "-", '–': "-", '—': "-", '―': "-", '−': "-",
	'…': "...",
}

// isBlank tells whether r is white space or takes no room at all.
func isBlank(r rune) bool {
	return unicode.IsSpace(r) || r == 0x200b || r == 0xfeff
}

// trailingBlank returns the white space that text ends in.
func trailingBlank(text []byte) []byte {
	i := len(text)
	for i > 0 {
		r, n := utf8.DecodeLastRune(text[:i])
		if !isBlank(r) {
			break
		}
		i -= n
	}
	return text[i:]
}

// skipBlank goes through white space that begins text and repeats blank, the
// white space that was delivered last. n is how much of text repeats it and
// left what is still to come; done tells that what follows in text is new. A
// line break is new when none is left to come; other white space that differs
// is a repeat in other words.
func skipBlank(text, blank []byte) (n int, left []byte, done bool) {
	for len(blank) > 0 {
		if n == len(text) {
			return n, blank, false
		}
		r, size := utf8.DecodeRune(text[n:])
		want, wantSize := utf8.DecodeRune(blank)
		switch {
		case !isBlank(r):
			return n, nil, true
		case r == want:
			blank = blank[wantSize:]
		case r == '\n':
			rest, ok := afterLineBreak(blank)
			if !ok {
				return n, nil, true
			}
			blank = rest
		}
		n += size
	}
	return n, nil, true
}

func afterLineBreak(blank []byte) (rest []byte, ok bool) {
	for i, c := range blank {
		if c == '\n' {
			return blank[i+1:], true
		}
	}
	return nil, false
}
