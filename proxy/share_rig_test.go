package proxy

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"

	"gemini-resilient-proxy/routing"
)

// replicas are sharers with a frozen clock, each with a client, a budget, a ring
// of keys and a gate.
type replicas struct {
	t      testing.TB
	server *miniredis.Miniredis
	now    time.Time
	all    []*replica
}

type replica struct {
	*sharer
	skew   time.Duration // of its clock
	state  *state
	g      *group
	gate   *routing.Gate
	missed bool
	short  bool // it was refused what other replicas hold
}

const (
	sharedPerMinute = 100
	sharedPerKey    = 60
	sharedStreams   = 50

	// machinePatience is how long an answer may take: timeouts are of the machine's
	// clock, which is not frozen, and a slow machine is no fault.
	machinePatience = 20 * time.Second
)

func newReplicas(t testing.TB, n int) *replicas {
	r := &replicas{t: t, server: miniredis.RunT(t), now: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)}
	r.server.SetTime(r.now)
	for range n {
		r.join()
	}
	return r
}

// join starts one more.
func (r *replicas) join() *replica {
	r.t.Helper()
	one := &replica{gate: routing.NewGate(routing.Limits{Queue: 100})}
	var err error
	current := func() *state { return one.state }
	one.sharer, err = newSharer(routing.Secret("redis://"+r.server.Addr()), current, one.gate, slog.New(slog.NewTextHandler(io.Discard, nil)), newMetrics(nil))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { one.client.Close() })
	opts := one.client.Options()
	opts.ReadTimeout, opts.WriteTimeout = machinePatience, machinePatience
	one.load(r.t, sharedPerMinute)
	one.joined = true
	r.all = append(r.all, one)
	return one
}

// load makes the replica's state anew, as a configuration does.
func (one *replica) load(t testing.TB, perMinute int) {
	t.Helper()
	table, err := routing.NewTable(map[string]string{"g": ""}, "g")
	if err != nil {
		t.Fatal(err)
	}
	g := &group{
		Group:  table.Default(),
		budget: routing.NewBudget(0.2, 10),
		perKey: sharedPerKey,
		keys: routing.NewKeyring([]routing.KeySpec{
			{Name: "one", Secret: routing.Secret("CANARY-one")}, {Name: "two", Secret: routing.Secret("CANARY-two")},
		}, sharedPerKey),
		balancer: routing.NewBalancer([]routing.TargetSpec{{Name: "http://CANARY.a"}, {Name: "http://CANARY.b"}},
			routing.Ejection{After: 1, Base: 30 * time.Second, Max: time.Minute}, rand.Float64),
		targets: []*target{{TargetSpec: routing.TargetSpec{Name: "http://CANARY.a"}}, {TargetSpec: routing.TargetSpec{Name: "http://CANARY.b"}}},
	}
	g.cfg.MaxStreams = sharedStreams
	st := &state{table: table, groups: map[string]*group{"g": g}, clients: routing.NewClients([]routing.ClientSpec{{Name: "CANARY-client", PerMinute: perMinute}})}
	if one.state != nil {
		st.adopt(one.state)
	}
	one.state, one.g = st, g
}

func (one *replica) start(now time.Time) bool {
	client := one.state.clients.All()[0]
	ok := client.Start(now.Add(one.skew)) == 0
	one.missed = one.missed || !ok
	one.short = !ok && client.Short(now.Add(one.skew))
	return ok
}

// meet lets a replica talk.
func (r *replicas) meet(one *replica) {
	r.t.Helper()
	one.missed = false
	one.adopt(one.current())
	if err := r.exchange(one); err != nil {
		r.t.Fatal(err)
	}
}

// exchange is that of a replica at its own time.
func (r *replicas) exchange(one *replica) error {
	ctx, cancel := context.WithTimeout(r.t.Context(), machinePatience)
	defer cancel()
	return one.exchange(ctx, r.now.Add(one.skew), one.pace.lease())
}

// meetAll lets all talk, and again when it is time: what one leaves the next can
// have, once it has said so.
func (r *replicas) meetAll() {
	r.t.Helper()
	for range 3 {
		for _, one := range r.all {
			r.meet(one)
		}
		r.advance(shareTick)
	}
}

// woken tells whether the replica wants to talk before its time.
func (one *replica) woken() bool {
	select {
	case <-one.wake:
		return true
	default:
		return false
	}
}

func (r *replicas) advance(d time.Duration) {
	r.now = r.now.Add(d)
	r.server.SetTime(r.now)
}

// run lets replica i try take loads[i] times a second for the given seconds, in
// random order, while each talks when it is its time, or at once when a lease is
// used up. Who is refused what other replicas hold waits, as requests do. It
// returns the successes by second.
func (r *replicas) run(seconds int, loads []int, take func(*replica) bool) []int {
	r.t.Helper()
	const steps = int(time.Second / shareSoon)
	type try struct {
		*replica
		until int // the step up to which it waits
	}
	taken := make([]int, seconds)
	var tries []try
	for step := range seconds * steps {
		for i, n := range loads {
			part := n / steps
			if rand.IntN(steps) < n%steps {
				part++
			}
			for range part {
				tries = append(tries, try{r.all[i], step + int(leasePatience/shareSoon)})
			}
		}
		rand.Shuffle(len(tries), func(i, j int) { tries[i], tries[j] = tries[j], tries[i] })
		waiting := tries[:0]
		for _, one := range tries {
			one.short = false
			if take(one.replica) {
				taken[step/steps]++
			} else if one.short && step < one.until {
				waiting = append(waiting, one)
			}
		}
		tries = waiting
		r.advance(shareSoon)
		for _, i := range rand.Perm(len(loads)) {
			if r.all[i].missed || r.all[i].woken() || (step+i)%int(shareTick/shareSoon) == 0 {
				r.meet(r.all[i])
			}
		}
	}
	return taken
}

// most returns the largest sum of a stretch of n.
func most(list []int, n int) (best int) {
	sum := 0
	for i, v := range list {
		if sum += v; i >= n {
			sum -= list[i-n]
		}
		best = max(best, sum)
	}
	return best
}

// within fails unless got is want to within a tenth.
func within(t testing.TB, what string, got, want int) {
	t.Helper()
	if 10*got > 11*want || 10*got < 9*want {
		t.Errorf("%s: %d, want %d to within a tenth", what, got, want)
	}
}

// testValue returns the value of a metric without labels.
func testValue(t testing.TB, c prometheus.Collector) float64 {
	t.Helper()
	all := prometheus.NewRegistry()
	all.MustRegister(c)
	families, err := all.Gather()
	if err != nil || len(families) != 1 {
		t.Fatal(families, err)
	}
	m := families[0].GetMetric()[0]
	return m.GetGauge().GetValue() + m.GetCounter().GetValue()
}
