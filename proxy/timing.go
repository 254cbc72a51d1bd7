package proxy

import (
	"sync/atomic"
	"time"
)

// timedEvery is how many reads of a stream there are for one that is timed: the
// clock costs a hundredth of an event, and a sample is enough.
const timedEvery = 32

// timeBegin is called when something was read from the upstream, or is there to
// be read by a ride. A read before it that led to nothing is not timed.
func (h *healer) timeBegin(on *ride) {
	h.readAt = time.Time{}
	if h.turns++; h.turns%timedEvery != 0 {
		return
	}
	if h.readAt = time.Now(); on != nil && on.state.Load() != rideOff {
		// The wait for those that the loop serves before counts as well.
		h.readAt = on.last
	}
}

// timeEnd is called when what was read has been written to the client.
func (h *healer) timeEnd() {
	if !h.readAt.IsZero() {
		h.e.s.metrics.added.Observe(time.Since(h.readAt).Seconds())
		h.readAt = time.Time{}
	}
}

// countAtOnce is how many events of a stream that no loop carries are counted
// together: the counter is shared by all processors.
const countAtOnce = 8

// countEvents counts what has come since the last time, a little of it later.
func (h *healer) countEvents() {
	if h.phase != phaseRead || h.splice.Events()-h.counted >= countAtOnce {
		h.countAll(&h.e.s.metrics.events)
	}
}

// countCarried counts what has come during a ride. Only the loop writes to its
// counter.
func (h *healer) countCarried() {
	if l := h.ride.loop; l != nil {
		h.countAll(&l.use.events)
	}
}

func (h *healer) countAll(to *atomic.Int64) {
	if n := h.splice.Events() - h.counted; n > 0 {
		to.Add(int64(n))
		h.counted += n
	}
}

// eventsEver returns how many events have come from upstreams.
func (s *Server) eventsEver() int64 {
	n := s.metrics.events.Load()
	for _, l := range s.loops {
		n += l.use.events.Load()
	}
	return n
}
