package stream

import "unicode/utf8"

// Transcript is the answer text that was delivered to a client, in order.
//
// It is kept as it came, as the insides of JSON strings one after another:
// nothing is unescaped on the way of an event, and what goes back to the
// model in a continuation is what came from it, to the byte. A surrogate pair
// that was cut in two between events is whole again here.
type Transcript struct {
	raw    []byte  // the text, less what is older
	older  *blocks // the text in front of raw, nil when there never was any
	max    int
	lent   bool // raw is memory's
	full   bool
	joined bool // nothing is older, and nothing will be

	memory Memory
}

// blocks are full pieces of a text, all of them lent.
type blocks struct {
	all  [][]byte
	size int // of all, in bytes
}

// Blocks are what a text of some length grows by, in bytes: a quarter of it
// between these bounds. In one piece that doubles, a text would be copied as often
// as it doubles, and would have touched twice the memory in the end.
const leastBlock, mostBlock = 4 << 10, 64 << 10

// Reset empties the transcript, gives its memory back and bounds it to max
// bytes, escapes included. What append has made is kept, unless it is large.
func (t *Transcript) Reset(max int) {
	raw := t.raw[:0]
	if t.memory != nil || cap(raw) > maxKept {
		raw = nil
	}
	t.release()
	*t = Transcript{raw: raw, older: t.older, max: max, memory: t.memory}
}

// release gives the memory back.
func (t *Transcript) release() {
	t.giveBack()
	t.raw = nil
	o := t.older
	if o == nil {
		return
	}
	for _, b := range o.all {
		t.memory.Put(b)
	}
	clear(o.all)
	o.all, o.size = o.all[:0], 0
}

// giveBack gives the memory of raw back, which is not used any more.
func (t *Transcript) giveBack() {
	if t.lent {
		t.memory.Put(t.raw)
		t.lent = false
	}
}

// reserve makes room for what most payloads of n bytes add. To make it where the
// payload is parsed would take a deeper stack, in each stream for as long as it
// lasts.
func (t *Transcript) reserve(n int) { t.makeRoom(min(n, maxReserve)) }

// maxReserve bounds what is reserved, in bytes: payloads that are larger have an
// image as a rule, and little text.
const maxReserve = 1 << 10

// add adds more to the text.
func (t *Transcript) add(more []byte) {
	t.makeRoom(len(more))
	t.set(append(t.raw, more...))
}

// makeRoom makes room for n bytes behind the text, if there is any.
func (t *Transcript) makeRoom(n int) {
	if t.memory == nil || cap(t.raw)-len(t.raw) >= n {
		return
	}
	if t.joined || !t.lent || cap(t.raw) < leastBlock {
		t.raw = t.move(t.raw, n)
		return
	}
	block := t.memory.Get(max(n, min(max(t.Len()/4, leastBlock), mostBlock)))
	if block == nil {
		return
	}
	if t.older == nil {
		t.older = new(blocks)
	}
	t.older.all = append(t.older.all, t.raw)
	t.older.size += len(t.raw)
	t.raw = block
}

// join makes the text one piece, for good: what continues an answer looks back
// at all of it.
func (t *Transcript) join() {
	t.joined = true
	if t.older == nil || t.older.size == 0 {
		return
	}
	whole := t.memory.Get(t.Len())
	lent := whole != nil
	if !lent {
		whole = make([]byte, 0, t.Len())
	}
	whole = t.appendRaw(whole)
	t.release()
	t.raw, t.lent = whole, lent
}

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
	t.giveBack()
	t.raw, t.lent = text[:size], true
	return text
}

// Len returns the length in bytes, escapes included.
func (t *Transcript) Len() int {
	if t.older == nil {
		return len(t.raw)
	}
	return t.older.size + len(t.raw)
}

// Full tells that the answer outgrew the bound. The text is then gone, since
// a part of it is of no use.
func (t *Transcript) Full() bool { return t.full }

// Raw returns the text as the inside of a JSON string. It aliases the
// transcript and lives until the next change.
func (t *Transcript) Raw() []byte {
	t.join()
	return t.raw
}

// Newest returns some of the end of the text, without changing anything.
func (t *Transcript) Newest() []byte { return t.raw }

func (t *Transcript) appendRaw(dst []byte) []byte {
	if t.older != nil {
		for _, b := range t.older.all {
			dst = append(dst, b...)
		}
	}
	return append(dst, t.raw...)
}

// AppendText appends the text, unescaped, to dst.
func (t *Transcript) AppendText(dst []byte) []byte {
	return AppendUnescaped(dst, t.appendRaw(nil))
}

// set makes raw, which has grown from t.raw by appending, the new text.
func (t *Transcript) set(raw []byte) {
	if t.full {
		raw = raw[:0]
	}
	if t.Len()-len(t.raw)+len(raw) <= t.max {
		t.keep(raw)
		return
	}
	t.release()
	t.full = true
}

// keep makes raw, which begins as t.raw does, the memory of the text.
func (t *Transcript) keep(raw []byte) {
	if cap(raw) != cap(t.raw) {
		// It has outgrown what memory lends.
		t.giveBack()
	}
	t.raw = raw
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
