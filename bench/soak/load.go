package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// load is the stream of arrivals.
type load struct {
	client  *client
	open    int64 // at most so many requests at a time
	rate    float64
	running sync.WaitGroup
	next    int
}

// arrive begins requests at random moments until ctx is done.
func (l *load) arrive(ctx context.Context) {
	t := l.client.tally
	due := time.Now()
	for {
		due = due.Add(time.Duration(rand.ExpFloat64() / l.rate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
		} else if ctx.Err() != nil {
			return
		}
		t.arrivals.Add(1)
		if t.open.Load() >= l.open {
			t.skipped.Add(1)
			continue
		}
		l.next++
		n, f, at := l.next, pick(rand.IntN(100)), due
		t.open.Add(1)
		l.running.Go(func() {
			defer t.open.Add(-1)
			v, err := f.run(l.client, n, at)
			t.note(f.name, v, err)
		})
	}
}
