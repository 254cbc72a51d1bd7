package routing

import (
	"sync"
	"time"
)

// TargetSpec is what the configuration says of a target for choosing it.
type TargetSpec struct {
	// Name tells the target from others in the same group.
	Name string
	// Weight is the share of the load, relative to the others; at least 1.
	Weight int
	// Priority is the rank: targets of the lowest number are used as long as
	// one of them is admitted.
	Priority int
	// Zone names what fails together. A retry prefers another one.
	Zone string
}

// Balancer chooses among the targets of a group and keeps the ones away that
// fail. It is safe for concurrent use.
//
// Among the admitted targets of the best priority, two are drawn at random by
// their weights and the one with the lesser load for its weight is taken: that
// keeps loads even without the herds that "the least loaded" makes
// (https://www.eecs.harvard.edu/~michaelm/postscripts/handbook2001.pdf).
type Balancer struct {
	ejection Ejection
	rand     func() float64

	mu      sync.Mutex
	targets []member
}

// member is a target and its state.
type member struct {
	TargetSpec
	running int
	health
}

// NewBalancer returns a Balancer of at least one target, all admitted. random
// returns a number in [0, 1) and is called under a lock.
func NewBalancer(specs []TargetSpec, e Ejection, random func() float64) *Balancer {
	b := &Balancer{ejection: e, rand: random, targets: make([]member, len(specs))}
	for i, s := range specs {
		s.Weight = max(1, s.Weight)
		b.targets[i].TargetSpec = s
	}
	return b
}

// Choice is a target on loan. Exactly one Release follows.
type Choice struct {
	// Index is the target's place in the specs.
	Index int
	// Probe says that the request decides whether the target, ejected until
	// now, is admitted again.
	Probe bool
}

// NoTarget avoids no target.
const NoTarget = -1

// Acquire chooses a target for one attempt. avoid is the index of the target
// that failed the request before: another one is taken when any is admitted,
// also of a worse priority, and of another zone where there is one.
func (b *Balancer) Acquire(now time.Time, avoid int) Choice {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := Choice{Index: b.choose(now, avoid)}
	m := &b.targets[c.Index]
	m.running++
	c.Probe = m.health.probe(now)
	return c
}

// AcquirePinned takes the target of the given index, whatever its state: what
// goes on there can go on nowhere else.
func (b *Balancer) AcquirePinned(now time.Time, index int) Choice {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := &b.targets[index]
	m.running++
	return Choice{Index: index, Probe: m.health.probe(now)}
}

// Admitted tells whether a request may go to the target of the given index, be it
// as a probe.
func (b *Balancer) Admitted(now time.Time, index int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.targets[index].admitted(now)
}

// choose returns the index of the target to take.
func (b *Balancer) choose(now time.Time, avoid int) int {
	best, found := 0, false
	for i := range b.targets {
		m := &b.targets[i]
		if i != avoid && m.admitted(now) && (!found || m.Priority < best) {
			best, found = m.Priority, true
		}
	}
	if !found {
		return b.last(now, avoid)
	}
	set := selection{now: now, avoid: avoid, priority: best}
	if avoid >= 0 && b.targets[avoid].Zone != "" {
		set.zone = b.targets[avoid].Zone
		if b.weigh(&set) == 0 {
			set.zone = ""
		}
	}
	total := b.weigh(&set)
	if set.returning >= 0 {
		return set.returning
	}
	one, two := b.draw(&set, total), b.draw(&set, total)
	if b.targets[two].lighter(&b.targets[one]) {
		return two
	}
	return one
}

// last is the choice when no other target than the one to avoid is admitted:
// that one, or whichever comes back first.
func (b *Balancer) last(now time.Time, avoid int) int {
	if avoid >= 0 && b.targets[avoid].admitted(now) {
		return avoid
	}
	soonest := 0
	for i := range b.targets {
		if b.targets[i].until.Before(b.targets[soonest].until) {
			soonest = i
		}
	}
	return soonest
}

// selection says which targets are drawn from.
type selection struct {
	now       time.Time
	avoid     int
	priority  int
	zone      string // to stay out of, "" for none
	returning int    // one that is to be probed, -1 for none
}

func (b *Balancer) selected(s *selection, i int) bool {
	m := &b.targets[i]
	return i != s.avoid && m.Priority == s.priority && (s.zone == "" || m.Zone != s.zone) && m.admitted(s.now)
}

// weigh returns the sum of the weights to draw from, and notes a target that
// waits for a probe.
func (b *Balancer) weigh(s *selection) (total int) {
	s.returning = -1
	for i := range b.targets {
		if !b.selected(s, i) {
			continue
		}
		total += b.targets[i].Weight
		if !b.targets[i].until.IsZero() {
			s.returning = i
		}
	}
	return total
}

// draw returns a target at random, by weight.
func (b *Balancer) draw(s *selection, total int) int {
	n := min(int(b.rand()*float64(total)), total-1)
	last := 0
	for i := range b.targets {
		if !b.selected(s, i) {
			continue
		}
		last = i
		if n -= b.targets[i].Weight; n < 0 {
			break
		}
	}
	return last
}

// lighter tells whether m has less to do for its weight than other.
func (m *member) lighter(other *member) bool {
	return m.running*other.Weight < other.running*m.Weight
}

// Answered says that the attempt on c has got a beginning of an answer. That is
// enough for a probe: a stream may run for minutes. c is no probe afterwards.
func (b *Balancer) Answered(c *Choice, now time.Time) {
	if !c.Probe {
		return
	}
	b.mu.Lock()
	b.targets[c.Index].health.back(now, &b.ejection)
	b.mu.Unlock()
	c.Probe = false
}

// Blame notes how an attempt on c failed, for whoever looks at the states.
func (b *Balancer) Blame(c Choice, o Outcome) {
	b.mu.Lock()
	b.targets[c.Index].reason = o
	b.mu.Unlock()
}

// Release ends the loan of c with what the attempt says of its target. It
// returns for how long the target is ejected now because of it, 0 if it is not.
func (b *Balancer) Release(c Choice, s Sign, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := &b.targets[c.Index]
	m.running--
	switch s {
	case Alive:
		m.health.alive(c.Probe, now)
	case Failed:
		if m.health.failed(c.Probe, &b.ejection) && b.others(c.Index) {
			return m.health.eject(now, &b.ejection, b.rand())
		}
	default:
		m.probing = m.probing && !c.Probe
	}
	if c.Probe && s == Failed {
		// The last one is not ejected, though its probe failed.
		m.health.back(now, &b.ejection)
	}
	return 0
}

// Others tells whether a target beside the one of the given index is admitted,
// be it for a probe.
func (b *Balancer) Others(now time.Time, index int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.targets {
		if i != index && b.targets[i].admitted(now) {
			return true
		}
	}
	return false
}

// others tells whether a target beside the given one is admitted.
func (b *Balancer) others(index int) bool {
	for i := range b.targets {
		if i != index && b.targets[i].until.IsZero() {
			return true
		}
	}
	return false
}

// TargetState is what is shown of a target.
type TargetState struct {
	TargetSpec
	// Running is the number of attempts on it.
	Running int
	// Failures counts those in a row that a gateway would be blamed for.
	Failures int
	// Ejections counts the times it was ejected without a long good time in
	// between.
	Ejections int
	// Reason is how the last failure came about, 0 when there was none.
	Reason Outcome
	// Until is when it may come back, zero while it is admitted.
	Until time.Time
	// Probing is true while one request tries whether it is back.
	Probing bool
}

// States appends the states of all targets in the order of their specs.
func (b *Balancer) States(dst []TargetState) []TargetState {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.targets {
		m := &b.targets[i]
		dst = append(dst, TargetState{
			TargetSpec: m.TargetSpec, Running: m.running,
			Failures: m.failures, Reason: m.reason, Ejections: m.ejections, Until: m.until, Probing: m.probing,
		})
	}
	return dst
}

// Adopt takes the states of the targets of old that are here too, by name, for
// a configuration that was loaded again. Loans of old stay with old.
func (b *Balancer) Adopt(old *Balancer) {
	old.mu.Lock()
	defer old.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := false
	for i := range b.targets {
		for j := range old.targets {
			if b.targets[i].Name == old.targets[j].Name {
				b.targets[i].health = old.targets[j].health
				b.targets[i].probing = false
			}
		}
		kept = kept || b.targets[i].until.IsZero()
	}
	if !kept {
		// The last one is never ejected, also when the others are gone.
		b.targets[0].health = health{}
	}
}
