package stream

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// retold is a coarser form of a text than folded: without white space and the
// marks of Markdown, and with letters in lower case and without accents, however
// these are encoded (https://unicode.org/reports/tr15/). A model that repeats
// words from memory changes little else. from and to are the offsets in the
// original at which the rune begins and ends that a byte of text stands for.
type retold struct {
	text     []byte
	from, to []int
}

// of makes r the retold form of src, reusing r's memory.
func (r *retold) of(src []byte) {
	r.text, r.from, r.to = r.text[:0], r.from[:0], r.to[:0]
	for i := 0; i < len(src); {
		c, n := utf8.DecodeRune(src[i:])
		r.text = appendRetoldRune(r.text, c, src[i:i+n])
		for len(r.to) < len(r.text) {
			r.from, r.to = append(r.from, i), append(r.to, i+n)
		}
		i += n
	}
}

// appendRetold appends src, retold.
func appendRetold(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		c, n := utf8.DecodeRune(src[i:])
		dst = appendRetoldRune(dst, c, src[i:i+n])
		i += n
	}
	return dst
}

// appendRetoldRune appends c, whose bytes are src.
func appendRetoldRune(dst []byte, c rune, src []byte) []byte {
	switch {
	case isMarkup(c) || isBlank(c):
		return dst
	case c < utf8.RuneSelf:
		return append(dst, byte(unicode.ToLower(c)))
	}
	if plain, ok := plainForms[c]; ok {
		return append(dst, plain...)
	}
	if c == utf8.RuneError {
		return append(dst, src...)
	}
	var room [64]byte
	for _, part := range string(norm.NFD.Append(room[:0], src...)) {
		if !isAccent(part) {
			dst = utf8.AppendRune(dst, unicode.ToLower(part))
		}
	}
	return dst
}

// isAccent tells whether r combines with the letter before it.
func isAccent(r rune) bool { return unicode.Is(unicode.Mn, r) }

// isMarkup tells whether r is a mark of Markdown that says how words look, or
// keeps one from doing so.
func isMarkup(r rune) bool {
	switch r {
	case '*', '_', '`', '~', '#', '\\':
		return true
	}
	return false
}

// findRetold looks for the anchor in text, in other letters than it was asked for. ok is
// false where there is none, or more text is needed; wait tells which. over says
// that no more will come. Where the anchor stands to the letter, it is looked for
// in front of that only.
func (m *matcher) findRetold(text []byte, over bool) (at span, ok, wait bool) {
	if utf8.RuneCount(m.anchor) < sureAnchor {
		return span{}, false, false
	}
	exact := bytes.Index(m.text.text, m.wantAnchor)
	if exact >= 0 {
		text, over = text[:m.where(text, exact, len(m.wantAnchor)).from], true
	}
	m.again.of(text)
	m.wantRetold = appendRetold(m.wantRetold[:0], m.anchor)
	have, want := m.again.text, m.wantRetold
	if utf8.RuneCount(want) < sureAnchor {
		return span{}, false, false
	}
	i := bytes.Index(have, want)
	switch {
	case i >= 0:
	case m.full || exact >= 0 || len(have) == 0 || !bytes.HasPrefix(want, have):
		return span{}, false, false
	case !over || m.early || utf8.RuneCount(have) >= overlapLeast:
		return span{0, len(text)}, over, !over
	default:
		return span{}, false, false
	}
	if i+len(want) == len(have) && !over && !m.full {
		// What follows may be a part of the anchor yet, or of its line.
		return span{}, false, true
	}
	from, to := m.again.from[i], m.again.to[i+len(want)-1]
	from -= m.marksBefore(text[:from])
	if m.document && len(bytes.TrimFunc(text[:from], isBlank)) > 0 && m.goesOnWith(text[:from]) {
		return span{}, false, false
	}
	end := to + m.endAfter(text[to:])
	return span{from, end}, m.isRetold(text[:from], text[end:]), false
}

// isRetold tells whether the retold anchor, which stands between said and rest, is
// a repeat: it stands once in the answer, and at the beginning of the text, where
// it is announced, or on a line or in a quote behind a remark. What begins with
// white space is no remark, but goes on with the answer.
func (m *matcher) isRetold(said, rest []byte) bool {
	all := appendRetold(make([]byte, 0, len(m.delivered)), m.delivered)
	if bytes.Index(all, m.wantRetold) != len(all)-len(m.wantRetold) {
		return false
	}
	said = bytes.TrimRightFunc(said, isLook)
	bare := len(bytes.TrimSpace(said)) == 0
	switch first, _ := utf8.DecodeRune(said); {
	case m.isTitle(said, bare) && !endsLine(rest):
		return false
	case bare || isMark(said) || m.isAnnounced(said):
		return true
	default:
		return !isBlank(first) && m.isRemark(said) && breaksOff(said)
	}
}

// isTitle tells whether the anchor may be a title, which the text below it takes up
// in a sentence: the answer has a line break behind it, or the text in front of it,
// or it is all of the answer and begins with a mark. bare tells that said has no words.
func (m *matcher) isTitle(said []byte, bare bool) bool {
	first, _ := utf8.DecodeRune(m.anchor)
	return bytes.IndexByte(m.blank, '\n') >= 0 || bare && bytes.IndexByte(said, '\n') >= 0 ||
		len(m.anchor) == len(m.delivered) && isMarkup(first)
}

// endsLine tells whether nothing but white space and marks stand in text before the
// end of the line.
func endsLine(text []byte) bool {
	text = bytes.TrimLeftFunc(text, isLook)
	return len(text) == 0 || text[0] == '\n'
}

// isLook tells whether r is white space within a line, or a mark.
func isLook(r rune) bool { return r != '\n' && (isBlank(r) || isMarkup(r)) }

// marksBefore returns the length of the marks that said, which stands before the
// retold anchor, ends in, where the anchor begins with them.
func (m *matcher) marksBefore(said []byte) int {
	marks := m.anchor[:len(m.anchor)-len(bytes.TrimLeftFunc(m.anchor, isMarkup))]
	if !bytes.HasSuffix(said, marks) {
		return 0
	}
	return len(marks)
}

// endAfter returns how much of text, which follows the retold anchor, repeats
// what the anchor ends in and has no place in its retold form: accents, and such
// as the mark that closes bold words.
func (m *matcher) endAfter(text []byte) (n int) {
	anchor := m.anchor[:len(m.anchor)-len(m.blank)]
	end := bytes.TrimRightFunc(anchor, func(r rune) bool { return isMarkup(r) || isBlank(r) })
	rest := text
	if last, _ := utf8.DecodeLastRune(norm.NFD.Bytes(end[len(end)-runesBack(end, 1):])); isAccent(last) {
		rest = bytes.TrimLeftFunc(rest, isAccent)
	}
	for _, r := range string(anchor[len(end):]) {
		if isBlank(r) {
			rest = bytes.TrimLeftFunc(rest, isBlank)
			continue
		}
		if after, ok := bytes.CutPrefix(bytes.TrimPrefix(rest, []byte{'\\'}), []byte(string(r))); ok {
			rest = after
		}
	}
	return len(text) - len(rest)
}
