package stream

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// overlap returns the length of the longest end of the delivered text that
// text begins with, 0 when none is long enough or when the text repeats
// itself, so that going on looks the same as repeating.
func (m *matcher) overlap(text []byte) int {
	n := m.sameEnd(text)
	if n <= m.repeats.length || m.isRow(n) || m.isSecond(n) {
		return 0
	}
	return n
}

// sameEnd returns the length of the longest end of the delivered text that text
// begins with, 0 when it is none of overlapLeast runes.
func (m *matcher) sameEnd(text []byte) int {
	n := min(len(m.delivered), len(text))
	for n > 0 && !bytes.HasSuffix(m.delivered, text[:n]) {
		n--
	}
	if utf8.RuneCount(text[:n]) < overlapLeast {
		return 0
	}
	return n
}

// overlapBehind is overlap behind what a model said first: sentences, the last of
// which announces the answer, and the words that are repeated stand there once,
// unless the first sentence cannot be a part of the answer.
func (m *matcher) overlapBehind(text []byte) int {
	stranger := m.cannotGoOn(text)
	said, _ := firstRunes(text, preambleAtMost)
	for i := 0; ; {
		n := sentence(text[i:])
		if n == 0 || i+n > len(said) || !beginsRemark(text[i:i+n]) {
			return 0
		}
		if i += n; !stranger && !m.isAnnounced(text[:i]) {
			continue
		}
		// The white space in front may be a part of what is repeated.
		for _, from := range []int{i - 1, i} {
			n := m.sameEnd(text[from:])
			if !stranger && (m.overlap(text[from:]) == 0 || bytes.Index(m.delivered, text[from:from+n]) < len(m.delivered)-n) {
				continue
			}
			if n > 0 && !(m.document && m.goesOnWith(text[:from])) {
				return from + n
			}
		}
	}
}

// sentence returns the length of the sentence that text begins with, and of the
// white space behind it; 0 when there is none. A colon ends one at the end of a
// line only, and so does a rule.
func sentence(text []byte) int {
	for i, c := range text {
		if c != ' ' && c != '\n' {
			continue
		}
		last, _ := utf8.DecodeLastRune(text[:i])
		if bytes.ContainsRune([]byte(".!?…。！"), last) || c == '\n' && bytes.ContainsRune([]byte(":：-"), last) {
			return len(text) - len(bytes.TrimLeft(text[i:], " \n"))
		}
		if c == '\n' {
			return 0
		}
	}
	return 0
}

// isRow tells whether the last n bytes delivered are whole lines that stand
// elsewhere too: the next line may well be the same.
func (m *matcher) isRow(n int) bool {
	from := len(m.delivered) - n
	last := m.delivered[from:]
	begins := from == 0 || m.delivered[from-1] == '\n' || last[0] == '\n'
	ends := last[n-1] == '\n' || last[0] == '\n'
	return begins && ends && bytes.Index(m.delivered, bytes.Trim(last, "\r\n")) < from
}

// secondLeast is how many runes make a second time, where the text has no more
// before it.
const secondLeast = 4

// isSecond tells whether the words before the last n bytes delivered are those
// that the delivered text ends in: what follows is then rather a passage that
// is written for the second time.
func (m *matcher) isSecond(n int) bool {
	if n >= len(m.delivered) {
		return false
	}
	before := m.delivered[:len(m.delivered)-n]
	context := before[len(before)-runesBack(before, overlapLeast):]
	return utf8.RuneCount(context) >= secondLeast && bytes.HasSuffix(m.delivered, context)
}

// restartsWithin tells that all of text stands somewhere in what was
// delivered, once: the model began again farther back than is held here. What
// follows is compared on the way, see swallower.
func (m *matcher) restartsWithin(text []byte) bool {
	i, once := m.standsOnce(text)
	if !once || utf8.RuneCount(text) < restartLeast {
		return false
	}
	m.from = i
	return true
}

// mayRestartWithin tells that with more of it text may be what restartsWithin looks
// for.
func (m *matcher) mayRestartWithin(text []byte) bool {
	_, once := m.standsOnce(text)
	return once && !m.full && utf8.RuneCount(text) >= overlapLeast
}

// standsOnce tells whether all of text stands in what was delivered, and where, and
// so that it is no part of what that repeats anyway.
func (m *matcher) standsOnce(text []byte) (at int, once bool) {
	i := bytes.Index(m.delivered, text)
	if i < 0 || bytes.LastIndex(m.delivered, text) != i || m.repeats.goesOn(m.delivered, text) || m.isSecond(len(m.delivered)-i) {
		return 0, false
	}
	return i, true
}

// directDrop returns how much of a text that repeats nothing is dropped all
// the same: a code fence that is open already, or a space that would double one
// between words.
func (m *matcher) directDrop(text []byte) int {
	if n := m.reopened(text); n > 0 {
		return n
	}
	d := m.delivered
	if len(d) < 2 || len(text) < 2 || d[len(d)-1] != ' ' || text[0] != ' ' || m.repeats.length > 0 {
		return 0
	}
	before, _ := utf8.DecodeLastRune(d[:len(d)-1])
	after, _ := utf8.DecodeRune(text[1:])
	if (unicode.IsLetter(before) || unicode.IsMark(before) || before == ',') && unicode.IsLetter(after) && !isAligned(d) {
		return 1
	}
	return 0
}

// isAligned tells whether words stand in columns in the end of text, or further
// apart than one space otherwise.
func isAligned(text []byte) bool {
	const enough = 1 << 10
	text = text[max(0, len(text)-enough):]
	for {
		i := bytes.Index(text, []byte("  "))
		if i < 0 {
			return false
		}
		words := bytes.TrimLeft(text[i:], " ")
		if i > 0 && text[i-1] > ' ' && len(words) > 0 && words[0] > ' ' && bytes.IndexByte([]byte(".!?"), text[i-1]) < 0 {
			return true
		}
		text = words
	}
}
