package stream

import (
	"bytes"
	"unicode/utf8"
)

// Lengths of anchors, in runes.
const (
	anchorAtLeast = 40  // unless the whole answer is shorter
	anchorAtMost  = 80  // unless a shorter one would be ambiguous
	anchorLimit   = 360 // and never longer than this
	sureAnchor    = 16  // shorter ones are looked for at the very beginning only
)

// anchorOf returns the end of text that a model is asked to repeat, so that
// the seam can be found: 40 to 80 characters, begun at a word and not at the
// beginning of a line, and longer where the text repeats itself. It is a
// suffix of text. unique tells that it stands nowhere else in text. It is
// empty when the text repeats itself for too long: the model is then asked to
// go on without a repeat.
func anchorOf(text []byte) (anchor []byte, unique bool) {
	if len(trailingBlank(text)) == len(text) {
		return nil, false
	}
	least := runesBack(text, anchorAtLeast)
	if least == len(text) {
		if repetitionOf(text, 2).length == len(text) {
			return nil, false
		}
		return text, true
	}
	repeats := repetitionOf(text, repetitive).length
	if repeats > 0 {
		least = max(least, repeats+sureAnchor)
	}
	for want := least; ; want += anchorAtLeast {
		from := wordStart(text, len(text)-want)
		anchor = text[from:]
		if repeats == len(text) || utf8.RuneCount(anchor) > anchorLimit {
			break
		}
		if bytes.Index(text, anchor) == from {
			return anchor, true
		}
	}
	if repeats == 0 {
		return text[wordStart(text, len(text)-least):], false
	}
	return nil, false
}

// runesBack returns how many bytes the last n runes of text have.
func runesBack(text []byte, n int) int {
	i := len(text)
	for ; n > 0 && i > 0; n-- {
		_, size := utf8.DecodeLastRune(text[:i])
		i -= size
	}
	return len(text) - i
}

// firstRunes returns the first n runes of text, or all of them; full tells
// that there are that many.
func firstRunes(text []byte, n int) (first []byte, full bool) {
	i := 0
	for ; n > 0 && i < len(text); n-- {
		_, size := utf8.DecodeRune(text[i:])
		i += size
	}
	return text[:i], n == 0
}

// wordStart returns where the word begins that holds offset from, going back
// from it, at a rune and rather not at the beginning of a line; 0 when there
// is no such place. Text without spaces is cut at any rune.
func wordStart(text []byte, from int) int {
	from = max(from, 0)
	for from > 0 && !utf8.RuneStart(text[from]) {
		from--
	}
	line := -1
	for i := from; i > 0 && from-i < anchorAtMost-anchorAtLeast; {
		r, n := utf8.DecodeLastRune(text[:i])
		first, _ := utf8.DecodeRune(text[i:])
		switch {
		case !isBlank(r) || isBlank(first):
		case r != '\n' && r != '\r':
			return i
		case line < 0:
			line = i
		}
		if i -= n; i == 0 {
			return 0
		}
	}
	if line >= 0 {
		return line
	}
	return from
}

// repetitive is how many bytes of repetition make the end of a text
// ambiguous: whoever goes on from it and whoever repeats it write the same.
const repetitive = 16

// repetition is the end of a text that is one unit over and over.
type repetition struct {
	length int // bytes, 0 when the end does not repeat itself
	period int // bytes of the unit
}

// repetitionOf returns the repetition of at least one unit and a half, and of
// at least so many bytes, that text ends in. Of several units the one that
// reaches farthest back counts. It looks at the last few kilobytes only.
func repetitionOf(text []byte, least int) (best repetition) {
	const widest = 512 // bytes of a unit that is looked for
	text = text[max(0, len(text)-4*widest):]
	n := len(text)
	for p := 1; p <= min(widest, n-1); p++ {
		run := 0
		for run < n-p && text[n-1-run] == text[n-1-run-p] {
			run++
		}
		// run+p bytes have the period p.
		if 2*run >= p && run+p >= least && run+p > best.length {
			best = repetition{length: run + p, period: p}
		}
	}
	return best
}

// goesOn tells whether text is what follows when the repetition that
// delivered ends in goes on.
func (r repetition) goesOn(delivered, text []byte) bool {
	if r.length == 0 {
		return false
	}
	unit := delivered[len(delivered)-r.period:]
	for len(text) > len(unit) {
		if !bytes.HasPrefix(text, unit) {
			return false
		}
		text = text[len(unit):]
	}
	return bytes.HasPrefix(unit, text)
}
