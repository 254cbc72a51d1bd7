package stream

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// Lengths of anchors, in runes.
const (
	anchorAtLeast = 40  // unless the whole answer is shorter
	anchorAtMost  = 80  // unless a shorter one would be ambiguous
	anchorLimit   = 360 // and never longer than this
	sureAnchor    = 16  // shorter ones are looked for at the very beginning only
)

// repetitive is how many bytes of repetition make the end of a text
// ambiguous: whoever goes on from it and whoever repeats it write the same.
const repetitive = 16

// anchorOf returns the end of text that a model is asked to repeat, so that
// the seam can be found: 40 to 80 characters, begun at a word and not at the
// beginning of a line, and longer where the text repeats itself. It is a
// suffix of text. unique tells that it stands nowhere else in text. It is
// empty when the text repeats itself for too long: the model is then asked to
// go on without a repeat.
func anchorOf(text []byte) (anchor []byte, unique bool) {
	n := utf8.RuneCount(text)
	if n <= anchorAtLeast {
		if repeats(text) > 0 && repeats(text) > len(text)/2 && n > 2 {
			return wholeOrNone(text)
		}
		return text, true
	}
	least := max(runesBack(text, anchorAtLeast), repeats(text)+sureAnchor)
	for want := least; ; want += 40 {
		from := wordStart(text, len(text)-want)
		anchor = text[from:]
		if utf8.RuneCount(anchor) > anchorLimit {
			break
		}
		if bytes.Count(text, anchor) == 1 && bytes.LastIndex(text[:len(text)-1], anchor) < 0 {
			return anchor, true
		}
		if from == 0 {
			return anchor, true
		}
	}
	if repeats(text) == 0 {
		return text[wordStart(text, len(text)-least):], false
	}
	return nil, false
}

// wholeOrNone decides on a short text that repeats itself: the whole of it is
// an anchor only when it begins with something else.
func wholeOrNone(text []byte) ([]byte, bool) {
	if repeats(text) >= len(text) {
		return nil, false
	}
	return text, true
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

// wordStart returns where the word begins that holds offset from, going back
// from it, at a rune and not at the beginning of a line; 0 when there is no
// such place. Text without spaces is cut at any rune.
func wordStart(text []byte, from int) int {
	from = max(from, 0)
	for from > 0 && !utf8.RuneStart(text[from]) {
		from--
	}
	for i := from; i > 0 && from-i < anchorAtMost-anchorAtLeast; {
		r, n := utf8.DecodeLastRune(text[:i])
		first, _ := utf8.DecodeRune(text[i:])
		if unicode.IsSpace(r) && r != '\n' && r != '\r' && !unicode.IsSpace(first) {
			return i
		}
		i -= n
		if i == 0 {
			return 0
		}
	}
	return from
}

// repeats returns how many bytes at the end of text are a repetition of one
// unit, at least twice and at least `repetitive` bytes in all; 0 when the end
// does not repeat itself. Of several units the one that reaches farthest back
// counts.
func repeats(text []byte) int {
	const widest = 512 // bytes of a unit that is looked for
	text = text[max(0, len(text)-4*widest):]
	best := 0
	for p := 1; p <= min(widest, len(text)/2); p++ {
		n := len(text)
		run := 0
		for run < n-p && text[n-1-run] == text[n-1-run-p] {
			run++
		}
		// run+p bytes have the period p.
		if run >= p && run+p >= repetitive {
			best = max(best, run+p)
		}
	}
	return best
}
