package main

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestTrend(t *testing.T) {
	f := func(name string, y func(x float64) float64, slope, tolerance float64, level bool) {
		t.Helper()
		var xs, ys []float64
		for x := 0.0; x < 600; x += 5 {
			xs, ys = append(xs, x), append(ys, y(x))
		}
		got := fit(xs, ys)
		if math.Abs(got.slope-slope) > tolerance || got.low > got.slope || got.high < got.slope {
			t.Errorf("%s: %+v, want a slope of %g", name, got, slope)
		}
		if (got.low <= 0 && got.high >= 0) != level {
			t.Errorf("%s: the interval %g … %g", name, got.low, got.high)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	f("level", func(float64) float64 { return 7 }, 0, 0, true)
	f("a line", func(x float64) float64 { return 3 + x/10 }, 0.1, 1e-9, false)
	f("noise", func(float64) float64 { return 50 + r.NormFloat64() }, 0, 0.001, true)
	f("noise on a line", func(x float64) float64 { return 50 - x/100 + r.NormFloat64() }, -0.01, 0.002, false)
	f("a fifth of it wild", func(x float64) float64 {
		if int(x)%25 == 0 {
			return 1e6 * r.Float64()
		}
		return x / 10
	}, 0.1, 0.01, false)
	f("a saw", func(x float64) float64 { return math.Mod(x, 40) }, 0, 0.003, true)
}

// series is a run whose samples are made up.
func series(change func(*sample)) []*sample {
	r := rand.New(rand.NewPCG(3, 4))
	var all []*sample
	for x := 0.0; x < 600; x += 5 {
		s := &sample{seconds: x, heap: 8 + r.Float64(), resident: 30 + r.Float64(), goroutines: 90 + 30*r.Float64(),
			files: 100 + 30*r.Float64(), series: 190, perArrival: 1 + r.Float64()/5}
		for w := range ways {
			s.p50[w], s.p99[w] = 1+float64(r.IntN(2))*r.Float64(), 5+20*r.Float64()
		}
		if r.IntN(20) == 0 {
			s.heap, s.goroutines, s.p99[wayThrough] = 40, 900, 500 // somebody else's doing
		}
		if change != nil {
			change(s)
		}
		all = append(all, s)
	}
	return all
}

// complain is what the verdict says of a run with good answers.
func complain(samples []*sample) string {
	o := outcome{samples: samples, before: new(sample), after: new(sample), tally: new(tally)}
	o.tally.counts[whole].Add(1)
	o.judge()
	return strings.Join(o.complaints(), "\n")
}

// What grows slowly, under noise, is told by its name, and nothing else is.
func TestGrowthIsSeen(t *testing.T) {
	if got := complain(series(nil)); got != "" {
		t.Errorf("nothing grows, and the verdict is %s", got)
	}
	f := func(name string, change func(*sample)) {
		t.Helper()
		if got := complain(series(change)); !strings.HasPrefix(got, name) || strings.Contains(got, "\n") {
			t.Errorf("%s grows, and the verdict is %q", name, got)
		}
	}
	f("heap", func(s *sample) { s.heap += s.seconds / 60 * 0.4 })
	f("resident", func(s *sample) { s.resident += s.seconds / 60 })
	f("goroutines", func(s *sample) { s.goroutines += s.seconds / 10 })
	f("descriptors", func(s *sample) { s.files += s.seconds / 10 })
	f("series", func(s *sample) { s.series += math.Floor(s.seconds / 100) })
	f("processor", func(s *sample) { s.perArrival += s.seconds / 1000 })
	f("added to the first event, p50", func(s *sample) { s.p50[wayThrough] += s.seconds / 100 })
	f("added to the first event, p99", func(s *sample) { s.p99[wayThrough] += s.seconds / 10 })
	f("a short", func(s *sample) { s.p50[wayShort] += s.seconds / 100 })
}

// What is only slow because the machine is busy is left out; what the proxy
// does meanwhile is not held against it. A machine that is always busy is no
// place for a verdict.
func TestABusyMachineIsLeftOut(t *testing.T) {
	busy := func(from, to float64) func(*sample) {
		return func(s *sample) {
			if s.seconds >= from && s.seconds < to {
				s.p50[wayDirect], s.p50[wayThrough], s.goroutines, s.files, s.heap = 300, 400, 900, 900, 50
			}
		}
	}
	if got := complain(series(busy(350, 600))); got != "" {
		t.Errorf("a busy end: %s", got)
	}
	all := series(busy(100, 200))
	if n := len(all) - len(calm(all)); n != 21 {
		t.Errorf("%d samples are left out, want the 20 of the busy time and the one behind it", n)
	}
	flicker := series(func(s *sample) {
		if int(s.seconds)%15 == 0 {
			s.p50[wayDirect] = 50
		} else {
			s.p50[wayDirect] = 1
		}
	})
	if got := len(calm(flicker)); got != len(flicker)/3 {
		t.Errorf("%d of %d samples of a machine that is busy now and then", got, len(flicker))
	}
	flicker = series(func(s *sample) {
		if s.p50[wayDirect] = 1; int(s.seconds)%10 == 0 && s.seconds > 20 {
			s.p50[wayDirect] = 50
		}
	})
	if got := complain(flicker); !strings.Contains(got, "too busy") {
		t.Errorf("a machine that is busy all the time: %q", got)
	}
}

func TestAShortRunHasNoTrend(t *testing.T) {
	few := series(func(s *sample) { s.heap += s.seconds })[:10]
	if got := complain(few); got != "" {
		t.Error(got)
	}
}

func TestWhatIsLeftIsSeen(t *testing.T) {
	f := func(want string, change func(*outcome)) {
		t.Helper()
		o := outcome{before: &sample{goroutines: 15, files: 15}, after: &sample{goroutines: 15 + remain, files: 15}, tally: new(tally)}
		o.tally.counts[whole].Add(100)
		o.tally.arrivals.Add(100)
		if change(&o); strings.Join(o.complaints(), "\n") != want {
			t.Errorf("got %q, want %q", o.complaints(), want)
		}
	}
	f("", func(*outcome) {})
	f("the proxy has ended by itself, or does not answer", func(o *outcome) { o.died = true })
	f("the proxy has ended by itself, or does not answer", func(o *outcome) { o.after = nil })
	f("1 answers not healed", func(o *outcome) { o.tally.counts[unhealed].Add(1) })
	f("1 answers wrong", func(o *outcome) { o.tally.counts[wrong].Add(1) })
	f("1 answers hung", func(o *outcome) { o.tally.counts[hung].Add(1) })
	f("no answer came whole", func(o *outcome) { o.tally.counts[whole].Store(0) })
	f("3 requests are still open at the upstream", func(o *outcome) { o.lastup = 3 })
	f("2 requests after the load, 0 before it", func(o *outcome) { o.after.open = 2 })
	f("1 panics after the load, 0 before it", func(o *outcome) { o.after.panics = 1 })
	f("60 goroutines after the load, 15 before it", func(o *outcome) { o.after.goroutines = 60 })
	f("60 descriptors after the load, 15 before it", func(o *outcome) { o.after.files = 60 })
	f("6 MiB of heap after the load, 0 before it", func(o *outcome) { o.after.heap = 6 })
	f("20 of 100 arrivals were left out, since too many requests were open: the load was not what it should have been",
		func(o *outcome) { o.tally.skipped.Add(20) })
}

func TestMetricsAreRead(t *testing.T) {
	sums, series := metrics("# HELP a b\n# TYPE a counter\na{x=\"1 2\"} 3\na{x=\"}\"} 4.5\n\nb 1e3\nbroken\nc NaNx\n")
	if sums["a"] != 7.5 || sums["b"] != 1000 || series != 3 || len(sums) != 2 {
		t.Errorf("%v, %d series", sums, series)
	}
}
