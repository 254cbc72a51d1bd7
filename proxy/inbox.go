package proxy

import "io"

// maxEvent bounds one event in bytes; inline images make events of many MiB.
const maxEvent = 64 << 20

// firstInbox is the size of an inbox before an event asks for more.
const firstInbox = 4 << 10

// fastInbox is the size up to which an inbox grows when reads fill it: a stream
// that comes faster than it is read is read in larger pieces.
const fastInbox = 32 << 10

// inbox holds the bytes of an attempt that were read and not consumed yet.
// Events are cut out of it without a copy.
type inbox struct {
	b        []byte
	from, to int // b[from:to] is not consumed
	filled   bool
}

// bytes returns what is not consumed; it lives until the next readFrom.
func (in *inbox) bytes() []byte { return in.b[in.from:in.to] }

func (in *inbox) consume(n int) { in.from += n }

// reset empties the inbox and lets go of a buffer that a large event left.
func (in *inbox) reset() {
	in.from, in.to, in.filled = 0, 0, false
	if cap(in.b) > maxPooled {
		in.b = nil
	}
}

// room makes sure that something can be read; false when an event outgrows
// its bound.
func (in *inbox) room() bool {
	if in.from == in.to {
		in.from, in.to = 0, 0
		if in.filled && len(in.b) < fastInbox {
			in.b = make([]byte, 2*len(in.b))
		}
	}
	if in.to < len(in.b) {
		return true
	}
	// Moving the rest to the front pays only when that makes real room; a
	// large event that trickles in would be copied again and again.
	if in.from > len(in.b)/2 {
		in.to = copy(in.b, in.b[in.from:in.to])
		in.from = 0
		return true
	}
	if len(in.b) >= maxEvent {
		return false
	}
	b := make([]byte, max(firstInbox, 2*len(in.b)))
	in.to = copy(b, in.b[in.from:in.to])
	in.from, in.b = 0, b
	return true
}

// readFrom reads once; room has made sure that there is any.
func (in *inbox) readFrom(r io.Reader) (int, error) {
	n, err := r.Read(in.b[in.to:])
	in.to += n
	in.filled = in.to == len(in.b)
	return n, err
}
