package bench

import (
	"fmt"
	"math/rand/v2"
	"time"

	"gemini-resilient-proxy/routing"
)

// groupStrategy is what the proxy does with a group: its own parts, on a clock
// of the simulation.
type groupStrategy struct {
	balancer *routing.Balancer
	keys     *routing.Keyring
	budget   *routing.Budget
	policy   routing.Policy
	pacific  *time.Location
}

var outageModel = []byte("gemini-2.5-flash")

// dawn is when the simulated day begins: midnight in California.
var dawn = time.Date(2026, 7, 1, 7, 0, 0, 0, time.UTC)

func newGroupStrategy(seed uint64) *groupStrategy {
	rnd := rand.New(rand.NewPCG(seed, 7))
	zone := time.FixedZone("PDT", -7*60*60)
	keys := make([]routing.KeySpec, worldKeys)
	for i := range keys {
		keys[i] = routing.KeySpec{Name: fmt.Sprint("key ", i), Secret: routing.Secret(fmt.Sprint("key ", i))}
	}
	targets := make([]routing.TargetSpec, worldTargets)
	for i := range targets {
		targets[i].Name = fmt.Sprint("target ", i)
	}
	return &groupStrategy{
		balancer: routing.NewBalancer(targets, routing.Ejection{After: 5, Base: 30 * time.Second, Max: 300 * time.Second}, rnd.Float64),
		keys:     routing.NewKeyring(keys, 0),
		budget:   routing.NewBudget(0.2, 10),
		policy: routing.Policy{MaxConsecutive: worldAttempts - 1, MaxAttempts: 30, RetryAfterMax: 30 * time.Second,
			Backoff: routing.Backoff{Base: 250 * time.Millisecond, Max: 8 * time.Second, Rand: rnd.Float64}},
		pacific: zone,
	}
}

// lent is what a request has on loan.
type lent struct {
	routing.Ledger
	choice         routing.Choice
	target, badKey int
}

func (s *groupStrategy) name() string { return "group of the proxy" }

func (s *groupStrategy) begin(a *asked, _ time.Duration) {
	s.budget.Begin()
	a.state = &lent{target: routing.NoTarget, badKey: routing.NoKey}
}

func (s *groupStrategy) end(_ *asked, now time.Duration) { s.budget.End(dawn.Add(now)) }

func (s *groupStrategy) choose(a *asked, now time.Duration) (target, key int, wait time.Duration, ok bool) {
	l, at := a.state.(*lent), dawn.Add(now)
	key, wait = s.keys.Acquire(at, outageModel, l.badKey)
	if key == routing.NoKey {
		return 0, 0, wait, l.Attempts > 0 && wait <= s.policy.RetryAfterMax
	}
	l.choice = s.balancer.Acquire(at, l.target)
	l.Attempts++
	return l.choice.Index, key, 0, true
}

func (s *groupStrategy) answering(a *asked, now time.Duration) {
	s.balancer.Answered(&a.state.(*lent).choice, dawn.Add(now))
}

func (s *groupStrategy) after(a *asked, target, key int, r reply, now time.Duration) (wait time.Duration, again bool) {
	l, at := a.state.(*lent), dawn.Add(now)
	var o routing.Outcome
	switch {
	case r.status == 0 && r.first >= firstTimeout:
		o = routing.Stall
	case r.status == 0:
		o = routing.ConnectFailed
	case r.status != 200:
		o = routing.Status
	case r.cut:
		o = routing.Cut
	default:
		o = routing.Natural
	}
	refusal := routing.Refusal{Status: r.status, Spent: r.daily, Told: r.told, HasTold: r.told > 0}
	fate, until := refusal.Fate(at, s.pacific)
	switch fate {
	case routing.KeyParked:
		s.keys.Park(key, outageModel, until, at)
	case routing.KeyEjected:
		s.keys.Eject(key, "status 403", at)
	}
	s.keys.Release(key)
	if r.status == 200 {
		s.keys.Accepted(key)
	}
	s.balancer.Release(l.choice, o.Sign(r.status), at)
	l.target, l.badKey = target, key
	if fate != routing.KeyStays {
		l.target = routing.NoTarget
		if wait = s.keys.Wait(at, outageModel); wait > s.policy.RetryAfterMax {
			return 0, false
		}
		return wait, l.Attempts < s.policy.MaxAttempts && s.budget.Withdraw(at)
	}
	d := s.policy.Decide(&l.Ledger, o, r.status == 200 && r.length > 0, r.told, r.told > 0, time.Hour)
	return d.Wait, d.Retry && s.budget.Withdraw(at)
}

// fixedStrategy makes up to a fixed number of attempts, each anywhere, with a
// backoff and with an eye on Retry-After.
type fixedStrategy struct {
	tries int
	rnd   *rand.Rand
}

func (s *fixedStrategy) name() string {
	if s.tries == 1 {
		return "none"
	}
	return fmt.Sprintf("fixed, %d attempts", s.tries)
}

func (s *fixedStrategy) begin(*asked, time.Duration)     {}
func (s *fixedStrategy) end(*asked, time.Duration)       {}
func (s *fixedStrategy) answering(*asked, time.Duration) {}

func (s *fixedStrategy) choose(*asked, time.Duration) (target, key int, wait time.Duration, ok bool) {
	return s.rnd.IntN(worldTargets), s.rnd.IntN(worldKeys), 0, true
}

func (s *fixedStrategy) after(a *asked, _, _ int, r reply, _ time.Duration) (wait time.Duration, again bool) {
	if a.tries >= s.tries {
		return 0, false
	}
	if r.told > 0 && r.told < 30*time.Second {
		return r.told, true
	}
	b := routing.Backoff{Base: 250 * time.Millisecond, Max: 8 * time.Second, Rand: s.rnd.Float64}
	return b.Delay(a.tries - 1), true
}
