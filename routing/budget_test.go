package routing

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// noon is where the frozen clock of the tests stands.
var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// After n requests, as many retries as their share and the reserve allow, to
// within one.
func TestBudgetIsAShareOfTheRequests(t *testing.T) {
	const n = 10_000
	for _, share := range []float64{0.0001, 0.0002, 0.001, 0.0099, 0.01, 0.2, 0.5, 0.75, 0.9999, 1} {
		for _, perSecond := range []float64{0, 0.1, 1, 10} {
			b := NewBudget(share, perSecond)
			for range n {
				b.Begin()
				b.End(noon)
			}
			got := 0
			for b.Withdraw(noon) {
				got++
			}
			if want := share*n + perSecond*10; math.Abs(float64(got)-want) > 1 {
				t.Errorf("share %v, %v a second: %d retries, want %v", share, perSecond, got, want)
			}
		}
	}
}

func TestBudgetCountsWhatRuns(t *testing.T) {
	b := NewBudget(0.2, 0)
	f := func(at time.Duration, want int) {
		t.Helper()
		if got := b.Balance(noon.Add(at)); got != want {
			t.Errorf("after %v: %d, want %d", at, got, want)
		}
	}
	for range 50 {
		b.Begin()
	}
	f(0, 10)
	for range 10 {
		if !b.Withdraw(noon) {
			t.Fatal("no retry")
		}
	}
	if b.Withdraw(noon) {
		t.Fatal("an eleventh retry")
	}
	// Streams that still run are worth as many again, once the ten seconds are over.
	f(10*time.Second, 0)
	f(11*time.Second, 10)
	// What has ended is worth something for ten seconds more.
	for range 50 {
		b.End(noon.Add(20 * time.Second))
	}
	f(30*time.Second, 10)
	f(31*time.Second, 0)
}

// Whatever comes when: in no ten seconds more retries than promised, by one.
func TestBudgetIsNeverExceeded(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		share, perSecond := rnd.Float64(), rnd.Float64()*20
		b := NewBudget(share, perSecond)
		type event struct{ at, end time.Duration }
		var requests []event
		var retries []time.Duration
		now := time.Duration(0)
		for range 10_000 {
			now += time.Duration(rnd.ExpFloat64() * float64(20*time.Millisecond))
			switch rnd.IntN(4) {
			case 0:
				b.Begin()
				requests = append(requests, event{now, math.MaxInt64})
			case 1:
				for i := range requests {
					if requests[i].end == math.MaxInt64 && rnd.IntN(3) == 0 {
						requests[i].end = now
						b.End(noon.Add(now))
						break
					}
				}
			default:
				if b.Withdraw(noon.Add(now)) {
					retries = append(retries, now)
				}
			}
		}
		for i := 0; i < len(retries); i += 37 {
			from, to := retries[i], retries[i]+10*time.Second
			in, ran := 0, 0
			for _, r := range retries {
				if r >= from && r < to {
					in++
				}
			}
			for _, r := range requests {
				// A request counts until the end of the tenth second after it.
				if r.at < to && r.end >= from-11*time.Second {
					ran++
				}
			}
			if limit := share*float64(ran) + perSecond*10 + 1; float64(in) > limit {
				t.Fatalf("seed %d: %d retries within ten seconds of %v, at most %.1f allowed", seed, in, from, limit)
			}
		}
	}
}

func TestBudgetWithoutBound(t *testing.T) {
	var b *Budget
	b.Begin()
	for range 1000 {
		if !b.Withdraw(noon) {
			t.Fatal("refused")
		}
	}
	b.End(noon)
}

func TestBudgetIsSafeForConcurrentUse(t *testing.T) {
	b := NewBudget(0.5, 0)
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				b.Begin()
				if b.Withdraw(noon) {
					mu.Lock()
					taken++
					mu.Unlock()
				}
				b.End(noon)
			}
		})
	}
	wg.Wait()
	if taken > 4000 || taken < 3990 {
		t.Errorf("%d retries of 8000 requests, want half", taken)
	}
}

// The clock of a machine may be set back.
func TestWindowWithAClockThatGoesBack(t *testing.T) {
	w := newWindow(10 * time.Second)
	w.add(noon, 5)
	w.add(noon.Add(-time.Hour), 2)
	if got := w.total(noon.Add(-time.Hour)); got != 7 {
		t.Errorf("total = %d, want 7", got)
	}
	if got := w.total(noon.Add(10 * time.Second)); got != 7 {
		t.Errorf("total = %d, want 7", got)
	}
	if got := w.total(noon.Add(11 * time.Second)); got != 0 {
		t.Errorf("total = %d, want 0", got)
	}
}

func TestWindowUntilBelow(t *testing.T) {
	w := newWindow(60 * time.Second)
	f := func(at time.Duration, limit int64, want time.Duration) {
		t.Helper()
		if got := w.untilBelow(noon.Add(at), limit); got != want {
			t.Errorf("at %v, below %d: %v, want %v", at, limit, got, want)
		}
	}
	f(0, 1, 0)
	w.add(noon, 2)
	w.add(noon.Add(10*time.Second), 1)
	f(10*time.Second, 4, 0)
	f(10*time.Second, 3, 51*time.Second)
	f(10500*time.Millisecond, 1, 60500*time.Millisecond)
	f(61*time.Second, 2, 0)
	f(61*time.Second, 1, 10*time.Second)
}

func BenchmarkBudget(b *testing.B) {
	budget := NewBudget(0.2, 10)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			budget.Begin()
			budget.Withdraw(noon)
			budget.End(noon)
		}
	})
}
