package routing

import "time"

// window counts what happened within the last span of seconds, to the second.
// The clock may stand still or go back: what happens then counts for the newest
// second known. Whoever holds a window guards it.
type window struct {
	slots []int64 // by second, a ring
	sum   int64
	at    int64 // the newest second, 0 before the first
}

// newWindow returns a window over the given whole seconds. What happened in a
// second is forgotten when span seconds have passed since its end, so that no
// stretch of span seconds ever holds more than the window says.
func newWindow(span time.Duration) window {
	return window{slots: make([]int64, int(span/time.Second)+1)}
}

// total returns the count of the span that ends now.
func (w *window) total(now time.Time) int64 {
	w.advance(now.Unix())
	return w.sum
}

// add counts n more.
func (w *window) add(now time.Time, n int64) {
	w.advance(now.Unix())
	w.slots[w.at%int64(len(w.slots))] += n
	w.sum += n
}

// advance forgets what is older than the span.
func (w *window) advance(second int64) {
	if second <= w.at {
		return
	}
	n := int64(len(w.slots))
	for s := max(w.at+1, second-n+1); s <= second; s++ {
		w.sum -= w.slots[s%n]
		w.slots[s%n] = 0
	}
	w.at = second
}

// untilBelow returns the time after which less than limit is counted, if
// nothing is added, 0 when it is so now.
func (w *window) untilBelow(now time.Time, limit int64) time.Duration {
	w.advance(now.Unix())
	n, sum := int64(len(w.slots)), w.sum
	for s := w.at - n + 1; s <= w.at; s++ {
		if sum < limit {
			break
		}
		if s < 0 {
			continue
		}
		if sum -= w.slots[s%n]; sum < limit {
			return time.Unix(s+n, 0).Sub(now)
		}
	}
	return 0
}
