package stream

import (
	"bytes"
	"unicode/utf8"
)

// swallower compares text that was delivered already with text that comes
// again, piece by piece, and finds where the new begins. White space, quotes
// and dashes may differ, as in folded.
type swallower struct {
	want  []byte // what is expected, folded, without white space around it
	at    int    // bytes of want that have come
	space bool   // the last rune was white space
	tail  []byte // the white space that the expected text ends in
	tight bool   // white space does not count
}

// begin expects text, which must not change until the end. tight tells that
// white space does not count.
func (s *swallower) begin(text []byte, tight bool) {
	s.tail, s.tight = trailingBlank(text), tight
	s.want = bytes.TrimLeft(appendFolded(s.want[:0], text[:len(text)-len(s.tail)], tight), " ")
	s.at, s.space = 0, true
}

// over tells that all that was expected has come, white space aside.
func (s *swallower) over() bool { return s.at == len(s.want) }

// take takes the next piece. drop is how much of it repeats; done tells that
// the rest is new, same that nothing differed. Before done all of a piece is
// to be dropped.
func (s *swallower) take(piece []byte) (drop int, done, same bool) {
	i := 0
	for i < len(piece) && !s.over() {
		r, n := utf8.DecodeRune(piece[i:])
		if !s.rune(r, piece[i:i+n]) {
			return 0, false, false
		}
		i += n
	}
	if !s.over() {
		return i, false, true
	}
	n, tail, done := skipBlank(piece[i:], s.tail)
	s.tail = tail
	return i + n, done, true
}

// rune compares one rune; src is its bytes.
func (s *swallower) rune(r rune, src []byte) bool {
	if isBlank(r) {
		if s.tight {
			return true
		}
		if !s.space && s.want[s.at] == ' ' {
			s.at++
			s.space = true
		}
		return s.space
	}
	s.space = false
	var room [8]byte
	src = appendFoldedRune(room[:0], r, src)
	if want := s.want[s.at:]; len(src) > len(want) {
		// An ellipsis that was cut among its dots.
		s.at = len(s.want)
		return r == '…' && bytes.HasPrefix(src, want)
	} else if !bytes.HasPrefix(want, src) {
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
		n -= utf8.RuneLen(r)
		i += size
	}
	return i
}

// unfinished returns how many bytes at the end of raw, the inside of a JSON
// string, begin a character whose rest may come in the next one: half a
// surrogate pair, or of UTF-8.
func unfinished(raw []byte) int {
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			break
		}
		r, n := unescape(raw[i:])
		if hi, ok := hex4(raw[i:]); r == utf8.RuneError && ok && i+n == len(raw) && hi >= 0xd800 && hi < 0xdc00 {
			return n
		}
		raw = raw[i+n:]
	}
	for n := 1; n < utf8.UTFMax && n <= len(raw); n++ {
		if last := raw[len(raw)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}
