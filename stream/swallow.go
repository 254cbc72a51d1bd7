package stream

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// swallower compares text that was delivered already with text that comes
// again, piece by piece, and finds where the new begins. White space, quotes
// and dashes may differ, as in folded.
type swallower struct {
	want  []byte // what is expected, folded, without white space at its end
	at    int    // bytes of want that have come
	space bool   // the last rune was white space
	tail  []byte // the white space that the expected text ends in
}

// begin expects text, which is kept until the end.
func (s *swallower) begin(text []byte, f *folded) {
	f.foldOf(text)
	s.want = append(s.want[:0], bytes.TrimRight(f.text, " ")...)
	s.at, s.space = 0, false
	s.tail = trailingSpace(text)
}

// take takes the next piece. drop is how much of it repeats; done tells that
// the rest is new, same that nothing differed. Before done all of a piece is
// to be dropped.
func (s *swallower) take(piece []byte) (drop int, done, same bool) {
	i := 0
	for i < len(piece) && s.at < len(s.want) {
		r, n := utf8.DecodeRune(piece[i:])
		if !s.rune(r, piece[i:i+n]) {
			return 0, false, false
		}
		i += n
	}
	if s.at < len(s.want) {
		return len(piece), false, true
	}
	for i < len(piece) && len(s.tail) > 0 {
		r, n := utf8.DecodeRune(piece[i:])
		if !unicode.IsSpace(r) {
			s.tail = nil
			break
		}
		if bytes.HasPrefix(s.tail, piece[i:i+n]) {
			s.tail = s.tail[n:]
		}
		i += n
	}
	return i, len(s.tail) == 0, true
}

// rune compares one rune; src is its bytes.
func (s *swallower) rune(r rune, src []byte) bool {
	if unicode.IsSpace(r) || r == 0x200b || r == 0xfeff {
		if !s.space && s.want[s.at] == ' ' {
			s.at++
			s.space = true
			return true
		}
		return s.space
	}
	s.space = false
	if plain, ok := plainForms[r]; ok {
		src = []byte(plain)
	}
	if !bytes.HasPrefix(s.want[s.at:], src) {
		return false
	}
	s.at += len(src)
	return true
}

// rawOffset returns the offset in raw, the inside of a JSON string, at which
// the text that raw stands for has n bytes. n is a boundary of runes.
func rawOffset(raw []byte, n int) int {
	i := 0
	for n > 0 && i < len(raw) {
		if raw[i] == '\\' {
			r, size := unescape(raw[i:])
			n -= utf8.RuneLen(r)
			i += size
			continue
		}
		r, size := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && size == 1 {
			n -= len("\uFFFD")
		} else {
			n -= size
		}
		i += size
	}
	return i
}
