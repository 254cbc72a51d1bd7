package proxy

import (
	"io"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// read takes the events that have come, and reads more when there are none.
func (h *healer) read() {
	v, payload := h.met, h.metIn
	switch {
	case h.one != nil && h.one.document:
		h.readDocument()
		return
	case h.unproven && !h.proves():
		return
	case v == stream.More && !h.unproven:
		v, payload = h.take()
	}
	if h.met, h.metIn = stream.More, nil; v != stream.More {
		h.judge(v, payload, nil)
		return
	}
	if h.cutsHere() {
		h.ended(errChaos)
		return
	}
	if !h.pending() && !h.boardable() {
		h.readMore()
	}
}

// readMore reads, when there is nothing for the client and no loop to do it. It is not inlined, so that
// what it needs is not on the stack while events are parsed, see Chunk.begin.
//
//go:noinline
func (h *healer) readMore() {
	h.watchHeld()
	if h.tooLarge() || !h.in.room() {
		h.broke(routing.Cut, errLargeEvent)
		return
	}
	n, err := h.fill()
	h.timeBegin(nil)
	if err != nil && n == 0 && !h.settled(err) {
		h.ended(err)
	}
}

// tooLarge tells that an event of many lines outgrows the bound. One of a
// single line outgrows the inbox.
func (h *healer) tooLarge() bool { return h.scanner.Held() > maxEvent }

// take takes the events that have come, up to the first that decides on the
// attempt, and returns that one's payload.
func (h *healer) take() (v stream.Verdict, payload []byte) {
	if h.ashore == mustTake {
		h.ashore = mayBoard
	}
	for {
		h.takeSame()
		if !h.nextEvent() {
			return stream.More, nil
		}
		if h.e.group.bound {
			h.e.learn(h.event.Data)
		}
		h.frameFor(len(h.event.Data))
		if h.out, v = h.splice.Take(h.out, h.event); v != stream.More {
			return v, h.event.Data
		}
		if h.cutsHere() {
			return stream.More, nil
		}
	}
}

// nextEvent cuts the next event out of what has come.
//
//go:noinline
func (h *healer) nextEvent() (ok bool) {
	var n int
	h.event, n, ok = h.scanner.Next(h.in.bytes())
	h.in.consume(n)
	return ok
}

// takeSame takes the events that are like the one before them.
func (h *healer) takeSame() {
	if h.scanner.BetweenEvents() && h.e.cfg.ChaosCutAfter == 0 {
		var n int
		h.out, n = h.splice.TakeSame(h.out, h.in.bytes())
		h.in.consume(n)
	}
}

// cutsHere tells that CHAOS_CUT_AFTER wants the attempt to end.
func (h *healer) cutsHere() bool {
	n := h.e.cfg.ChaosCutAfter
	return n > 0 && h.splice.Events() >= n && !h.splice.Finished()
}

// fill reads once. A healer is the space that is read to: while the upstream
// is silent it holds memory for neither side.
func (h *healer) fill() (n int, err error) {
	if err = h.rode; err != nil {
		h.rode = nil
		return 0, err
	}
	if b := &h.attempt.body; len(b.early) == 0 && !b.ended {
		// A short answer, which comes with its head, is not waited for.
		h.e.watch()
	}
	if h.src != io.Reader(&h.attempt.body) {
		return h.in.readFrom(h.src)
	}
	n, err = h.attempt.body.readSpace(h)
	h.in.took(n)
	h.ashore = mustTake
	h.frame()
	return n, err
}

func (h *healer) lend() []byte { return h.in.lend() }

func (h *healer) giveBack() {
	h.in.giveBack()
	h.dropFrame()
}

// frame makes sure that there is a frame to append to.
func (h *healer) frame() {
	if h.out == nil {
		h.outMem = getFrame(h.in.fast)
		h.out = emptyFrame(h.outMem.B)
	}
}

// frameFor makes room in the frame for a payload of n bytes, where appending it
// would leave much garbage.
func (h *healer) frameFor(n int) {
	if n < largePayload || h.outMem == nil || cap(h.out)-len(h.out) >= n+frameRoom {
		return
	}
	h.outMem.B = h.out
	h.outMem.reach(len(h.out) + n + largePayload/8)
	h.out = h.outMem.B
}

// largePayload is the size in bytes of a payload for which a frame has no room as
// a rule.
const largePayload = 16 << 10

// dropFrame gives a frame's memory back. What was in it has been written.
func (h *healer) dropFrame() {
	if h.outMem != nil {
		h.outMem.B = h.out
		putFrame(h.outMem)
		h.out, h.outMem = nil, nil
	}
}
