package proxy

import (
	"io"
	"sync"
)

// maxEvent bounds one event in bytes; inline images make events of many MiB.
const maxEvent = 64 << 20

// firstInbox is the size of an inbox in bytes before more comes than it takes.
const firstInbox = 4 << 10

// fastInbox is its size for a stream that comes faster than it is read, which
// is then read in larger pieces.
const fastInbox = 64 << 10

// inboxes and fastInboxes hold the memory of inboxes that are empty.
var (
	inboxes     = sync.Pool{New: func() any { return &buffer{B: make([]byte, firstInbox)} }}
	fastInboxes = sync.Pool{New: func() any { return &buffer{B: make([]byte, fastInbox)} }}
)

// inbox holds the bytes of an attempt that were read and not consumed yet.
// Events are cut out of it without a copy. It has memory only while it holds
// something, or while something is being read: it is a space.
type inbox struct {
	mem      *buffer // nil without memory
	from, to int     // mem.B[from:to] is not consumed
	fast     bool    // reads have filled it
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
	in.from, in.to, in.fast = 0, 0, false
	in.giveBack()
}

// lend returns the room behind what is not consumed. There is some after room
// was true.
func (in *inbox) lend() []byte {
	if in.mem == nil {
		pool := &inboxes
		if in.fast {
			pool = &fastInboxes
		}
		in.mem = pool.Get().(*buffer)
		in.from, in.to = 0, 0
	}
	return in.mem.B[in.to:]
}

// giveBack gives the memory back when there is nothing in it, and the memory
// of a fast inbox for less when there is little in it: what one stream has
// left over keeps no large piece out of the cache of the others.
func (in *inbox) giveBack() {
	switch rest := in.to - in.from; {
	case in.mem == nil:
	case rest == 0:
		in.drop()
	case len(in.mem.B) == fastInbox && rest <= firstInbox/2:
		in.move(inboxes.Get().(*buffer))
	}
}

// drop gives the memory back.
func (in *inbox) drop() {
	switch len(in.mem.B) {
	case firstInbox:
		inboxes.Put(in.mem)
	case fastInbox:
		fastInboxes.Put(in.mem)
	default:
		putHeld(in.mem)
	}
	in.mem = nil
}

// move moves what there is to other memory, where it fits.
func (in *inbox) move(mem *buffer) {
	n := copy(mem.B, in.bytes())
	in.drop()
	in.mem, in.from, in.to = mem, 0, n
}

// room makes sure that something can be read; false when an event outgrows
// its bound.
func (in *inbox) room() bool {
	free := len(in.lend())
	all, rest := len(in.mem.B), in.to-in.from
	switch {
	case in.fast && all < fastInbox:
		in.move(fastInboxes.Get().(*buffer))
	case rest == 0:
		in.from, in.to = 0, 0
	case free >= all/2:
	case rest <= all/4:
		// What was consumed since the last time is more than what is moved.
		in.toFront()
	case free > 0:
	case in.from > all/2:
		// Moving the rest to the front pays only when that makes real room; a
		// large event that trickles in would be copied again and again.
		in.toFront()
	case all >= maxEvent:
		return false
	default:
		larger := getHeld(2 * all)
		larger.B = larger.B[:2*all]
		in.move(larger)
	}
	return true
}

func (in *inbox) toFront() {
	in.to = copy(in.mem.B, in.bytes())
	in.from = 0
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
		// A read that filled the memory brings less than that once its framing
		// is taken out. In between it stays as it was.
		if all := len(in.mem.B); in.to > all-all/8 {
			in.fast = true
		} else if n < firstInbox/2 {
			in.fast = false
		}
	}
}
