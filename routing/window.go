package routing

import "time"

// window counts what happened within the last span of seconds, to the second.
// Seconds are those since the first call, which no setting of the clock changes:
// times with a monotonic reading tell them (see package time).
// Times without that may stand still or go back: what happens then counts for the
// newest second known. Whoever holds a window guards it.
type window struct {
	slots []int64 // by second, a ring
	sum   int64
	at    int64     // the newest second, in Unix time as it was at epoch, 0 before the first
	epoch time.Time // the begin of the first second, zero before that
}

// newWindow returns a window over the given whole seconds. What happened in a
// second is forgotten when span seconds have passed since its end, so that no
// stretch of span seconds ever holds more than the window says.
func newWindow(span time.Duration) window {
	return window{slots: make([]int64, int(span/time.Second)+1)}
}

// second returns the second that now is in.
func (w *window) second(now time.Time) int64 {
	if w.epoch.IsZero() {
		w.epoch = now.Add(-time.Duration(now.Nanosecond()))
	}
	return w.epoch.Unix() + int64(now.Sub(w.epoch)/time.Second)
}

// total returns the count of the span that ends now.
func (w *window) total(now time.Time) int64 {
	w.advance(w.second(now))
	return w.sum
}

// add counts n more.
func (w *window) add(now time.Time, n int64) {
	w.advance(w.second(now))
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
	w.advance(w.second(now))
	n, sum := int64(len(w.slots)), w.sum
	for s := w.at - n + 1; s <= w.at; s++ {
		if sum < limit {
			break
		}
		if s < 0 {
			continue
		}
		if sum -= w.slots[s%n]; sum < limit {
			return w.epoch.Add(time.Duration(s+n-w.epoch.Unix()) * time.Second).Sub(now)
		}
	}
	return 0
}
