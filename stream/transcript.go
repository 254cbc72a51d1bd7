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
	lent []byte // of memory, where raw lies, or lay before it outgrew that
	max  int
	full bool

	memory Memory
}

// Reset empties the transcript, gives its memory back and bounds it to max
// bytes, escapes included. What append has made is kept, unless it is large.
func (t *Transcript) Reset(max int) {
	raw := t.raw[:0]
	if t.memory != nil || cap(raw) > maxKept {
		raw = nil
	}
	t.release()
	*t = Transcript{raw: raw, max: max, memory: t.memory}
}

// release gives the memory back.
func (t *Transcript) release() {
	t.raw = nil
	if t.lent != nil {
		t.memory.Put(t.lent)
		t.lent = nil
	}
}

// reserve makes room for what most payloads of n bytes add. To make it where the
// payload is parsed would take a deeper stack, in each stream for as long as it
// lasts.
func (t *Transcript) reserve(n int) {
	n = min(n, maxReserve)
	if t.memory != nil && cap(t.raw)-len(t.raw) < n {
		t.raw = t.move(t.raw, n)
	}
}

// maxReserve bounds what is reserved, in bytes: payloads that are larger have an
// image as a rule, and little text.
const maxReserve = 1 << 10

// append appends more to text, which has grown from t.raw in this way. The
// memory that holds t.raw may be another one then. Without a transcript append
// makes the room.
func (t *Transcript) append(text, more []byte) []byte {
	if t != nil && t.memory != nil && cap(text)-len(text) < len(more) {
		text = t.move(text, len(more))
	}
	return append(text, more...)
}

// move gives text, and t.raw at its front, memory with room for n more bytes, if
// there is any. Without it, append makes some.
func (t *Transcript) move(text []byte, n int) []byte {
	lent := t.memory.Get(len(text) + n)
	if lent == nil {
		return text
	}
	size := len(t.raw)
	text = append(lent, text...)
	t.release()
	t.raw, t.lent = text[:size], lent
	return text
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
		t.release()
		t.full = true
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
