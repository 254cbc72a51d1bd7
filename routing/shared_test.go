package routing

import (
	"testing"
	"time"
)

var sharedNow = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// lease is a Grant of n for three seconds.
func lease(n int64) Grant { return Grant{Left: n, Until: sharedNow.Add(3 * time.Second)} }

// begin counts how many of n requests may begin.
func begin(n int, start func() bool) (begun int) {
	for range n {
		if start() {
			begun++
		}
	}
	return begun
}

func TestLeaseOfAClient(t *testing.T) {
	now := sharedNow
	c := NewClients([]ClientSpec{{Name: "a", PerMinute: 10}}).All()[0]
	start := func() bool { return c.Start(now) == 0 }
	if got := begin(2, start); got != 2 {
		t.Fatalf("alone %d of 2 begin", got)
	}
	u := c.Use(now)
	if want := (Use{Limit: 10, Span: time.Minute, Used: 2, Want: 8}); u != want {
		t.Errorf("%+v, want %+v", u, want)
	}
	// One that begins while the answer is on its way counts against it.
	start()
	c.Grant(lease(4), now)
	if got := begin(5, start); got != 3 || !c.Short(now) {
		t.Errorf("%d of 5 begin on a lease of three, short: %v", got, c.Short(now))
	}
	if wait := c.Start(now); wait != leaseShort {
		t.Errorf("waits for %v", wait)
	}
	// A Use that is not answered is told again.
	if u = c.Use(now); u.Used != 4 {
		t.Errorf("%+v", u)
	}
	if u = c.Use(now); u.Used != 4 {
		t.Errorf("%+v", u)
	}
	c.Grant(Grant{Until: now.Add(3 * time.Second), Room: now.Add(20 * time.Second)}, now)
	if wait := c.Start(now); wait != 20*time.Second || c.Short(now) {
		t.Errorf("a limit that is used up: waits for %v, short: %v", wait, c.Short(now))
	}
	// Alone, by word or because nothing was heard, the limit is its own.
	late := now
	now = now.Add(3 * time.Second)
	if got := begin(2, start); got != 2 {
		t.Errorf("with a lease that is over %d of 2 begin", got)
	}
	now = late
	c.Alone(now)
	if got := begin(5, start); got != 2 {
		t.Errorf("alone %d of the last 2 begin", got)
	}
}

func TestDemand(t *testing.T) {
	d := demand{asked: 3}
	for i, want := range []int64{12, 6, 3, 1, 0, 0} {
		if got := d.next(); got != want {
			t.Errorf("step %d: wants %d, not %d", i, got, want)
		}
	}
}

func TestLeaseOfABudget(t *testing.T) {
	now := sharedNow
	b := NewBudget(0.2, 1)
	b.Begin()
	if u, want := b.Use(now), (Use{Limit: 10, Span: budgetSpan, Deposit: 200_000}); u != want {
		t.Errorf("%+v, want %+v", u, want)
	}
	// The lease is of what all replicas have, which may be more.
	b.Grant(lease(20), now)
	if got := begin(30, func() bool { return b.Withdraw(now) }); got != 20 || !b.Short(now) {
		t.Errorf("%d retries on a lease of 20, short: %v", got, b.Short(now))
	}
	b.Alone(now)
	if b.Withdraw(now) || b.Short(now) {
		t.Error("alone there is more than its own budget")
	}
}

func TestLeaseOfAKey(t *testing.T) {
	now, model := sharedNow, []byte("m")
	k := NewKeyring([]KeySpec{{Name: "a", Secret: Secret("a")}, {Name: "b", Secret: Secret("b")}}, 10)
	for i, n := range []int64{1, 3} {
		k.Shared(i).Use(now)
		k.Shared(i).Grant(lease(n), now)
	}
	used := map[int]int{}
	for {
		i, wait := k.Acquire(now, model, NoKey)
		if i == NoKey {
			if wait != leaseShort || !k.Short(now, model) {
				t.Errorf("waits for %v", wait)
			}
			break
		}
		used[i]++
	}
	if used[0] != 1 || used[1] != 3 {
		t.Errorf("used %v", used)
	}
	if u := k.Shared(0).Use(now); u.Used != 1 || u.Want == 0 {
		t.Errorf("what was missed is not wanted: %+v", u)
	}
	// A key that is away for another reason is not waited for.
	for i := range 2 {
		k.Park(i, model, now.Add(time.Hour), now)
	}
	if k.Short(now, model) {
		t.Error("a parked key is short of a lease")
	}
	k.Shared(1).Alone(now)
	if i, _ := k.Acquire(now, []byte("other"), NoKey); i != 1 {
		t.Errorf("alone, key %d", i)
	}
}

func TestLeaseOfPlaces(t *testing.T) {
	now := sharedNow
	g := NewGate(Limits{Queue: 10})
	enter := func(t *Ticket) Verdict {
		return g.Enter(t, Entrant{Client: 7, ClientLimit: 9, Group: "g", GroupLimit: 5, Until: now.Add(time.Second)}, now)
	}
	client, group := g.SharedClient(7, 9), g.SharedGroup("g", 5)
	var list [8]Ticket
	if v := enter(&list[0]); v != Admitted {
		t.Fatal(v)
	}
	for _, s := range []Shared{client, group} {
		if u := s.Use(now); u.Used != 1 || u.Span != 0 {
			t.Errorf("%+v", u)
		}
	}
	group.Grant(lease(1), now)
	client.Grant(lease(8), now)
	for i, want := range []Verdict{Admitted, Waits, Waits} {
		if v := enter(&list[i+1]); v != want {
			t.Errorf("request %d: %v, want %v", i+2, v, want)
		}
	}
	if u := group.Use(now); u.Used != 2 || u.Want < 4 {
		t.Errorf("%+v", u)
	}
	group.Grant(lease(1), now)
	if v := g.Verdict(&list[2]); v != Admitted || g.Verdict(&list[3]) != Waits {
		t.Errorf("a new lease: %v, %v", v, g.Verdict(&list[3]))
	}
	// Another configuration goes on with the lease, with its own limit.
	if g.SharedGroup("g", 4) != group || group.Use(now).Limit != 4 {
		t.Error("the lease is lost")
	}
	group.Alone(now)
	if v := g.Verdict(&list[3]); v != Admitted {
		t.Errorf("alone: %v", v)
	}
	client.Use(now)
	client.Grant(lease(0), now)
	if v := enter(&list[4]); v != Waits || g.Cancel(&list[4], now) != OverClient {
		t.Errorf("the client's lease is used up: %v", v)
	}
}

func TestHeed(t *testing.T) {
	now, model := sharedNow, []byte("m")
	later := now.Add(time.Minute)
	k := NewKeyring([]KeySpec{{Name: "a", Secret: Secret("a")}}, 0)
	b := NewBalancer([]TargetSpec{{Name: "a"}, {Name: "b"}, {Name: "c"}}, Ejection{After: 1, Base: time.Second, Max: time.Second}, func() float64 { return 0 })
	f := func(what string, heed func(Mark, time.Time) bool, m Mark, want bool) {
		t.Helper()
		if got := heed(m, now); got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	f("parked", k.Heed, Mark{Model: "m", Until: later}, true)
	f("parked before", k.Heed, Mark{Model: "m", Until: later.Add(-time.Second)}, false)
	f("over", k.Heed, Mark{Model: "n", Until: now}, false)
	f("no such key", k.Heed, Mark{Index: 1, Until: later}, false)
	f("ejected", k.Heed, Mark{Ejected: true, Reason: "status 401", Until: later}, true)
	f("ejected before", k.Heed, Mark{Ejected: true, Until: later}, false)
	if wait := k.Wait(now, model); wait != time.Minute || !k.Refused(now) {
		t.Errorf("the key is away for %v", wait)
	}
	if got := len(k.Marks(nil, now)) + 10*len(k.Marks(nil, later)); got != 2 {
		t.Errorf("%d marks", got)
	}
	f("target", b.Heed, Mark{Index: 0, Until: later}, true)
	f("target before", b.Heed, Mark{Index: 0, Until: later}, false)
	f("no such target", b.Heed, Mark{Index: 3, Until: later}, false)
	f("second", b.Heed, Mark{Index: 1, Until: later}, true)
	f("the last one", b.Heed, Mark{Index: 2, Until: later}, false)
	if c := b.Acquire(now, NoTarget); c.Index != 2 {
		t.Errorf("target %d", c.Index)
	}
	if got := len(b.Marks(nil, now)); got != 2 {
		t.Errorf("%d marks", got)
	}
	// One of them comes back by a probe, as those do that failed here.
	if c := b.Acquire(later, 2); !c.Probe {
		t.Error("no probe")
	}
}
