package stream

import "unicode/utf8"

// Transcript is the answer text that was delivered to a client, in order.
//
// It is kept as it came, as the insides of JSON strings one after another:
// nothing is unescaped on the way of an event, and what goes back to the
// model in a continuation is what came from it, to the byte. A surrogate pair
// that was cut in two between events is whole again here.
type Transcript struct {
	raw  []byte
	max  int
	full bool
}

// maxKept is the capacity above which a transcript's buffer is not kept for
// the next answer.
const maxKept = 256 << 10

// Reset empties the transcript and bounds it to max bytes, escapes included.
func (t *Transcript) Reset(max int) {
	raw := t.raw[:0]
	if cap(raw) > maxKept {
		raw = nil
	}
	*t = Transcript{raw: raw, max: max}
}

// Len returns the length in bytes, escapes included.
func (t *Transcript) Len() int { return len(t.raw) }

// Full tells that the answer outgrew the bound. The text is then gone, since
// a part of it is of no use.
func (t *Transcript) Full() bool { return t.full }

// Raw returns the text as the inside of a JSON string. It aliases the
// transcript and lives until the next change.
func (t *Transcript) Raw() []byte { return t.raw }

// AppendText appends the text, unescaped, to dst.
func (t *Transcript) AppendText(dst []byte) []byte { return AppendUnescaped(dst, t.raw) }

// set makes raw, which has grown from t.raw by appending, the new text.
func (t *Transcript) set(raw []byte) {
	switch {
	case t.full:
		t.raw = raw[:0]
	case len(raw) > t.max:
		t.raw, t.full = nil, true
	default:
		t.raw = raw
	}
}

// estimateTokens estimates the tokens of the inside of a JSON string: four
// characters each, as the API's documentation puts it.
func estimateTokens(inside []byte) int64 {
	if len(inside) == 0 {
		return 0
	}
	runes := utf8.RuneCount(AppendUnescaped(nil, inside))
	return int64(runes+3) / 4
}
