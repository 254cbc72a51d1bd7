package routing

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

var testEjection = Ejection{After: 5, Base: 30 * time.Second, Max: 300 * time.Second}

// testBalancer returns a Balancer whose random numbers are those of seed.
func testBalancer(seed uint64, specs ...TargetSpec) *Balancer {
	for i := range specs {
		if specs[i].Name == "" {
			specs[i].Name = fmt.Sprint("t", i)
		}
	}
	return NewBalancer(specs, testEjection, rand.New(rand.NewPCG(seed, 2)).Float64)
}

// fail makes attempts on a target fail n times in a row.
func (b *Balancer) fail(i, n int, now time.Time) (ejected time.Duration) {
	for range n {
		ejected = b.Release(b.AcquirePinned(now, i), Failed, now)
	}
	return ejected
}

func (b *Balancer) state(i int) TargetState { return b.States(nil)[i] }

// Idle or loaded, targets get what their weights say.
func TestBalancerSharesByWeight(t *testing.T) {
	weights := []int{1, 2, 5}
	specs := []TargetSpec{{Weight: 1}, {Weight: 2}, {Weight: 5}}
	f := func(name string, held int) {
		t.Helper()
		b := testBalancer(7, specs...)
		const n = 40_000
		var got [3]int
		var running []Choice
		rnd := rand.New(rand.NewPCG(3, 3))
		for range n {
			c := b.Acquire(noon, NoTarget)
			got[c.Index]++
			running = append(running, c)
			if len(running) > held {
				i := rnd.IntN(len(running))
				b.Release(running[i], Alive, noon)
				running[i] = running[len(running)-1]
				running = running[:len(running)-1]
			}
		}
		for i, w := range weights {
			if want := float64(n*w) / 8; math.Abs(float64(got[i])-want) > 0.15*want {
				t.Errorf("%s: target of weight %d got %d of %d, want about %.0f", name, w, got[i], n, want)
			}
		}
	}
	f("idle", 0)
	f("loaded", 80)
}

// The one with the lesser load of two: with equal weights, no target is ever
// far above the others.
func TestBalancerKeepsLoadsEven(t *testing.T) {
	b := testBalancer(1, make([]TargetSpec, 8)...)
	rnd := rand.New(rand.NewPCG(5, 5))
	var running []Choice
	worst := 0
	for n := range 20_000 {
		running = append(running, b.Acquire(noon, NoTarget))
		if len(running) > 400 {
			i := rnd.IntN(len(running))
			b.Release(running[i], Alive, noon)
			running[i] = running[len(running)-1]
			running = running[:len(running)-1]
		}
		if n < 1000 {
			continue
		}
		for _, s := range b.States(nil) {
			worst = max(worst, s.Running)
		}
	}
	if worst > 65 {
		t.Errorf("a target ran %d of 400, want about 50", worst)
	}
}

func TestBalancerPriorityAndZone(t *testing.T) {
	b := testBalancer(2,
		TargetSpec{Zone: "a"}, TargetSpec{Zone: "a"}, TargetSpec{Zone: "b"}, TargetSpec{Priority: 1, Zone: "b"})
	seen := func(avoid int) (set string) {
		var got [4]bool
		for range 200 {
			c := b.Acquire(noon, avoid)
			got[c.Index] = true
			b.Release(c, Unsure, noon)
		}
		for i, is := range got {
			if is {
				set += fmt.Sprint(i)
			}
		}
		return set
	}
	f := func(avoid int, want string) {
		t.Helper()
		if got := seen(avoid); got != want {
			t.Errorf("avoiding %d: %q, want %q", avoid, got, want)
		}
	}
	f(NoTarget, "012")
	// Another target, of another zone where there is one.
	f(0, "2")
	f(2, "01")
	// The next priority when the best has none, or none but the one to avoid.
	b.fail(2, 5, noon)
	f(0, "1")
	b.fail(1, 5, noon)
	f(NoTarget, "0")
	f(0, "3")
	b.fail(0, 5, noon)
	f(NoTarget, "3")
	f(3, "3")
}

// 30 s × n, at most 300 s, less at most a tenth.
func TestEjectionTimes(t *testing.T) {
	b := NewBalancer([]TargetSpec{{Name: "a"}, {Name: "b"}}, testEjection, func() float64 { return 0 })
	now := noon
	for n, want := range []int{30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300} {
		failures := 5
		if n > 0 {
			failures = 1 // the probe
		}
		if d := b.fail(0, failures-1, now); d != 0 {
			t.Fatalf("ejection %d came %d failure early", n, 1)
		}
		if d := b.fail(0, 1, now); d != time.Duration(want)*time.Second {
			t.Fatalf("ejection %d is for %v, want %d s", n, d, want)
		}
		until := b.state(0).Until
		for range 50 {
			c := b.Acquire(until.Add(-1), NoTarget)
			if c.Index != 1 || c.Probe {
				t.Fatal("an ejected target was chosen")
			}
			b.Release(c, Alive, until.Add(-1))
		}
		now = until
	}
	// A long good time and it begins anew.
	c := b.Acquire(now, NoTarget)
	if c.Index != 0 || !c.Probe {
		t.Fatalf("no probe on return: %+v", c)
	}
	b.Release(c, Alive, now)
	now = now.Add(300 * time.Second)
	if d := b.fail(0, 5, now); d != 30*time.Second {
		t.Errorf("after a good time: %v, want 30s", d)
	}
}

func TestEjectionJitterIsUniform(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 9))
	var bins [10]int
	const n = 10_000
	for range n {
		h := health{}
		d := h.eject(noon, &testEjection, rnd.Float64())
		if d > 30*time.Second || d <= 27*time.Second {
			t.Fatalf("ejected for %v", d)
		}
		bins[int((30*time.Second-d)/(300*time.Millisecond))]++
	}
	chi := 0.0
	for _, got := range bins {
		chi += math.Pow(float64(got)-n/10, 2) / (n / 10)
	}
	// 99.9 % of uniform samples with nine degrees of freedom are below.
	if chi > 27.88 {
		t.Errorf("chi-square %.1f: %v", chi, bins)
	}
}

func TestEjectionCountsOnlyFailuresInARow(t *testing.T) {
	b := testBalancer(3, make([]TargetSpec, 2)...)
	for range 10 {
		if d := b.fail(0, 4, noon); d != 0 {
			t.Fatal("ejected")
		}
		b.Release(b.AcquirePinned(noon, 0), Unsure, noon)
		if got := b.state(0).Failures; got != 4 {
			t.Fatalf("%d failures after an attempt that says nothing, want 4", got)
		}
		b.Release(b.AcquirePinned(noon, 0), Alive, noon)
	}
}

func TestTheLastTargetIsNotEjected(t *testing.T) {
	b := testBalancer(3, make([]TargetSpec, 3)...)
	for i := range 3 {
		b.fail(i, 50, noon)
	}
	if b.fail(2, 50, noon) != 0 || !b.state(2).Until.IsZero() {
		t.Error("the last one was ejected")
	}
	one := testBalancer(3, TargetSpec{})
	if one.fail(0, 100, noon) != 0 {
		t.Error("the only one was ejected")
	}
}

// One request finds out whether a target is back; all others stay away.
func TestOneProbeOnReturn(t *testing.T) {
	b := testBalancer(4, make([]TargetSpec, 2)...)
	b.fail(0, 5, noon)
	back := b.state(0).Until
	probe := b.Acquire(back, NoTarget)
	if probe.Index != 0 || !probe.Probe {
		t.Fatalf("no probe: %+v", probe)
	}
	f := func(want bool) {
		t.Helper()
		other := false
		for range 50 {
			c := b.Acquire(back, NoTarget)
			other = other || c.Index == 0
			if c.Probe {
				t.Error("a second probe")
			}
			b.Release(c, Unsure, back)
		}
		if other != want {
			t.Errorf("requests beside the probe: %t, want %t", other, want)
		}
	}
	f(false)
	// Its client leaves: the next request is the probe.
	b.Release(probe, Unsure, back)
	probe = b.Acquire(back, NoTarget)
	if !probe.Probe {
		t.Fatal("no second probe")
	}
	// The beginning of an answer is enough.
	b.Answered(&probe, back)
	f(true)
	// But one failure is enough then, until something succeeds.
	if d := b.Release(probe, Failed, back); d == 0 {
		t.Error("a failure right after the return did not eject")
	}
	back = b.state(0).Until
	probe = b.Acquire(back, NoTarget)
	b.Release(probe, Alive, back)
	if d := b.fail(0, 4, back); d != 0 {
		t.Error("ejected after four failures behind a success")
	}
}

func TestFailuresFromBeforeTheEjection(t *testing.T) {
	b := testBalancer(5, make([]TargetSpec, 2)...)
	var old []Choice
	for range 100 {
		old = append(old, b.AcquirePinned(noon, 0))
	}
	for _, c := range old {
		b.Release(c, Failed, noon)
	}
	if s := b.state(0); s.Ejections != 1 || s.Running != 0 {
		t.Errorf("%+v, want one ejection", s)
	}
}

func TestBalancerAdopt(t *testing.T) {
	old := testBalancer(6, TargetSpec{Name: "a"}, TargetSpec{Name: "b"}, TargetSpec{Name: "c"})
	old.fail(0, 5, noon)
	old.fail(1, 3, noon)
	b := testBalancer(6, TargetSpec{Name: "new"}, TargetSpec{Name: "b"}, TargetSpec{Name: "a"})
	b.Adopt(old)
	if s := b.States(nil); s[0].Failures != 0 || s[1].Failures != 3 || !s[2].Until.Equal(old.state(0).Until) {
		t.Errorf("%+v", s)
	}
	// Only the ejected one is left: then it is admitted.
	alone := testBalancer(6, TargetSpec{Name: "a"})
	alone.Adopt(old)
	if !alone.state(0).Until.IsZero() {
		t.Error("the only target is ejected")
	}
}

func TestSigns(t *testing.T) {
	f := func(o Outcome, status int, want Sign) {
		t.Helper()
		if got := o.Sign(status); got != want {
			t.Errorf("%v with %d: %d, want %d", o, status, got, want)
		}
	}
	for _, o := range []Outcome{ConnectFailed, Stall, Cut} {
		f(o, 0, Failed)
	}
	for _, o := range []Outcome{Status, StreamError} {
		f(o, 502, Failed)
		f(o, 503, Failed)
		f(o, 504, Failed)
		f(o, 429, Alive)
		f(o, 500, Unsure)
		f(o, 408, Unsure)
	}
	for _, o := range []Outcome{Natural, Final, Finish, Empty, Diverged, Broken, Refused} {
		f(o, 200, Alive)
	}
	for _, o := range []Outcome{ClientGone, Drain, Deadline, 0} {
		f(o, 0, Unsure)
	}
}

// Nothing is lost, whatever happens at once.
func TestBalancerIsSafeForConcurrentUse(t *testing.T) {
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(1, 1))
	b := NewBalancer(make([]TargetSpec, 4), testEjection, func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return rnd.Float64()
	})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				now := noon.Add(time.Duration(i) * 10 * time.Millisecond)
				c := b.Acquire(now, g%5-1)
				if i%3 == 0 {
					b.Answered(&c, now)
				}
				b.Release(c, Sign((i+g)%3), now)
			}
		})
	}
	wg.Wait()
	admitted := 0
	for _, s := range b.States(nil) {
		if s.Running != 0 || s.Probing {
			t.Errorf("%+v", s)
		}
		if s.Until.IsZero() {
			admitted++
		}
	}
	if admitted == 0 {
		t.Error("every target is ejected")
	}
}

func BenchmarkBalancer(b *testing.B) {
	x := NewBalancer(make([]TargetSpec, 4), testEjection, rand.Float64)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			x.Release(x.Acquire(noon, NoTarget), Alive, noon)
		}
	})
}
