package proxy

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"gemini-resilient-proxy/routing"
)

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
	t.Parallel()
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
	t.Parallel()
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
	r.all[0].pace.next = time.Time{}
	r.meet(r.all[0])
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
	t.Parallel()
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
	t.Parallel()
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

// inFlight does something between the answer of the server and its arrival.
type inFlight struct{ meanwhile func() }

func (inFlight) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (inFlight) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (f inFlight) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		f.meanwhile()
		return err
	}
}

// What begins while the answer is on its way begins on the lease before, with
// which the others still count: a server that is slow loosens no limit.
func TestSlowAnswersLoosenNoLimit(t *testing.T) {
	r := newReplicas(t, 10)
	r.meetAll()
	passed := 0
	take := func(one *replica) {
		for one.start(r.now) {
			passed++
		}
		for one.open(r.now) {
		}
	}
	// Half of them want all that there is.
	for range 3 {
		for _, one := range r.all[5:] {
			take(one)
			r.meet(one)
		}
	}
	// The others give their leases up, and use them before they hear of that.
	for _, one := range r.all[:5] {
		one.client.AddHook(inFlight{func() { take(one) }})
	}
	for range 10 {
		for _, one := range r.all {
			r.meet(one)
		}
		r.advance(shareSoon)
		for _, one := range r.all[5:] {
			take(one)
		}
	}
	streams := 0
	for _, one := range r.all {
		running, _ := one.gate.Load()
		streams += running
	}
	within(t, "requests in a minute", passed, sharedPerMinute)
	within(t, "streams at once", streams, sharedStreams)
}

// open opens a stream of the group that has a limit, and reports whether it may.
func (one *replica) open(now time.Time) bool {
	e := routing.Entrant{Client: 1, Group: "g", GroupLimit: sharedStreams, Until: now}
	return one.gate.Enter(&routing.Ticket{}, e, now) == routing.Admitted
}
