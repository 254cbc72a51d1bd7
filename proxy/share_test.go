package proxy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"

	"gemini-resilient-proxy/routing"
)

// replicas are sharers with a frozen clock, each with a client, a budget, a ring
// of keys and a gate.
type replicas struct {
	t      *testing.T
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
}

const (
	sharedPerMinute = 100
	sharedPerKey    = 60
	sharedStreams   = 50
)

func newReplicas(t *testing.T, n int) *replicas {
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
	one.load(r.t, sharedPerMinute)
	one.joined = true
	r.all = append(r.all, one)
	return one
}

// load makes the replica's state anew, as a configuration does.
func (one *replica) load(t *testing.T, perMinute int) {
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
	ok := one.state.clients.All()[0].Start(now.Add(one.skew)) == 0
	one.missed = one.missed || !ok
	return ok
}

// meet lets a replica talk. Its timeout is of the machine's clock, and a slow
// machine is no fault.
func (r *replicas) meet(one *replica) {
	r.t.Helper()
	one.missed = false
	one.adopt(one.current())
	for try := 0; ; try++ {
		err := one.exchange(r.now.Add(one.skew), one.pace.lease())
		if err == nil {
			return
		}
		if try == 20 {
			r.t.Fatal(err)
		}
	}
}

// meetAll lets all talk, and again when it is time: what one leaves the next can
// have.
func (r *replicas) meetAll() {
	r.t.Helper()
	for range 2 {
		for _, one := range r.all {
			r.meet(one)
		}
		r.advance(shareTick)
	}
}

func (r *replicas) advance(d time.Duration) {
	r.now = r.now.Add(d)
	r.server.SetTime(r.now)
}

// run lets replica i try take loads[i] times a second for the given seconds, in
// random order, while each talks when it is its time, or at once when a lease is
// used up. It returns the successes by second.
func (r *replicas) run(seconds int, loads []int, take func(*replica) bool) []int {
	r.t.Helper()
	const steps = int(time.Second / shareSoon)
	taken := make([]int, seconds)
	for step := range seconds * steps {
		var tries []*replica
		for i, n := range loads {
			part := n / steps
			if rand.IntN(steps) < n%steps {
				part++
			}
			for range part {
				tries = append(tries, r.all[i])
			}
		}
		rand.Shuffle(len(tries), func(i, j int) { tries[i], tries[j] = tries[j], tries[i] })
		for _, one := range tries {
			if take(one) {
				taken[step/steps]++
			}
		}
		r.advance(shareSoon)
		for _, i := range rand.Perm(len(loads)) {
			if r.all[i].missed || (step+i)%int(shareTick/shareSoon) == 0 {
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
func within(t *testing.T, what string, got, want int) {
	t.Helper()
	if 10*got > 11*want || 10*got < 9*want {
		t.Errorf("%s: %d, want %d to within a tenth", what, got, want)
	}
}

// testValue returns the value of a metric without labels.
func testValue(t *testing.T, c prometheus.Collector) float64 {
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

// Ten replicas keep a limit together: within a tenth, however the load is spread
// and whatever their clocks say.
func TestTenReplicasKeepALimit(t *testing.T) {
	for name, loads := range map[string][]int{
		"even":   {5, 5, 5, 5, 5, 5, 5, 5, 5, 5},
		"one":    {50, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"uneven": {40, 20, 10, 5, 4, 3, 2, 1, 1, 1},
		"flood":  {200, 200, 200, 200, 200, 200, 200, 200, 200, 200},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplicas(t, 10)
			for _, one := range r.all {
				one.skew = time.Duration(rand.Int64N(int64(time.Hour))) - time.Hour/2
			}
			r.meetAll()
			take := func(one *replica) bool { return one.start(r.now) }
			taken := r.run(3, loads, take)
			within(t, "requests at first", most(taken, 3), sharedPerMinute)
			// Most of a minute passes without a request.
			for range 28 {
				taken = append(taken, r.run(2, nil, take)...)
				for _, one := range r.all {
					r.meet(one)
				}
			}
			taken = append(taken, r.run(6, loads, take)...)
			within(t, "requests in a minute", most(taken, 60), sharedPerMinute)
			within(t, "requests in the next minute", most(taken[59:], 60), sharedPerMinute)
		})
	}
}

// What nobody has used yet is there at once, for all together: nothing is let
// through twice, and nothing is refused.
func TestReplicasTakeABurst(t *testing.T) {
	r := newReplicas(t, 10)
	r.meetAll()
	passed := 0
	for range 2 * sharedPerMinute / 10 {
		for _, one := range r.all {
			if one.start(r.now) {
				passed++
			}
		}
	}
	within(t, "requests at once", passed, sharedPerMinute)
}

// A limit that is far less than there are replicas is kept, too.
func TestReplicasKeepASmallLimit(t *testing.T) {
	r := newReplicas(t, 10)
	for _, one := range r.all {
		one.load(t, 3)
	}
	r.meetAll()
	taken := r.run(5, []int{2, 2, 2, 2, 2, 2, 2, 2, 2, 2}, func(one *replica) bool { return one.start(r.now) })
	if got := most(taken, 60); got != 3 {
		t.Errorf("%d requests, want 3", got)
	}
}

// Of a replica that is killed the others count what it has told, and have the
// rest of its lease when that is over.
func TestReplicaIsKilled(t *testing.T) {
	r := newReplicas(t, 10)
	r.meetAll()
	take := func(one *replica) bool { return one.start(r.now) }
	loads := []int{2, 2, 2, 2, 2, 2, 2, 2, 2, 2}
	before := r.run(2, loads, take)
	r.all = r.all[:9]
	after := r.run(8, loads[:9], take)
	within(t, "requests in a minute", most(append(before, after...), 60), sharedPerMinute)
}

// A replica that ends gives its lease back at once.
func TestReplicaLeaves(t *testing.T) {
	r := newReplicas(t, 2)
	r.meetAll()
	r.all[0].leave()
	r.all = r.all[1:]
	r.meetAll()
	passed := 0
	for r.all[0].start(r.now) {
		passed++
	}
	if passed != sharedPerMinute {
		t.Errorf("%d requests, want all %d", passed, sharedPerMinute)
	}
	if got := testValue(t, r.all[0].metrics.replicas); got != 1 {
		t.Errorf("%v replicas are counted", got)
	}
}

// A replica that is not heard of keeps the whole limit alone, at once, and what
// it has begun counts for the others when it is back.
func TestReplicaGoesOnAlone(t *testing.T) {
	r := newReplicas(t, 2)
	r.meetAll()
	r.server.Close()
	for _, one := range r.all {
		if rest := one.turn(); one.joined || rest <= 0 || rest > 2*aloneFirst {
			t.Fatalf("the server is gone, and the replica rests for %v, joined: %v", rest, one.joined)
		}
	}
	for i := range sharedPerMinute {
		if !r.all[0].start(r.now) {
			t.Fatalf("request %d alone is refused", i)
		}
	}
	if r.all[0].start(r.now) {
		t.Error("its own limit does not count")
	}
	longest := time.Duration(0)
	for range 20 {
		longest = max(longest, r.all[0].turn())
	}
	if longest < aloneMost/2 || longest > aloneMost*3/2 {
		t.Errorf("it looks for the server every %v", longest)
	}
	if err := r.server.Restart(); err != nil {
		t.Fatal(err)
	}
	r.meetAll()
	if r.all[1].start(r.now) {
		t.Error("what the other has begun does not count")
	}
}

// A lease that is not renewed is over by itself.
func TestLeaseRunsOut(t *testing.T) {
	r := newReplicas(t, 2)
	r.meetAll()
	for r.all[0].start(r.now) {
	}
	r.now = r.now.Add(r.all[0].pace.lease())
	if !r.all[0].start(r.now) {
		t.Error("still waits for the others")
	}
}

// The budget of a group is one, with the requests of all replicas as deposits.
func TestReplicasShareABudget(t *testing.T) {
	r := newReplicas(t, 10)
	for i, one := range r.all {
		for range 100 * i {
			one.g.budget.Begin()
		}
	}
	r.meetAll()
	loads := []int{40, 40, 40, 40, 40, 40, 40, 40, 40, 400}
	taken := r.run(12, loads, func(one *replica) bool {
		ok := one.g.budget.Withdraw(r.now)
		one.missed = one.missed || !ok
		return ok
	})
	within(t, "retries in ten seconds", most(taken, 10), 10*10+4500/5)
}

// The limit of a key is one, whichever replica uses it.
func TestReplicasShareKeys(t *testing.T) {
	r := newReplicas(t, 3)
	r.meetAll()
	model := []byte("m")
	taken := r.run(10, []int{30, 10, 0}, func(one *replica) bool {
		i, _ := one.g.keys.Acquire(r.now, model, routing.NoKey)
		one.missed = one.missed || i == routing.NoKey
		if i != routing.NoKey {
			one.g.keys.Release(i)
		}
		return i != routing.NoKey
	})
	within(t, "requests in a minute", most(taken, 60), 2*sharedPerKey)
}

// What runs at once is counted together: never more than the limit, and whoever
// waits gets a place that another replica leaves.
func TestReplicasShareStreams(t *testing.T) {
	r := newReplicas(t, 10)
	r.meetAll()
	var running []*routing.Ticket
	gates := map[*routing.Ticket]*replica{}
	waiting := map[*routing.Ticket]*replica{}
	full := 0
	for step := range 120 {
		for range 8 {
			one := r.all[min(rand.IntN(10), rand.IntN(10))]
			ticket := &routing.Ticket{}
			e := routing.Entrant{Client: rand.Uint64(), Group: "g", GroupLimit: sharedStreams, Until: r.now.Add(time.Hour)}
			gates[ticket] = one
			switch one.gate.Enter(ticket, e, r.now) {
			case routing.Admitted:
				running = append(running, ticket)
			case routing.Waits:
				waiting[ticket] = one
			}
		}
		for range 3 {
			if len(running) < sharedStreams/2 {
				break
			}
			i := rand.IntN(len(running))
			gates[running[i]].gate.Leave(running[i], r.now)
			running[i] = running[len(running)-1]
			running = running[:len(running)-1]
		}
		r.advance(shareSoon)
		for _, i := range rand.Perm(len(r.all)) {
			r.meet(r.all[i])
		}
		for ticket, one := range waiting {
			if one.gate.Verdict(ticket) != routing.Waits {
				delete(waiting, ticket)
				running = append(running, ticket)
			}
		}
		if len(running) > sharedStreams {
			t.Fatalf("step %d: %d run, more than %d", step, len(running), sharedStreams)
		}
		if len(running) >= sharedStreams*9/10 {
			full++
		}
	}
	if full < 80 {
		t.Errorf("only in %d of 120 steps was the limit used, with %d waiting", full, len(waiting))
	}
	// Whoever is alone has all of it.
	one := r.all[0]
	one.part(context.DeadlineExceeded)
	entered := 0
	for {
		ticket := &routing.Ticket{}
		if one.gate.Enter(ticket, routing.Entrant{Client: 1, Group: "g", GroupLimit: sharedStreams}, r.now) != routing.Admitted {
			break
		}
		entered++
	}
	if now, _ := one.gate.Load(); now != sharedStreams {
		t.Errorf("alone it runs %d, %d of them new", now, entered)
	}
}

// A configuration that is loaded again changes nothing of what is counted, and a
// limit that it changes is that of all.
func TestReplicasLoadAgain(t *testing.T) {
	r := newReplicas(t, 2)
	r.meetAll()
	loads := []int{20, 20}
	take := func(one *replica) bool { return one.start(r.now) }
	before := most(r.run(1, loads, take), 1)
	for _, one := range r.all {
		one.load(t, 60)
	}
	after := most(r.run(9, loads, take), 9)
	within(t, "requests", before+after, 60)
}

// What one replica leaves out, the others leave out too, also one that comes
// later, and after the server has forgotten everything.
func TestMarksAreHeard(t *testing.T) {
	r := newReplicas(t, 3)
	one, two, three := r.all[0], r.all[1], r.all[2]
	r.meet(one)
	r.meet(two)
	two.skew = -time.Hour
	model := []byte("gemini:x")
	one.g.keys.Park(0, model, r.now.Add(time.Minute), r.now)
	one.g.keys.Eject(1, "status 403", r.now)
	choice := one.g.balancer.Acquire(r.now, 1)
	one.g.balancer.Release(choice, routing.Failed, r.now)
	one.tell()
	r.meet(one)
	heard := func(one *replica) {
		t.Helper()
		now := r.now.Add(one.skew)
		states := one.g.keys.States(now)
		if until := states[0].Parked["gemini:x"]; until.Sub(now).Round(time.Second) != time.Minute {
			t.Errorf("the key is parked until %v", until)
		}
		if states[1].Reason != "status 403" {
			t.Error("the key is not ejected")
		}
		if one.g.balancer.Others(now, 1) {
			t.Error("the target is not ejected")
		}
	}
	r.meet(two)
	heard(two)
	if dump := r.server.Dump(); strings.Contains(dump, "CANARY") || !strings.Contains(dump, "gemini:x") {
		t.Error("what the server holds:", dump)
	}
	if got := testValue(t, two.metrics.heard); got != 3 {
		t.Errorf("%v marks were news", got)
	}
	r.server.FlushAll()
	r.meet(two) // notices
	r.meet(two) // tells again
	r.meet(three)
	heard(three)
	// A configuration that is loaded again hears of what it did not know.
	three.load(t, 1)
	three.state.groups["g"].keys = routing.NewKeyring([]routing.KeySpec{{Name: "two", Secret: routing.Secret("CANARY-two")}}, 0)
	r.meet(three)
	if three.g.keys.States(r.now)[0].Reason != "status 403" {
		t.Error("a key that was added is not ejected")
	}
	for range 5 {
		r.advance(time.Minute)
		r.meetAll()
	}
	if n := len(one.known) + len(two.known) + len(three.known); n != 0 {
		t.Errorf("%d marks that are over are kept", n)
	}
}

// Whatever the server answers, the replica goes on.
func TestSharerSurvivesNonsense(t *testing.T) {
	r := newReplicas(t, 1)
	s := r.all[0]
	r.meet(s)
	for _, field := range []string{"", ":", "park", "park:x:y", "target:" + shareName("key", "g", "CANARY-one") + ":", "eject:" + shareName("target", "g", "http://CANARY.b") + ":x"} {
		s.shared.heed(field, r.now.Add(time.Hour), r.now)
	}
	nonsense := func(key, value string) {
		t.Helper()
		r.server.FlushAll()
		r.meet(s)
		r.server.Del(key)
		r.server.Set(key, value)
		s.pace.next = time.Time{}
		if err := s.exchange(r.now, s.pace.lease()); err == nil {
			t.Errorf("%s: no error", key)
		}
	}
	nonsense(sharePrefix+"order", "not a sorted set")
	nonsense(sharePrefix+"limit:"+shareName("client rate", "CANARY-client"), "nor this")
	nonsense(sharePrefix+"count", "nor this")
	r.server.FlushAll()
	// A lease of another version is none.
	r.server.HSet(sharePrefix+"limit:"+shareName("client rate", "CANARY-client"), "r1", "100")
	r.meet(s)
	if !s.start(r.now) {
		t.Error("it does not go on")
	}
	var none *sharer
	none.soon()
	none.tell()
	none.ended()
	none.run(nil)
}

// Many limits are told of less often, and the leases last for that.
func TestPace(t *testing.T) {
	f := func(limits, replicas, busy int, tick, round time.Duration) {
		t.Helper()
		p := pace{limits: limits, replicas: replicas, busy: busy}
		if p.tick() != tick || p.round() != round || p.lease() < 4*round || p.timeout() < shareTimeout {
			t.Errorf("%d limits of %d replicas: %v, %v, %v", limits, replicas, p.tick(), p.round(), p.lease())
		}
		now := time.Unix(1, 0)
		if !p.full(now) || p.full(now.Add(shareSoon)) || !p.full(now.Add(round)) {
			t.Errorf("%d limits: the full rounds come at the wrong time", limits)
		}
	}
	f(0, 0, 0, shareTick, shareTick)
	f(20, 10, 5, shareTick, shareTick)
	f(5000, 10, 10, shareTick, 5*time.Second)
	f(5000, 10, 1000, time.Second, 5*time.Second)
}

// REDIS_URL is taken as go-redis takes it, and never shown.
func TestRedisURL(t *testing.T) {
	for _, good := range []string{"off", "redis://127.0.0.1:6379", "rediss://u:CANARY@h:1/2", "unix:///run/valkey.sock"} {
		c := DefaultConfig()
		if err := redisCodec.parse(&c, good); err != nil || redisCodec.format(&c) != good {
			t.Errorf("%q: %v", good, err)
		}
		if strings.Contains(fmt.Sprintf("%v %+v", c, c), "CANARY") {
			t.Error("the password is shown")
		}
	}
	for _, bad := range []string{"127.0.0.1:6379", "CANARY", "http://u:CANARY@h", "redis://u:CANARY@h:x", "redis://h/CANARY", "redis://u:CANARY%@h"} {
		_, err := LoadConfig("", func(name string) (string, bool) { return bad, name == "REDIS_URL" })
		if err == nil || strings.Contains(err.Error(), "CANARY") || !strings.Contains(err.Error(), "redis://[USER") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
