package proxy

import "time"

// timedEvery is how many reads of a stream there are for one that is timed: the
// clock costs a hundredth of an event, and a sample is enough.
const timedEvery = 32

// timeBegin is called when something was read from the upstream, or is there to
// be read. A read before it that led to nothing is not timed.
func (h *healer) timeBegin() {
	h.readAt = time.Time{}
	if h.turns++; h.turns%timedEvery == 0 {
		h.readAt = time.Now()
	}
}

// timeEnd is called when what was read has been written to the client.
func (h *healer) timeEnd() {
	if !h.readAt.IsZero() {
		h.e.s.metrics.added.Observe(time.Since(h.readAt).Seconds())
		h.readAt = time.Time{}
	}
}

// countEvents adds the events that have come since the last call.
func (h *healer) countEvents() {
	if n := h.splice.Events() - h.counted; n > 0 {
		h.e.s.metrics.events.Add(int64(n))
		h.counted += n
	}
}
