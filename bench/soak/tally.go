package main

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// way is what a time was taken of.
type way int

const (
	wayThrough way = iota // to the first event, through the proxy
	wayDirect             // to the first event, without it
	wayShort              // a short relayed request, whole
	ways
)

// tally is what the clients saw.
type tally struct {
	arrivals atomic.Int64
	skipped  atomic.Int64 // arrivals that were left out, since too many ran
	open     atomic.Int64
	counts   [verdicts]atomic.Int64

	mu     sync.Mutex
	times  [ways][]time.Duration // since the last cut
	faults []string              // the first of them
}

// maxFaults bounds how many failures are told in words.
const maxFaults = 20

func (t *tally) note(form string, v verdict, err error) {
	t.counts[v].Add(1)
	if err == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.faults) < maxFaults {
		t.faults = append(t.faults, time.Now().Format(time.TimeOnly)+" "+verdictNames[v]+": "+err.Error())
	}
}

func (t *tally) time(w way, d time.Duration) {
	t.mu.Lock()
	t.times[w] = append(t.times[w], d)
	t.mu.Unlock()
}

// cut returns p50 and p99 of the times since the last cut, in milliseconds, and
// begins anew. They are negative when there was none.
func (t *tally) cut() (p50, p99 [ways]float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for w := range t.times {
		slices.Sort(t.times[w])
		p50[w], p99[w] = quantile(t.times[w], 0.50), quantile(t.times[w], 0.99)
		t.times[w] = t.times[w][:0]
	}
	return p50, p99
}

// quantile of sorted times, in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return -1
	}
	return float64(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Microseconds()) / 1000
}
