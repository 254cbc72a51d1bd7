package proxy

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
)

// maxSought is how many values of a request others are asked about: those that
// bind it most, and the newest signatures.
const maxSought = 256

// maxSeekers is how many requests may wait for such an answer.
const maxSeekers = 4096

// seekRests are the times after which a request asks again that nobody could tell
// anything: what it names was perhaps made a moment ago, and another replica is
// about to say so.
var seekRests = [...]time.Duration{5 * time.Millisecond, 20 * time.Millisecond}

// findElsewhere is findOrigin for a request that brings something of which this
// process knows nothing: it asks the other replicas, and goes on without what they
// do not say in time.
//
//go:noinline
func (e *exchange) findElsewhere(body []byte) {
	strange := sought{missed: &e.s.share.origins.missed, now: time.Now()}
	e.from = whence{}
	e.findHere(body, &strange)
	if e.seek(strange.values()) {
		e.from = whence{}
		e.findHere(body, nil)
	}
}

// sought are values of which this process knows nothing.
type sought struct {
	missed      *missed
	now         time.Time
	kept, turns [][]byte // turns are signatures
}

// add adds a copy of the value. A signature that nobody knew a moment ago is known
// to nobody.
func (s *sought) add(value []byte, t tie) {
	switch {
	case s == nil:
	case t != toTarget:
		s.kept = append(s.kept, bytes.Clone(value))
	case !s.missed.has(value, s.now):
		s.turns = append(s.turns, bytes.Clone(value))
	}
}

// values returns at most maxSought of them: those that bind a request most, and the
// newest signatures.
func (s *sought) values() [][]byte {
	kept := s.kept[:min(len(s.kept), maxSought)]
	return append(kept, s.turns[max(0, len(kept)+len(s.turns)-maxSought):]...)
}

// seek asks the other replicas where the values came from, and notes what they
// say. It tells whether that is anything.
func (e *exchange) seek(values [][]byte) (found bool) {
	s := e.s.share
	defer s.seekers.Add(-1)
	if s.seekers.Add(1) > maxSeekers || len(values) == 0 {
		return false
	}
	now := time.Now()
	until := now.Add(leasePatience)
	patient := slices.ContainsFunc(values, func(value []byte) bool { return !s.origins.missed.has(value, now) })
	for _, rest := range append(seekRests[:], 0) {
		q := newQuestion(values)
		if !e.ask(q, until) {
			s.metrics.origins.WithLabelValues("none").Inc()
			return false
		}
		for i, value := range values {
			if o := q.answers[i]; o.Group != "" {
				e.s.origins.Note(value, o)
				found = true
			} else {
				s.origins.missed.add(value, now)
			}
		}
		if found {
			s.metrics.origins.WithLabelValues("found").Inc()
			return true
		}
		if !patient || rest == 0 || e.sleep(rest) != nil {
			break
		}
	}
	s.metrics.origins.WithLabelValues("unknown").Inc()
	return false
}

func newQuestion(values [][]byte) *question {
	q := &question{names: make([]string, len(values)), shelves: make([]shelf, len(values)), answers: make([]routing.Origin, len(values)), done: make(chan struct{})}
	for i, value := range values {
		q.names[i] = valueName(value)
		q.shelves[i], _ = shelfOf(value)
	}
	return q
}

// ask waits for the answer to a question, and is false without one.
func (e *exchange) ask(q *question, until time.Time) bool {
	select {
	case e.s.share.origins.asked <- q:
	default:
		return false
	}
	e.watch()
	t := fasthttp.AcquireTimer(time.Until(until))
	defer fasthttp.ReleaseTimer(t)
	select {
	case <-q.done:
		return q.heard
	case <-t.C:
	case <-e.wake:
		// Others may wait for the same signal.
		e.wake <- struct{}{}
	}
	return false
}

// missed are values that no replica knew of a moment ago: whoever names them does
// not wait for somebody to tell. They are forgotten after a minute or two.
type missed struct {
	mu  sync.Mutex
	at  time.Time
	set *routing.Origins
}

const (
	maxMissed  = 4096
	missedLife = time.Minute
)

func (m *missed) has(value []byte, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.set == nil || now.Sub(m.at) > missedLife {
		return false
	}
	_, known := m.set.Find(value)
	return known
}

func (m *missed) add(value []byte, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.set == nil || now.Sub(m.at) > missedLife {
		m.at, m.set = now, routing.NewOrigins(maxMissed)
	}
	m.set.Note(value, routing.Origin{})
}
