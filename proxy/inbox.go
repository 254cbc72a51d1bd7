package proxy

import (
	"io"
	"sync"
)

// maxEvent bounds one event in bytes; inline images make events of many MiB.
const maxEvent = 64 << 20

// firstInbox is the size of an inbox before an event asks for more.
const firstInbox = 4 << 10

// fastInbox is the size up to which an inbox grows when reads fill it: a stream
// that comes faster than it is read is read in larger pieces.
const fastInbox = 32 << 10

// inboxes holds the memory of inboxes that are empty, up to fastInbox each.
var inboxes = sync.Pool{New: func() any { return &buffer{B: make([]byte, firstInbox)} }}

// inbox holds the bytes of an attempt that were read and not consumed yet.
// Events are cut out of it without a copy. It has memory only while it holds
// something, or while something is being read: it is a space.
type inbox struct {
	mem      *buffer // nil without memory
	from, to int     // mem.B[from:to] is not consumed
	filled   bool    // the last read left no room
}

// bytes returns what is not consumed; it lives until the next read.
func (in *inbox) bytes() []byte {
	if in.mem == nil {
		return nil
	}
	return in.mem.B[in.from:in.to]
}

func (in *inbox) consume(n int) { in.from += n }

// reset empties the inbox and gives its memory back.
func (in *inbox) reset() {
	in.from, in.to, in.filled = 0, 0, false
	in.giveBack()
}

// lend returns the room behind what is not consumed. There is some after room
// was true.
func (in *inbox) lend() []byte {
	if in.mem == nil {
		in.mem = inboxes.Get().(*buffer)
		in.from, in.to = 0, 0
	}
	return in.mem.B[in.to:]
}

// giveBack gives the memory back when there is nothing in it.
func (in *inbox) giveBack() {
	if in.mem == nil || in.from != in.to {
		return
	}
	if len(in.mem.B) <= fastInbox {
		inboxes.Put(in.mem)
	}
	in.mem = nil
}

// room makes sure that something can be read; false when an event outgrows
// its bound.
func (in *inbox) room() bool {
	b := in.lend()
	if in.from == in.to {
		in.from, in.to = 0, 0
		if b = in.mem.B; in.filled && len(b) < fastInbox {
			in.mem.B = make([]byte, 2*len(b))
		}
		return true
	}
	if len(b) > 0 {
		return true
	}
	// Moving the rest to the front pays only when that makes real room; a
	// large event that trickles in would be copied again and again.
	b = in.mem.B
	if in.from > len(b)/2 {
		in.to = copy(b, b[in.from:in.to])
		in.from = 0
		return true
	}
	if len(b) >= maxEvent {
		return false
	}
	larger := make([]byte, 2*len(b))
	in.to = copy(larger, b[in.from:in.to])
	in.from, in.mem.B = 0, larger
	return true
}

// readFrom reads once; room has made sure that there is any.
func (in *inbox) readFrom(r io.Reader) (int, error) {
	n, err := r.Read(in.lend())
	in.took(n)
	return n, err
}

// took notes that n bytes were read into what lend returned.
func (in *inbox) took(n int) {
	if n > 0 {
		in.to += n
		in.filled = in.to == len(in.mem.B)
	}
}
