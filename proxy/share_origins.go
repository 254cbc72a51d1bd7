package proxy

import (
	"bytes"
	"sync/atomic"
	"time"

	"gemini-resilient-proxy/routing"
)

const (
	// sharedOrigins is how many origins the server keeps on each shelf at least;
	// it is never more than twice as many.
	sharedOrigins = 1 << 16
	// noteBatch and askBatch bound one script: a server does nothing else
	// meanwhile.
	noteBatch, askBatch = 256, 1024
	// maxUntold is how many origins of a shelf wait for a server that is gone or
	// slow, or are told again to one that has lost its data; the oldest are dropped.
	maxUntold = 4096
	// maxLearned bounds the bytes that wait to be hashed.
	maxLearned = 4 << 20
)

// originShare tells other replicas where things came from that the API keeps, and
// asks them. One goroutine talks to the server, so that what many requests learn
// or ask goes in one round trip.
type originShare struct {
	s      *sharer
	kept   chan learned // what is on shelfTurns has a queue of its own
	turns  chan learned
	asked  chan *question
	wake   chan struct{}
	bytes  atomic.Int64 // in the queues
	deaf   atomic.Bool  // the server did not answer, or it is over: nobody asks
	missed missed
	lost   atomic.Bool // the server has lost what it was told

	// What follows is the goroutine's.
	notes     [shelves]backlog
	questions []*question
	asking    int // how many of them are under way
	st        *state
	places    *sharedPlaces
	failures  int
	until     time.Time // when the server is tried again
	talks     int64     // of the sharer, at the first failure
	causes    shareCauses
	warned    bool
}

// learned is where a value came from.
type learned struct {
	value []byte
	from  routing.Origin
	st    *state // that from names a place of
}

// note is what the server is told of it.
type note struct {
	name, place string
	until       time.Time // when it is of no use any more
}

// seconds is for how long it is of use, in whole seconds.
func (n *note) seconds(now time.Time) int64 { return max(1, int64(n.until.Sub(now)/time.Second)) }

// question asks where values came from, of which the asker knows nothing.
type question struct {
	names   []string
	shelves []shelf
	answers []routing.Origin // of no group where nothing is known
	heard   bool             // the server has answered
	done    chan struct{}    // closed with the answer
}

func newOriginShare(s *sharer) *originShare {
	return &originShare{
		s: s, kept: make(chan learned, 1024), turns: make(chan learned, 1024), asked: make(chan *question, 1024), wake: make(chan struct{}, 1),
	}
}

// learned notes where a value came from, for the others. It does not wait; value
// is the caller's.
func (s *sharer) learned(value []byte, from routing.Origin, st *state) {
	if s == nil || len(value) == 0 {
		return
	}
	o, queue := s.origins, s.origins.kept
	if on, _ := shelfOf(value); on == shelfTurns {
		queue = o.turns
	}
	if o.bytes.Add(int64(len(value))) <= maxLearned {
		select {
		case queue <- learned{bytes.Clone(value), from, st}:
			return
		default:
		}
	}
	o.bytes.Add(-int64(len(value)))
	s.metrics.untold.Inc()
}

// mayAsk tells whether there is somebody to ask.
func (s *sharer) mayAsk() bool { return s != nil && s.up.Load() && !s.origins.deaf.Load() }

// run tells and asks until stop is closed.
func (o *originShare) run(stop <-chan struct{}) {
	defer o.end()
	for {
		var due <-chan time.Time
		var t *time.Timer
		if o.failures > 0 && o.s.up.Load() {
			t = time.NewTimer(time.Until(o.until))
			due = t.C
		}
		over := false
		select {
		case <-stop:
			over = true
		case l := <-o.kept:
			o.take(l)
		case l := <-o.turns:
			o.take(l)
		case q := <-o.asked:
			o.questions = append(o.questions, q)
		case <-o.wake:
			o.until = time.Time{}
		case <-due:
		}
		if t != nil {
			t.Stop()
		}
		for o.gather() && o.talk() {
		}
		o.answerNone()
		if over {
			return
		}
	}
}

// end answers whoever still asks.
func (o *originShare) end() {
	o.deaf.Store(true)
	o.gather()
	o.answerNone()
}

// tellAgain has the server told again what it was told, since it has lost that. It
// does not wait.
func (o *originShare) tellAgain() {
	o.lost.Store(true)
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// gather takes what is there and tells whether there is anything to talk of.
func (o *originShare) gather() bool {
	if o.lost.Swap(false) {
		for on := range o.notes {
			o.notes[on].again()
		}
	}
	for range cap(o.asked) {
		select {
		case l := <-o.kept:
			o.take(l)
			continue
		case q := <-o.asked:
			o.questions = append(o.questions, q)
			continue
		default:
		}
		select {
		case l := <-o.turns:
			o.take(l)
			continue
		default:
		}
		break
	}
	some := len(o.questions) > 0 || o.failures > 0
	for on := range o.notes {
		some = some || o.notes[on].untold > 0
	}
	return some
}

// take puts what was learned among what is to be told.
func (o *originShare) take(l learned) {
	o.bytes.Add(-int64(len(l.value)))
	on, keep := shelfOf(l.value)
	n := note{name: valueName(l.value), until: time.Now().Add(keep)}
	if n.place = placeName(l.st, n.name, l.from); n.place == "" {
		return
	}
	if !o.notes[on].add(n) {
		o.s.metrics.untold.Inc()
	}
}

// answerNone says that nothing is known to whoever still asks.
func (o *originShare) answerNone() {
	for _, q := range o.questions {
		close(q.done)
	}
	clear(o.questions)
	o.questions = o.questions[:0]
}

// fail leaves the server alone for a while. What is wrong is said here when the
// sharer still gets on with it, and else by that.
func (o *originShare) fail(err error, now time.Time) {
	o.s.metrics.failures.Inc()
	talks := o.s.talks.Load()
	if o.failures == 0 {
		o.talks = talks
	}
	o.deaf.Store(true)
	o.until = now.Add(min(aloneFirst<<min(o.failures, 10), aloneMost))
	o.failures++
	if talks <= o.talks+2 {
		return
	}
	if text, isNew := o.causes.news(err); isNew {
		o.warned = true
		o.s.log.Warn("where files and conversations belong is not shared with other replicas", "error", text)
	}
}

// work says that the server answers.
func (o *originShare) work() {
	o.failures = 0
	o.deaf.Store(false)
	if o.warned {
		o.warned = false
		o.causes.over()
		o.s.log.Info("where files and conversations belong is shared with other replicas")
	}
}
