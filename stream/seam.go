package stream

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// SeamKind says how a continuation joined what was delivered.
type SeamKind uint8

// The kinds of seams.
const (
	// SeamNone: the attempt ended before it was known.
	SeamNone SeamKind = iota
	// SeamExact: the last words were repeated as asked, maybe after a preamble.
	SeamExact
	// SeamLoose: they were, but with other white space, quotes or dashes.
	SeamLoose
	// SeamOverlap: some other end of the delivered text was repeated.
	SeamOverlap
	// SeamRestart: the answer began anew, or again from far back, and came to
	// where the client is.
	SeamRestart
	// SeamDirect: nothing was repeated.
	SeamDirect
	// SeamResumed: the API itself went on from a checkpoint.
	SeamResumed
)

var seamNames = [...]string{"none", "anchor_exact", "anchor_loose", "overlap", "restart", "direct", "resumed"}

// String returns the kind's name as logs and metrics write it.
func (k SeamKind) String() string { return seamNames[k] }

// SeamKinds returns all kinds.
func SeamKinds() []SeamKind {
	return []SeamKind{SeamNone, SeamExact, SeamLoose, SeamOverlap, SeamRestart, SeamDirect, SeamResumed}
}

// Bounds of what a seam holds back and looks at.
const (
	// MaxHeldRunes is how much of a continuation is held back at most while it
	// is not known how it joins.
	MaxHeldRunes = 512
	overlapLeast = 16 // runes of an overlap that is believed
	restartLeast = 40 // runes of the answer's beginning that make a restart
)

// matcher knows what was delivered and finds out how a continuation's text
// joins it.
type matcher struct {
	delivered []byte // text, whole
	anchor    []byte // its end that was asked for, empty when none was
	unique    bool   // the anchor stands once in delivered
	document  bool   // the answer is one JSON document
	from      int    // of a restart: where in delivered it begins

	foldedAnchor, foldedHead, foldedText folded
}

// prepare makes m ready for a continuation of delivered. anchored tells that
// the prompt asked for the anchor.
func (m *matcher) prepare(delivered []byte, anchored, document bool) {
	m.delivered, m.anchor, m.unique, m.document, m.from = delivered, nil, false, document, 0
	if anchored {
		m.anchor, m.unique = anchorOf(delivered)
	}
	m.foldedAnchor.foldOf(bytes.TrimRightFunc(m.anchor, unicode.IsSpace))
	m.foldedHead.foldOf(delivered[:len(delivered)-runesAfter(delivered, restartLeast)])
}

// runesAfter returns how many bytes follow the first n runes of text.
func runesAfter(text []byte, n int) int {
	i := 0
	for ; n > 0 && i < len(text); n-- {
		_, size := utf8.DecodeRune(text[i:])
		i += size
	}
	return len(text) - i
}

// match decides how text, the beginning of a continuation, joins what was
// delivered. drop is how many bytes of text were repeated. ok is false while
// more text is needed; final says that no more will be waited for. A restart
// is decided with drop 0: all that repeats is for the swallower.
func (m *matcher) match(text []byte, final bool) (kind SeamKind, drop int, ok bool) {
	if kind, drop, ok, wait := m.atStart(text, final); ok || wait {
		return kind, drop, ok
	}
	m.foldedText.foldOf(text)
	if m.restarts() {
		return SeamRestart, 0, true
	}
	if kind, drop, ok := m.afterPreamble(text, final); ok {
		return kind, drop, true
	}
	if !final {
		return SeamNone, 0, false
	}
	if m.restartsWithin(text) {
		return SeamRestart, 0, true
	}
	if drop := m.overlap(text); drop > 0 {
		return SeamOverlap, drop, true
	}
	return SeamDirect, m.directDrop(text), true
}

// atStart looks for the anchor at the very beginning. wait says that text is
// still a part of it.
func (m *matcher) atStart(text []byte, final bool) (kind SeamKind, drop int, ok, wait bool) {
	if len(m.anchor) == 0 {
		return 0, 0, false, false
	}
	if bytes.HasPrefix(text, m.anchor) {
		return SeamExact, len(m.anchor), true, false
	}
	if bytes.HasPrefix(m.anchor, text) {
		return SeamExact, len(text), final, !final
	}
	m.foldedText.foldOf(text)
	want, have := m.foldedAnchor.text, m.foldedText.text
	if bytes.HasPrefix(have, want) {
		drop, settled := m.spaceAfter(text, m.foldedText.end(len(want)), final)
		return SeamLoose, drop, settled, !settled
	}
	if len(have) > 0 && bytes.HasPrefix(want, bytes.TrimRight(have, " ")) {
		return SeamLoose, len(text), final, !final
	}
	return 0, 0, false, false
}

// spaceAfter returns the offset in text, from end on, up to which white space
// repeats the white space that the delivered text ends in. settled is false
// while more white space may follow.
func (m *matcher) spaceAfter(text []byte, end int, final bool) (drop int, settled bool) {
	delivered := trailingSpace(m.delivered)
	if len(delivered) == 0 {
		return end, true
	}
	space := leadingSpace(text[end:])
	if end+len(space) == len(text) && !final {
		return end, false
	}
	if bytes.HasPrefix(space, delivered) {
		return end + len(delivered), true
	}
	return end + len(space), true
}

// afterPreamble looks for the anchor behind something that a model said first.
// Only an anchor that is long and stands once in the answer is believed there.
func (m *matcher) afterPreamble(text []byte, final bool) (kind SeamKind, drop int, ok bool) {
	if !m.unique || utf8.RuneCount(m.anchor) < sureAnchor {
		return 0, 0, false
	}
	if i := bytes.Index(text, m.anchor); i >= 0 {
		if n := i + len(m.anchor); !m.cycles(text, n) {
			return SeamExact, n, true
		}
		return 0, 0, false
	}
	if i := bytes.Index(m.foldedText.text, m.foldedAnchor.text); i >= 0 {
		drop, settled := m.spaceAfter(text, m.foldedText.end(i+len(m.foldedAnchor.text)), final)
		return SeamLoose, drop, settled
	}
	return 0, 0, false
}

// restarts tells that the text is the answer from its beginning.
func (m *matcher) restarts() bool {
	head := m.foldedHead.text
	return utf8.RuneCount(head) >= restartLeast*3/4 && utf8.RuneCount(m.delivered) >= restartLeast &&
		bytes.HasPrefix(m.foldedText.text, head)
}

// restartsWithin tells that all of text stands somewhere in what was
// delivered, once: the model began again farther back than is held here. What
// follows is compared on the way, see swallower.
func (m *matcher) restartsWithin(text []byte) bool {
	if utf8.RuneCount(text) < restartLeast {
		return false
	}
	i := bytes.Index(m.delivered, text)
	if i < 0 || i+len(text) == len(m.delivered) || bytes.LastIndex(m.delivered, text) != i ||
		m.begunAgain(len(m.delivered)-i) {
		return false
	}
	m.from = i
	return true
}

// overlap returns the length of the longest end of the delivered text that
// text begins with, 0 when none is long enough or when the text repeats
// itself, so that going on looks the same as repeating.
func (m *matcher) overlap(text []byte) int {
	tail := m.delivered[max(0, len(m.delivered)-4*MaxHeldRunes):]
	for n := min(len(tail), len(text)); n >= overlapLeast; n-- {
		if tail[len(tail)-n] != text[0] || !bytes.Equal(tail[len(tail)-n:], text[:n]) {
			continue
		}
		if utf8.RuneCount(text[:n]) < overlapLeast || repeats(tail) > 0 || m.begunAgain(n) || m.isWholeLines(n) {
			return 0
		}
		return n
	}
	return 0
}

// cycles tells whether the first n bytes of text, which end in the anchor, are
// the next round of something that goes round rather than a repeat.
func (m *matcher) cycles(text []byte, n int) bool {
	return bytes.HasSuffix(m.delivered, text[:n]) && m.begunAgain(n)
}

// begunAgain tells whether the delivered text had begun to repeat itself n
// bytes later: its last words are those that stand n bytes before them. The
// next n bytes are then the same whether a model repeats or goes on, and going
// on loses nothing.
func (m *matcher) begunAgain(n int) bool {
	d := m.delivered
	return len(d) >= n+overlapLeast/2 && bytes.Equal(d[len(d)-overlapLeast/2:], d[len(d)-n-overlapLeast/2:len(d)-n])
}

// isWholeLines tells whether the last n bytes delivered are lines from their
// beginning to their end: the next line may well be the same.
func (m *matcher) isWholeLines(n int) bool {
	d := m.delivered
	from := len(d) - n
	return d[len(d)-1] == '\n' && (from == 0 || d[from-1] == '\n')
}

// directDrop returns how much of a text that repeats nothing is dropped all
// the same: a space that would double one, and the opening of a code fence
// around the rest of a JSON document.
func (m *matcher) directDrop(text []byte) int {
	if m.document {
		if n := fenceOpening(text); n > 0 {
			return n
		}
	}
	d := m.delivered
	if len(d) < 2 || len(text) < 2 || d[len(d)-1] != ' ' || text[0] != ' ' {
		return 0
	}
	before, _ := utf8.DecodeLastRune(d[:len(d)-1])
	after, _ := utf8.DecodeRune(text[1:])
	if unicode.IsLetter(before) && unicode.IsLetter(after) {
		return 1
	}
	return 0
}

// fenceOpening returns the length of the code fence and its info string that
// text begins with, with the line break; 0 when it does not.
func fenceOpening(text []byte) int {
	if !bytes.HasPrefix(text, []byte("```")) {
		return 0
	}
	return bytes.IndexByte(text, '\n') + 1
}
