package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// quantity is something that must not grow.
type quantity struct {
	name, unit string
	of         func(*sample) float64 // negative when there is no value
	// What it may grow by over the measured time: the greater of a fixed amount
	// and a share of its median.
	least, share float64
}

var quantities = []quantity{
	{"heap after a collection", "MiB", func(s *sample) float64 { return s.heap }, 2, 0.10},
	{"resident memory", "MiB", func(s *sample) float64 { return s.resident }, 6, 0.10},
	{"goroutines", "", func(s *sample) float64 { return s.goroutines }, 30, 0.10},
	{"descriptors", "", func(s *sample) float64 { return s.files }, 30, 0.10},
	{"series of metrics", "", func(s *sample) float64 { return s.series }, 2, 0},
	{"processor time of an arrival", "ms", func(s *sample) float64 { return s.perArrival }, 0.2, 0.20},
	{"added to the first event, p50", "ms", func(s *sample) float64 { return s.added(&s.p50) }, 2, 0.50},
	{"added to the first event, p99", "ms", func(s *sample) float64 { return s.added(&s.p99) }, 25, 1},
	{"a short request, p50", "ms", func(s *sample) float64 { return s.p50[wayShort] }, 2, 0.50},
}

// values are a quantity's moments and values.
func (q *quantity) values(samples []*sample) (x, y []float64) {
	for _, s := range samples {
		if v := q.of(s); v >= 0 || s.p50[wayDirect] >= 0 && s.p50[wayThrough] >= 0 && strings.HasPrefix(q.name, "added") {
			x, y = append(x, s.seconds), append(y, v)
		}
	}
	return x, y
}

// calm are the samples whose requests without the proxy were about as fast as
// usual, with an interval for what had piled up before. Others were taken while
// the machine did something else, and requests waited for a processor.
func calm(samples []*sample) (all []*sample) {
	var times []float64
	for _, s := range samples {
		if v := s.p50[wayDirect]; v >= 0 {
			times = append(times, v)
		}
	}
	if times == nil {
		return samples
	}
	usual := middle(sorted(times))
	busy := false
	for _, s := range samples {
		before := busy
		busy = s.p50[wayDirect] > 3*usual+1
		if !busy && !before {
			all = append(all, s)
		}
	}
	return all
}

// A trend takes so many samples over so many seconds. What comes before is
// buffers, pools and idle goroutines being filled.
const (
	fewest   = 8
	shortest = 60.0
)

// growth is what a run says of one quantity.
type growth struct {
	*quantity
	trend
	over    float64 // seconds that were measured
	allowed float64
	enough  bool // samples and time, or nothing is said
}

// grows tells that even the lower end of the interval is too much.
func (g *growth) grows() bool { return g.enough && g.low*g.over > g.allowed }

func (q *quantity) judge(samples []*sample) growth {
	x, y := q.values(samples)
	g := growth{quantity: q, enough: len(x) >= fewest && x[len(x)-1]-x[0] >= shortest}
	if g.enough {
		g.trend = fit(x, y)
		g.over = x[len(x)-1] - x[0]
		g.allowed = max(q.least, q.share*math.Abs(g.median))
	}
	return g
}

// judge fits the trends.
func (o *outcome) judge() {
	o.judged = calm(o.samples)
	for i := range quantities {
		o.growths = append(o.growths, quantities[i].judge(o.judged))
	}
}

// outcome is all that a run ends with.
type outcome struct {
	samples []*sample // behind the warm-up
	judged  []*sample // of which the machine was not busy otherwise
	growths []growth
	before  *sample // idle, before the load
	after   *sample // idle, after it; nil when the proxy was gone
	died    bool
	lastup  int // requests left open at the upstream
	tally   *tally
	logged  int64 // bytes of the proxy's log
}

// So many goroutines, descriptors and MiB of heap more than before may be left:
// connections that are kept, pools, and tables that have grown.
const (
	remain     = 16
	remainHeap = 4
)

// complaints are the reasons for which the run has failed.
func (o *outcome) complaints() (all []string) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if o.died || o.after == nil {
		say("the proxy has ended by itself, or does not answer")
	}
	for i := range o.growths {
		if g := &o.growths[i]; g.grows() {
			say("%s: growth of %s in %.0f s, at least %s; allowed are %s", g.name, strings.TrimSpace(number(g.slope*g.over)+" "+g.unit), g.over, number(g.low*g.over), number(g.allowed))
		}
	}
	for _, v := range []verdict{unhealed, wrong, hung} {
		if n := o.tally.counts[v].Load(); n > 0 {
			say("%d answers %s", n, verdictNames[v])
		}
	}
	if n := len(o.samples); n > 0 && o.samples[n-1].seconds-o.samples[0].seconds >= shortest && len(o.judged) < n/4 {
		say("%d of %d samples can be judged: the machine was too busy with something else", len(o.judged), len(o.samples))
	}
	if o.tally.counts[whole].Load() == 0 {
		say("no answer came whole")
	}
	if n := o.tally.arrivals.Load(); o.tally.skipped.Load() > n/10 {
		say("%d of %d arrivals were left out, since too many requests were open: the load was not what it should have been", o.tally.skipped.Load(), n)
	}
	if o.lastup > 0 {
		say("%d requests are still open at the upstream", o.lastup)
	}
	if o.after != nil {
		for _, left := range []struct {
			what          string
			before, after float64
			more          float64
		}{
			{"requests", 0, o.after.open, 0},
			{"panics", 0, o.after.panics, 0},
			{"goroutines", o.before.goroutines, o.after.goroutines, remain},
			{"descriptors", o.before.files, o.after.files, remain},
			{"MiB of heap", o.before.heap, o.after.heap, remainHeap},
		} {
			if left.after > left.before+left.more {
				say("%.0f %s after the load, %.0f before it", left.after, left.what, left.before)
			}
		}
	}
	return all
}

// write writes the verdict.
func (o *outcome) write(w io.Writer) {
	rows := [][]string{{"", "median", "growth", "95 % interval", "allowed", "an hour", ""}}
	for i := range o.growths {
		g := &o.growths[i]
		if !g.enough {
			rows = append(rows, []string{g.name, "", "", "", "", "", "too short a time"})
			continue
		}
		says := "steady"
		if g.grows() {
			says = "GROWS"
		}
		rows = append(rows, []string{strings.TrimSuffix(g.name+", "+g.unit, ", "), number(g.median), signed(g.slope * g.over),
			signed(g.low*g.over) + " … " + signed(g.high*g.over), number(g.allowed), signed(g.slope * time.Hour.Seconds()), says})
	}
	writeTable(w, rows)
	t := o.tally
	fmt.Fprintf(w, "\n%d arrivals, %d left out:", t.arrivals.Load(), t.skipped.Load())
	for v := range verdicts {
		fmt.Fprintf(w, " %d %s,", t.counts[v].Load(), verdictNames[v])
	}
	if o.after != nil {
		fmt.Fprintf(w, " %.0f healed as the proxy counts.\n", o.after.healed)
		fmt.Fprintf(w, "\nIdle before and after: heap %.1f → %.1f MiB, resident %.1f → %.1f MiB, goroutines %.0f → %.0f, descriptors %.0f → %.0f. The log has %d bytes.\n",
			o.before.heap, o.after.heap, o.before.resident, o.after.resident, o.before.goroutines, o.after.goroutines, o.before.files, o.after.files, o.logged)
	}
	for _, f := range t.faults {
		fmt.Fprintln(w, "\n-", f)
	}
	if n := len(o.samples) - len(o.judged); n > 0 {
		fmt.Fprintf(w, "\n%d of %d samples are left out of the trends: the machine was busy with something else, and requests without the proxy slow, too.\n", n, len(o.samples))
	}
	failures := o.complaints()
	switch {
	case failures == nil && !o.growths[0].enough:
		fmt.Fprintf(w, "\n**Every answer was as it must be. What grows cannot be told after so short a time.**\n")
		return
	case failures == nil:
		fmt.Fprintf(w, "\n**Nothing grows, and every answer was as it must be.**\n")
		return
	}
	fmt.Fprintf(w, "\n**Failed:**\n\n")
	for _, c := range failures {
		fmt.Fprintln(w, "-", c)
	}
}

// number has three digits or so.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func signed(v float64) string {
	if v > 0 {
		return "+" + number(v)
	}
	return number(v)
}
