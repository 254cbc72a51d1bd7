package proxy

import (
	"runtime"
	"sync/atomic"
	"time"
)

// loops are the loops of a server, one for each processor. Few busy loops are
// cheaper than many idle ones, since what comes together is then done in one
// wake-up: a loop takes streams until it is busy, and gives some away when it
// goes on being too busy.
type loops []*loop

func openLoops(panicked func(where string, p any)) (loops, error) {
	var all loops
	for range runtime.GOMAXPROCS(0) {
		l, err := newLoop(panicked)
		if err != nil {
			all.close()
			return nil, err
		}
		all = append(all, l)
	}
	for _, l := range all {
		l.others = all
	}
	return all, nil
}

func (all loops) close() {
	for _, l := range all {
		l.close()
	}
}

// Shares of its time that a loop works, in a thousand.
const (
	busy    = 500 // streams that come now go to another loop
	tooBusy = 700 // streams are given away, when it goes on
)

// patience is for how many windows a loop is too busy before it gives streams
// away. They do not come back, and a thousand streams that begin together, or a
// collection, are soon over.
const patience = 3

// choose returns the first loop that is not busy, or the least busy one.
func (all loops) choose() *loop {
	now := ticks(time.Now())
	least, share := all[0], all[0].use.share(now)
	for _, l := range all[1:] {
		if share < busy {
			break
		}
		if s := l.use.share(now); s < share {
			least, share = l, s
		}
	}
	return least
}

// idle tells whether a loop other than l is not busy, so that its processor has
// time.
func (all loops) idle(l *loop, now int64) bool {
	for _, other := range all {
		if other != l && other.use.share(now) < busy {
			return true
		}
	}
	return false
}

// usage measures how busy a loop is. It is written by the loop alone.
type usage struct {
	began   int64 // of the window, in ticks
	worked  int64 // ns in the window
	settled atomic.Int64
	last    atomic.Int64 // share of the window before, in a thousand
	crammed int          // windows in a row in which the loop was too busy
	events  atomic.Int64 // of streams, that the loop has passed on
}

// window is what a share is measured over.
const window = 100 * time.Millisecond

// work adds the time from begin to end and tells whether a window is over.
func (u *usage) work(begin, end int64) bool {
	u.worked += end - begin
	if end-u.began < int64(window) {
		return false
	}
	share := 1000 * u.worked / (end - u.began)
	if u.crammed++; share < tooBusy {
		u.crammed = 0
	}
	u.last.Store(share)
	u.settled.Store(end)
	u.began, u.worked = end, 0
	return true
}

// share returns the loop's share at now, 0 when it has not worked lately.
func (u *usage) share(now int64) int64 {
	if now-u.settled.Load() > 4*int64(window) {
		return 0
	}
	return u.last.Load()
}
