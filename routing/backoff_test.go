package routing

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestBackoffUniform(t *testing.T) {
	const draws, buckets = 10_000, 20
	// The 99.99 % point of chi-square with 19 degrees of freedom.
	const limit = 51.0
	source := rand.New(rand.NewPCG(1, 2))
	b := Backoff{Base: 250 * time.Millisecond, Max: 8 * time.Second, Rand: source.Float64}
	for n := range 10 {
		top := min(b.Max, b.Base<<n)
		var counts [buckets]int
		sum := 0.0
		for range draws {
			d := b.Delay(n)
			if d < 0 || d >= top {
				t.Fatalf("Delay(%d) = %v, not in [0, %v)", n, d, top)
			}
			counts[int64(d)*buckets/int64(top)]++
			sum += float64(d)
		}
		chi := 0.0
		for _, count := range counts {
			const expected = draws / buckets
			chi += math.Pow(float64(count-expected), 2) / expected
		}
		if chi > limit {
			t.Errorf("Delay(%d): chi-square %.1f is over %.1f: %v", n, chi, limit, counts)
		}
		if mean := sum / draws / float64(top); math.Abs(mean-0.5) > 0.02 {
			t.Errorf("Delay(%d): mean %.3f of the range, want 0.5", n, mean)
		}
	}
}

func TestBackoffLimits(t *testing.T) {
	almostOne := math.Nextafter(1, 0)
	f := func(base, limit time.Duration, n int, r float64, want time.Duration) {
		t.Helper()
		b := Backoff{Base: base, Max: limit, Rand: func() float64 { return r }}
		if got := b.Delay(n); got != want {
			t.Errorf("Delay(%d) of %v to %v at %v = %v, want %v", n, base, limit, r, got, want)
		}
	}
	const ms = time.Millisecond
	f(100*ms, time.Second, 0, 0.5, 50*ms)
	f(100*ms, time.Second, 1, 0.5, 100*ms)
	f(100*ms, time.Second, 3, 0.5, 400*ms)
	f(100*ms, time.Second, 4, 0.5, 500*ms)
	f(100*ms, time.Second, math.MaxInt, 0.5, 500*ms)
	f(100*ms, time.Second, -1, 0.5, 50*ms)
	f(100*ms, time.Second, math.MinInt, 0.5, 50*ms)
	f(time.Second, 100*ms, 0, 0.5, 50*ms)
	f(1, math.MaxInt64, 62, 0.5, 1<<61)
	f(1, math.MaxInt64, 63, almostOne, math.MaxInt64-1023)
	f(math.MaxInt64, math.MaxInt64, 9, almostOne, math.MaxInt64-1023)
	f(1, 1, 0, almostOne, 0)
	f(100*ms, time.Second, 0, 0, 0)
	// A source that is off its range does no harm.
	f(100*ms, time.Second, 0, 1, 100*ms-1)
	f(100*ms, time.Second, 0, -1, 0)
	// No waiting at all, and no source needed.
	for _, b := range []Backoff{{}, {Base: 1}, {Max: 1}, {Base: -1, Max: 1}} {
		if got := b.Delay(3); got != 0 {
			t.Errorf("%+v: Delay(3) = %v", b, got)
		}
	}
}
