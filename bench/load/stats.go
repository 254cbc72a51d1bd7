package main

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// timing is one kind of duration that is recorded.
type timing int

const (
	latency timing = iota // an event, from its planned moment
	transit               // an event, from its actual write
	late                  // the upstream's own lateness
	first                 // begin of a stream to its first event
	gap                   // between two events of a stream
	seam                  // last event before an ordered cut to the first behind it
	answer                // a short request, whole
	timings
)

var timingNames = [timings]string{"latency", "transit", "late", "first", "gap", "seam", "answer"}

// The longest duration that is told from longer ones.
const longest = 5 * time.Minute

// shards is the number of histogram sets that connections share.
const shards = 8

// stats is what a run has seen. Safe for concurrent use.
type stats struct {
	begin, end atomic.Int64 // the window, in Unix nanoseconds

	events, streams, requests, bytes atomic.Int64 // in the window
	open                             atomic.Int64 // streams that have had an event and go on
	faults                           [faults]atomic.Int64
	firstFault                       atomic.Value // string

	shard [shards]shard
}

type shard struct {
	mu   sync.Mutex
	hist [timings]*hdrhistogram.Histogram
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(longest), 3)
}

func newStats() *stats {
	s := new(stats)
	for i := range s.shard {
		for t := range timings {
			s.shard[i].hist[t] = newHistogram()
		}
	}
	return s
}

// fault is a kind of error. All are counted, in the window or not.
type fault int

const (
	dialFault   fault = iota // no connection
	statusFault              // a response that is no 200
	brokenFault              // a body that breaks off
	unfinished               // a stream that ends without a finish
	lost                     // events that never came
	doubled                  // events that came again, or late
	overdue                  // arrivals for which no stream was free
	faults
)

var faultNames = [faults]string{"dial", "status", "broken", "unfinished", "lost", "doubled", "overdue"}

// fail counts n faults of a kind.
func (s *stats) fail(f fault, n int, err error) {
	s.faults[f].Add(int64(n))
	if err != nil {
		s.firstFault.CompareAndSwap(nil, faultNames[f]+": "+err.Error())
	}
}

// inside says whether a moment is in the window.
func (s *stats) inside(at int64) bool {
	return at >= s.begin.Load() && at < s.end.Load()
}

// record adds a duration in nanoseconds to the set of the given connection.
func (s *stats) record(connection int, t timing, d int64) {
	sh := &s.shard[connection%shards]
	sh.mu.Lock()
	sh.hist[t].RecordValue(min(max(d, 0), int64(longest)))
	sh.mu.Unlock()
}

// merged is all that was recorded of a kind.
func (s *stats) merged(t timing) *hdrhistogram.Histogram {
	h := newHistogram()
	for i := range s.shard {
		sh := &s.shard[i]
		sh.mu.Lock()
		h.Merge(sh.hist[t])
		sh.mu.Unlock()
	}
	return h
}
