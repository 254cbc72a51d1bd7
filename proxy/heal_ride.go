package proxy

import (
	"errors"
	"io"
	"time"
	"unsafe"

	"gemini-resilient-proxy/stream"
)

// readsAtOnce is how many reads a stream may make before the loop turns to
// another. More than one only matters to TLS, which reads record by record.
const readsAtOnce = 4

// board lets a loop carry the stream while it is in the plain middle of an
// answer, and returns when something else has come. It returns an error when
// the client cannot be written to any more.
func (h *healer) board() error {
	if !h.boardable() {
		return nil
	}
	e := h.e
	conn := h.attempt.link.conn
	h.attempt.free() // what came with the head is used up
	h.watchHeld()
	h.ashore = mustRead // until the ride has begun
	// The one before is over, and this one may be so before a loop has it.
	h.ride.broken, h.ride.expired = false, time.Time{}
	e.park()
	e.mu.Lock()
	e.riding = h.ride
	e.mu.Unlock()
	// The loop keeps its own time. A deadline that a cancel sets after this is
	// lost, and made up for by the look at err.
	conn.readForever()
	e.client.disarm()
	// Nobody can close a descriptor that is held.
	conn.polled.pollBy(&h.ride.poller)
	conn.polled.hold(h.holdUpstream)
	conn.polled.pollBy(nil)
	e.mu.Lock()
	e.riding = nil
	e.mu.Unlock()
	h.frame()
	return h.landed()
}

// carried is called with the upstream's descriptor held, and has the client's
// held as well.
func (h *healer) carried(fd uintptr) {
	h.ride.poller.fd = fd
	h.e.client.polled.hold(h.holdClient)
}

// carriedBoth waits for the end of the ride.
func (h *healer) carriedBoth(fd uintptr) {
	h.clientFD, h.ashore = fd, mayBoard
	if h.attempt.link.conn.spaced == nil && !h.drainBuffered() {
		return
	}
	h.rest()
	if !h.e.s.loops.choose().board(h.ride) {
		h.ashore = mustRead
		return
	}
	if h.e.err() != nil {
		h.ride.eject()
	}
	<-h.ride.wake
}

// drainBuffered takes what TLS has read already: the descriptor does not tell
// of it. It is false when the loop is not needed any more.
func (h *healer) drainBuffered() bool {
	for {
		switch h.ready(true) {
		case nextWait:
			return true
		case nextLeave:
			h.frame()
			return false
		}
	}
}

// ashore is what a stream's own goroutine has to do before a loop may carry the
// stream: a loop looks at what was read only when there is something to read.
type ashore uint8

const (
	mayBoard ashore = iota
	mustRead        // what the loop could not
	mustTake        // what it has read
)

// boardable tells whether nothing is to be done but to wait for events and to
// pass on what the client may see of them. That includes those of a continuation
// that are dropped, or held back, until its seam is found.
func (h *healer) boardable() bool {
	b := &h.attempt.body
	return h.phase == phaseRead && h.committed && h.one == nil && h.src == io.Reader(b) && b.conn.polled != nil && h.e.client.polled != nil &&
		len(b.early) == 0 && !b.ended && b.broken == nil && h.met == stream.More &&
		!h.splice.Finished() && h.splice.Events() > 0 && h.rode == nil && h.ashore == mayBoard && h.e.cfg.ChaosCutAfter == 0
}

// landed prepares to go on after a ride.
func (h *healer) landed() error {
	e, r := h.e, h.ride
	switch {
	case r.broken:
		return errors.New("panic on the loop")
	case !r.expired.IsZero():
		h.rode = e.lateError(r.expired)
	}
	if err := e.err(); err != nil {
		h.rode = err
	}
	if len(h.unsent) > 0 {
		_, err := e.client.writePieces(h.unsent)
		h.unsent = nil
		h.out = emptyFrame(h.out)
		if err != nil {
			return h.clientFailed(err)
		}
		h.noteJoined()
	}
	return nil
}

// until is the loop's question how long the upstream may be silent.
func (h *healer) until(last time.Time) time.Time {
	return earlier(h.quietUntil(last), h.e.deadline)
}

// ready passes on what the upstream has sent, on the loop. What it cannot do
// without waiting, and what is not plain, it leaves to the goroutine.
func (h *healer) ready(ended bool) next {
	h.frame()
	from := &h.ride.poller
	from.begin(readsAtOnce, ended)
	h.timeBegin(h.ride)
	stay := h.receive()
	last := h.concludes()
	sent := last || !h.pending() || h.sendNow()
	h.timeEnd()
	h.countCarried()
	if last || !sent || !stay {
		return nextLeave
	}
	h.rest()
	if from.more() {
		return nextAgain
	}
	return nextWait
}

// receive reads and takes events until there is nothing more to be had now, or
// enough for one write.
func (h *healer) receive() (stay bool) {
	b := &h.attempt.body
	for !h.tooLarge() && h.in.room() {
		n, err := b.poll(&h.ride.poller, h)
		h.in.took(n)
		if n > 0 {
			if h.met, h.metIn = h.take(); h.met != stream.More {
				return false
			}
		}
		if err == errAgain {
			return h.goesOn() && !h.beginsToHold()
		}
		if err != nil {
			h.rode = err
			return false
		}
		if len(h.out) >= fastInbox/2 && b.conn.spaced != nil && h.goesOn() {
			return true
		}
	}
	h.ashore = mustRead
	return false
}

// goesOn tells that the attempt is in the middle of its answer, so that more
// will come.
func (h *healer) goesOn() bool {
	b := &h.attempt.body
	return !b.ended && b.broken == nil && !h.splice.Finished()
}

// beginsToHold tells that text has come which is held back, where none was, or only
// what was a part of the repeat. That must not last: the loop, which knows how long
// the stream may be silent from when it boarded, is to be asked anew.
func (h *healer) beginsToHold() bool {
	was := h.holdUntil
	h.watchHeld()
	return !h.holdUntil.IsZero() && !h.holdUntil.Equal(was)
}

// sendNow writes what is pending as one chunk. It is false when the client
// does not take all of it now.
func (h *healer) sendNow() bool {
	h.e.record.bytes += int64(len(h.out) - frameRoom)
	frame := sealFrame(h.out)
	n := writeNow(h.clientFD, frame)
	if n < len(frame) {
		h.unsent = frame[n:]
		return false
	}
	h.out = emptyFrame(h.out)
	h.noteJoined()
	return true
}

// rest gives the memory back that an idle stream does not need.
func (h *healer) rest() {
	h.in.giveBack()
	h.dropFrame()
}

// warm reads the memory that ready will need.
func (h *healer) warm() byte {
	a, e := h.attempt, h.e
	n := warm(unsafe.Pointer(h), unsafe.Sizeof(*h)) + warm(unsafe.Pointer(&a.body), unsafe.Sizeof(a.body))
	n += byte(e.record.bytes) + byte(e.deadline.Unix())
	if text := h.splice.Transcript().Newest(); len(text) > 0 {
		n += text[len(text)-1]
	}
	return n
}

// warm reads one byte of each cache line of size bytes at p. What it reads
// means nothing, so it may be in the middle of being written.
//
//go:norace
func warm(p unsafe.Pointer, size uintptr) (sum byte) {
	const line = 64
	for at := uintptr(0); at < size; at += line {
		sum += *(*byte)(unsafe.Add(p, at))
	}
	return sum
}
