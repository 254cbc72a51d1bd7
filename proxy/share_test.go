package proxy

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"gemini-resilient-proxy/routing"
)

// replicas are sharers with a frozen clock, each with a client, a budget and a
// ring of keys.
type replicas struct {
	t       *testing.T
	server  *miniredis.Miniredis
	now     time.Time
	all     []*sharer
	clients []*routing.Client
	budgets []*routing.Budget
	rings   []*routing.Keyring
	groups  []*group
}

func newReplicas(t *testing.T, n, perMinute int) *replicas {
	r := &replicas{t: t, server: miniredis.RunT(t), now: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)}
	r.server.SetTime(r.now)
	for range n {
		s, err := newSharer(routing.Secret("redis://"+r.server.Addr()), nil, slog.New(slog.NewTextHandler(io.Discard, nil)), newMetrics(nil))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.client.Close() })
		table, err := routing.NewTable(map[string]string{"g": ""}, "g")
		if err != nil {
			t.Fatal(err)
		}
		clients := routing.NewClients([]routing.ClientSpec{{Name: "c", PerMinute: perMinute}})
		g := &group{
			Group:  table.Default(),
			budget: routing.NewBudget(0.2, 10),
			keys: routing.NewKeyring([]routing.KeySpec{
				{Name: "one", Secret: routing.Secret("CANARY-one")}, {Name: "two", Secret: routing.Secret("CANARY-two")},
			}, 0),
			balancer: routing.NewBalancer([]routing.TargetSpec{{Name: "a"}, {Name: "b"}}, routing.Ejection{After: 1, Base: 30 * time.Second, Max: time.Minute}, rand.Float64),
			targets:  []*target{{TargetSpec: routing.TargetSpec{Name: "a"}}, {TargetSpec: routing.TargetSpec{Name: "b"}}},
		}
		st := &state{table: table, groups: map[string]*group{"g": g}, clients: clients}
		s.current = func() *state { return st }
		s.st, s.shared, s.known = st, newSharedState(st), map[string]time.Time{}
		r.all, r.clients, r.groups = append(r.all, s), append(r.clients, clients.All()[0]), append(r.groups, g)
		r.budgets, r.rings = append(r.budgets, g.budget), append(r.rings, g.keys)
	}
	return r
}

// meet lets a replica talk. Its timeout is of the machine's clock, and a slow
// machine is no fault.
func (r *replicas) meet(i int) {
	r.t.Helper()
	for try := 0; ; try++ {
		err := r.all[i].exchange(r.now)
		if err == nil {
			return
		}
		if try == 20 {
			r.t.Fatal(err)
		}
	}
}

func (r *replicas) advance(d time.Duration) {
	r.now = r.now.Add(d)
	r.server.SetTime(r.now)
}

// run lets replica i try take loads[i] times a second for the given seconds, in
// random order, while all talk four times a second. It returns the successes
// by second.
func (r *replicas) run(seconds int, loads []int, take func(i int) bool) []int {
	taken := make([]int, seconds)
	for tick := range seconds * 4 {
		var tries []int
		for i, n := range loads {
			part := n / 4
			if rand.IntN(4) < n%4 {
				part++
			}
			for range part {
				tries = append(tries, i)
			}
		}
		rand.Shuffle(len(tries), func(i, j int) { tries[i], tries[j] = tries[j], tries[i] })
		for _, i := range tries {
			if take(i) {
				taken[tick/4]++
			}
		}
		r.advance(shareTick)
		for _, i := range rand.Perm(len(r.all)) {
			r.meet(i)
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

// limitsTried are the limits for each spread of the load.
var limitsTried = map[string][]int{"even": {100}, "one": {100}, "uneven": {100, 600}, "flood": {100}}

// Ten replicas keep a limit together: within a tenth, however the load is spread.
func TestTenReplicasKeepALimit(t *testing.T) {
	for name, loads := range map[string][]int{
		"even": {2, 2, 2, 2, 2, 2, 2, 2, 2, 2}, "one": {40, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"uneven": {40, 20, 10, 5, 4, 3, 2, 1, 1, 1}, "flood": {200, 200, 200, 200, 200, 200, 200, 200, 200, 200},
	} {
		for _, limit := range limitsTried[name] {
			t.Run(fmt.Sprint(name, limit), func(t *testing.T) {
				r := newReplicas(t, 10, limit)
				for range 2 {
					for i := range r.all {
						r.meet(i)
					}
				}
				taken := r.run(65, loads, func(i int) bool { return r.clients[i].Start(r.now) == 0 })
				wanted := 0
				for _, n := range loads {
					wanted += 60 * n
				}
				got := most(taken, 60)
				if got > limit+limit/10 || got < min(limit, wanted)*9/10 {
					t.Errorf("%d requests in a minute, want %d to within a tenth", got, min(limit, wanted))
				}
			})
		}
	}
}

// A replica that is not heard of keeps the whole limit alone, at once, and what
// it has begun counts for the others when it is back.
func TestReplicaGoesOnAlone(t *testing.T) {
	r := newReplicas(t, 2, 100)
	r.meet(0)
	r.meet(1)
	r.server.Close()
	for _, s := range r.all {
		if err := s.exchange(r.now); err == nil {
			t.Fatal("the server is gone, and answers")
		} else {
			s.part(err)
		}
	}
	for i := range 100 {
		if wait := r.clients[0].Start(r.now); wait != 0 {
			t.Fatalf("request %d alone waits for %v", i, wait)
		}
	}
	if r.clients[0].Start(r.now) == 0 {
		t.Error("its own limit does not count")
	}
	if err := r.server.Restart(); err != nil {
		t.Fatal(err)
	}
	r.meet(0)
	r.meet(1)
	if r.clients[1].Start(r.now) == 0 {
		t.Error("what the other has begun does not count")
	}
}

// A lease that is not renewed is over by itself.
func TestLeaseRunsOut(t *testing.T) {
	r := newReplicas(t, 1, 100)
	r.meet(0)
	for r.clients[0].Start(r.now) == 0 {
	}
	r.now = r.now.Add(leaseTime)
	if wait := r.clients[0].Start(r.now); wait != 0 {
		t.Errorf("waits for %v", wait)
	}
}

// The budget of a group is one, with the requests of all replicas as deposits.
func TestReplicasShareABudget(t *testing.T) {
	r := newReplicas(t, 10, 0)
	for i := range r.budgets {
		for range 100 * i {
			r.budgets[i].Begin()
		}
	}
	for i := range r.all {
		r.meet(i)
	}
	loads := make([]int, 10)
	for i := range loads {
		loads[i] = 40
	}
	taken := r.run(30, loads, func(i int) bool { return r.budgets[i].Withdraw(r.now) })
	const want = 10*10 + 4500/5
	if got := most(taken, 10); got > want*11/10 || got < want*9/10 {
		t.Errorf("%d retries in ten seconds, want %d to within a tenth", got, want)
	}
}

// What one replica leaves out, the others leave out too, also one that comes
// later, and after the server has forgotten everything.
func TestMarksAreHeard(t *testing.T) {
	r := newReplicas(t, 3, 0)
	r.meet(0)
	r.meet(1)
	model := []byte("gemini:x")
	r.rings[0].Park(0, model, r.now.Add(time.Minute), r.now)
	r.rings[0].Eject(1, "status 403", r.now)
	choice := r.groups[0].balancer.Acquire(r.now, 1)
	r.groups[0].balancer.Release(choice, routing.Failed, r.now)
	r.all[0].tell()
	r.meet(0)
	heard := func(i int) {
		t.Helper()
		states := r.rings[i].States(r.now)
		if until := states[0].Parked["gemini:x"]; until.Sub(r.now).Round(time.Second) != time.Minute {
			t.Errorf("replica %d: the key is parked until %v", i, until)
		}
		if states[1].Reason != "status 403" {
			t.Errorf("replica %d: the key is not ejected", i)
		}
		if r.groups[i].balancer.Others(r.now, 1) {
			t.Errorf("replica %d: the target is not ejected", i)
		}
	}
	r.meet(1)
	heard(1)
	if strings.Contains(r.server.Dump(), "CANARY") {
		t.Error("a key was sent to the server")
	}
	r.server.FlushAll()
	r.meet(0) // notices
	r.meet(0) // tells again
	r.meet(2)
	heard(2)
}

// Whatever the server answers, the replica goes on.
func TestSharerSurvivesNonsense(t *testing.T) {
	r := newReplicas(t, 1, 100)
	s := r.all[0]
	for _, field := range []string{"", ":", "park", "park:x:y", "target:" + shareName("key", "g", "CANARY-one") + ":", "eject:" + shareName("target", "g", "b") + ":x"} {
		s.shared.heed(field, r.now.Add(time.Hour), r.now)
	}
	r.server.Set(sharePrefix+"marks", "not a hash")
	r.server.Set(sharePrefix+"limit:"+shareName("client", "c"), "nor this")
	if err := s.meet(); err == nil {
		t.Error("no error")
	}
	var none *sharer
	none.soon()
	none.tell()
	none.run(nil)
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
	for _, bad := range []string{"127.0.0.1:6379", "http://u:CANARY@h", "redis://u:CANARY@h:x", "redis://h/CANARY"} {
		_, err := LoadConfig("", func(name string) (string, bool) { return bad, name == "REDIS_URL" })
		if err == nil || strings.Contains(err.Error(), "u:CANARY") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
