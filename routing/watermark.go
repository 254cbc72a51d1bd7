package routing

import "sync/atomic"

// Where a process that fills its memory stops taking new streams, and where it
// begins again, in percent of its limit. The gap between them keeps it from
// changing its mind with every stream.
const (
	highWater = 90
	lowWater  = 80
)

// Watermark decides whether memory is too short for new streams. The zero value
// has seen nothing and takes them. It is safe for concurrent use.
type Watermark struct {
	over atomic.Bool
}

// Observe notes how much memory is in use and what the limit is, both in bytes;
// no limit is 0.
func (w *Watermark) Observe(used, limit uint64) {
	switch {
	case limit == 0:
		w.over.Store(false)
	case used >= limit/100*highWater:
		w.over.Store(true)
	case used < limit/100*lowWater:
		w.over.Store(false)
	}
}

// Over tells whether new streams are to be refused.
func (w *Watermark) Over() bool { return w.over.Load() }
