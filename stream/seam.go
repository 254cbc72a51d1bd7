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
// joins it. What it says of a text it says of every longer one that begins
// with it, so the pieces in which a text comes do not matter.
type matcher struct {
	delivered []byte     // text, whole
	blank     []byte     // the white space that it ends in
	repeats   repetition // and the repetition
	anchor    []byte     // its end that was asked for, empty when none was
	unique    bool       // the anchor stands once in delivered
	document  bool       // the answer is one JSON document
	prefilled bool       // the model goes on from its own turn: it repeats nothing, or all
	from      int        // of a restart: where in delivered it begins
	full      bool       // the text is as long as may be held
	early     bool       // the text ended before the model was done
	goes      bool       // what goesOnWith has told
	told      int        // of how much text, plus one; 0: of none

	// Folded: the anchor without white space at its end, what stands before
	// it, the first words of all, empty when there are too few, and the text
	// that is matched.
	wantAnchor, before, wantHead []byte
	text                         folded

	// Retold: the anchor, and the text that is matched.
	wantRetold []byte
	again      retold
}

// prepare makes m ready for a continuation of delivered, of which x tells what is
// expected.
func (m *matcher) prepare(delivered []byte, x Expect) {
	m.delivered, m.blank, m.repeats = delivered, trailingBlank(delivered), repetitionOf(delivered, repetitive)
	m.anchor, m.unique, m.document, m.prefilled = nil, false, x.Document, x.Prefilled
	m.from, m.early, m.told = 0, false, 0
	m.text.tight = x.Document
	if x.Anchored && !x.Prefilled {
		m.anchor, m.unique = anchorOf(delivered)
	}
	before := delivered[:len(delivered)-len(m.anchor)]
	m.before = appendFolded(m.before[:0], before[max(0, len(before)-utf8.UTFMax*MaxHeldRunes):], x.Document)
	m.wantAnchor = appendFolded(m.wantAnchor[:0], bytes.TrimRightFunc(m.anchor, isBlank), x.Document)
	if m.unique && x.Document {
		// Which it may not be without its white space.
		all := appendFolded(nil, delivered, true)
		m.unique = bytes.Index(all, m.wantAnchor) == len(all)-len(m.wantAnchor)
	}
	m.wantHead = m.wantHead[:0]
	if head, full := m.head(); full {
		m.wantHead = bytes.Trim(appendFolded(m.wantHead, head, x.Document), " ")
	}
	if utf8.RuneCount(m.wantHead) < restartLeast*3/4 {
		m.wantHead = m.wantHead[:0]
	}
}

// head returns the beginning of what was delivered that makes a restart; full
// tells that there is that much. A run of white space counts as one rune, and in a
// document for nothing.
func (m *matcher) head() (head []byte, full bool) {
	n, blank := 0, true
	for i := 0; i < min(len(m.delivered), utf8.UTFMax*MaxHeldRunes); {
		r, size := utf8.DecodeRune(m.delivered[i:])
		i += size
		space := isBlank(r)
		if !space || !blank && !m.document {
			n++
		}
		if blank = space; n == restartLeast {
			return m.delivered[:i], true
		}
	}
	return nil, false
}

// match decides how text, the beginning of a continuation, joins what was
// delivered. drop is how many bytes of text were repeated, or stand before a
// restart: what repeats then is for the swallower. ok is false while more text
// is needed; final says that none will be waited for, over that none will come.
func (m *matcher) match(text []byte, final, over bool) (kind SeamKind, drop int, ok bool) {
	text, full := firstRunes(text, MaxHeldRunes)
	if m.full = full; full {
		final, over = true, false
	}
	fence, ok := m.fence(text, final)
	if !ok {
		return SeamNone, 0, false
	}
	kind, drop, ok = m.matchWords(text[fence:], final, over)
	return kind, fence + drop, ok
}

// matchWords is match without a fence.
func (m *matcher) matchWords(text []byte, final, over bool) (kind SeamKind, drop int, ok bool) {
	m.text.foldOf(text)
	if kind, drop, ok, wait := m.atStart(text, over); ok || wait {
		return kind, drop, ok
	}
	if !over && !m.full && m.isMarked(text) {
		return SeamNone, 0, false
	}
	head, restarts := m.findHead(text)
	anchor, stands := m.findAnchor(text)
	switch {
	case restarts && (!stands || head.to <= anchor.to):
		m.from = 0
		return SeamRestart, head.from, true
	case stands:
		if kind, drop, ok, wait := m.sooner(text, anchor.from, over); ok || wait {
			return kind, drop, ok
		}
		return m.afterAnchor(text, anchor, over)
	case !final && !m.prefilled:
		return SeamNone, 0, false
	}
	switch may := m.mayRestart(); {
	case may && !over:
		return SeamNone, 0, false
	case may && m.early:
		return SeamRestart, len(text), true
	}
	if m.prefilled {
		return SeamDirect, 0, final || m.fits(text)
	}
	if drop := m.overlap(text); drop > 0 {
		return SeamOverlap, drop, true
	}
	switch at, ok, wait := m.findRetold(text, over); {
	case wait:
		return SeamNone, 0, false
	case ok:
		return m.afterAnchor(text, at, over)
	}
	if drop := m.overlapBehind(text); drop > 0 {
		return SeamOverlap, drop, true
	}
	switch {
	case over:
	case m.restartsWithin(text):
		return SeamRestart, 0, true
	case m.mayRestartWithin(text):
		return SeamNone, 0, false
	}
	return SeamDirect, m.directDrop(text), true
}

// sooner decides as match does where the repeat stands otherwise in front of the
// anchor, which is at n: the answer then says the same words again.
func (m *matcher) sooner(text []byte, n int, over bool) (kind SeamKind, drop int, ok, wait bool) {
	if at, ok, _ := m.findRetold(text[:n], true); ok {
		kind, drop, ok = m.afterAnchor(text, at, over)
		return kind, drop, ok, !ok
	}
	drop = m.overlapBehind(text[:n])
	return SeamOverlap, drop, drop > 0, false
}

// atStart looks for the anchor at the very beginning. wait says that text is
// still a part of it.
func (m *matcher) atStart(text []byte, over bool) (kind SeamKind, drop int, ok, wait bool) {
	want, have := m.wantAnchor, m.text.text
	switch {
	case len(want) == 0:
		return 0, 0, false, false
	case bytes.HasPrefix(have, want):
		kind, drop, ok = m.afterAnchor(text, span{0, m.text.end(len(want))}, over)
		return kind, drop, ok, !ok
	case !bytes.HasPrefix(want, bytes.TrimRight(have, " ")):
		return 0, 0, false, false
	case m.full:
		// It would be the anchor, but for all the white space.
		return 0, 0, false, false
	case !over:
		return 0, 0, false, true
	case utf8.RuneCount(text) < overlapLeast && !m.early:
		// A few characters and the end are rather the end, unless it came early.
		return 0, 0, false, false
	}
	return m.anchorKind(text, 0), len(text), true, false
}

// isMarked tells that the text is nothing but the mark of the prompt, or a part of
// it, and the first words of the anchor so far.
func (m *matcher) isMarked(text []byte) bool {
	text = bytes.TrimLeftFunc(text, isBlank)
	if len(text) < len(openMark) {
		return len(text) > 0 && bytes.HasPrefix([]byte(openMark), text)
	}
	words, ok := bytes.CutPrefix(text, []byte(openMark))
	return ok && bytes.HasPrefix(m.wantAnchor, bytes.Trim(appendFolded(nil, words, m.text.tight), " "))
}

// mayRestart tells that the text is nothing but the answer's first words so far.
func (m *matcher) mayRestart() bool {
	have := bytes.TrimRight(m.text.text, " ")
	return !m.full && len(have) > 0 && bytes.HasPrefix(m.wantHead, have)
}

// anchorKind tells whether the anchor that stands at from was repeated to the
// letter, as far as text goes.
func (m *matcher) anchorKind(text []byte, from int) SeamKind {
	want := m.anchor[:len(m.anchor)-len(m.blank)]
	if text = text[from:]; len(text) > len(want) {
		text = text[:len(want)]
	}
	if bytes.HasPrefix(want, text) {
		return SeamExact
	}
	return SeamLoose
}

// afterAnchor decides how text goes on after the anchor that stands at at: the
// white space that was delivered after it is dropped, and the quote that a
// model closes when it has opened one in front. ok is false while more text is
// needed for that: until then there is nothing to deliver. over says that none will
// come.
func (m *matcher) afterAnchor(text []byte, at span, over bool) (kind SeamKind, drop int, ok bool) {
	kind, drop = m.anchorKind(text, at.from), at.to
	over = over || m.full
	n, _, done := skipBlank(text[drop:], m.blank)
	if !done && !over {
		return 0, 0, false
	}
	drop += n
	quote := m.quoteBefore(text[:at.from])
	if quote == "" || m.inQuote(quote) || quote == boldMark && n > 0 {
		return kind, drop, true
	}
	switch rest := text[drop:]; {
	case len(rest) < len(quote) && bytes.HasPrefix([]byte(quote), rest):
		// What breaks off in the quote's end has nothing new.
		return kind, len(text), over
	case !bytes.HasPrefix(rest, []byte(quote)):
		return kind, drop, true
	}
	drop += len(quote)
	if n > 0 {
		return kind, drop, true
	}
	n, done = m.blankAfter(text[drop:], quote)
	return kind, drop + n, done || over
}

// blankAfter returns how much of the white space that begins text, behind the
// quote that a model closed, was delivered already. A line break behind the marks
// is none of the answer's where that ends in a space, or a space follows: no line
// of words ends or begins with one.
func (m *matcher) blankAfter(text []byte, quote string) (n int, done bool) {
	line := bytes.TrimLeft(text, "\r\n")
	n = len(text) - len(line)
	if quote == closeMark && bytes.IndexByte(m.blank, '\n') < 0 && (n > 0 || len(text) == 0) {
		if len(line) < 2 {
			return 0, false
		}
		first, _ := utf8.DecodeRune(line[1:])
		spaced := line[0] == ' ' && unicode.IsLetter(first)
		switch blank := string(m.blank); {
		case blank == "" && spaced, blank == " " && line[0] != ' ':
			return n, true
		case blank == " " && spaced:
			return n + 1, true
		}
	}
	n, _, done = skipBlank(text, m.blank)
	return n, done
}
