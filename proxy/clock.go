package proxy

import "time"

// began is about when the program did, with a reading of the clock that nobody sets.
var began = time.Now()

// ticks is a time as a number, which goroutines can share: nanoseconds since the
// program began, never 0. A time of the wall clock would not do: when that is set
// forward, whatever is idle would have been so for too long, and when it is set
// back, nothing for as long.
func ticks(t time.Time) int64 {
	if n := int64(t.Sub(began)); n != 0 {
		return n
	}
	return 1
}

// atTick is the time of ticks.
func atTick(n int64) time.Time { return began.Add(time.Duration(n)) }
