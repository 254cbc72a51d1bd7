package bench

import (
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	outageTime  = flag.Duration("outage", 2*time.Hour, "time that the simulation of a failing day covers, 24h for the whole")
	outageTable = flag.String("outage-table", "", "file to write its table to")
)

// The world of the simulation: four targets and twenty keys of which some are no
// good, asked about twice a second.
const (
	worldTargets  = 4
	worldKeys     = 20
	worldRate     = 2.0 // requests a second, half to one and a half times as many through the day
	keyPerMinute  = 15  // requests that a key's quota allows in a minute
	keyPerDay     = 12_000
	firstTimeout  = 10 * time.Second
	worldAttempts = 6
)

// fault is what a target does for a while.
type fault uint8

const (
	faultNone   fault = iota
	faultRefuse       // no connection
	fault503
	faultSilent
	faultCuts // most streams break
)

// outage is a time in which a target fails.
type outage struct {
	from, to time.Duration
	kind     fault
}

// world is what happens, the same for every strategy.
type world struct {
	outages [worldTargets][]outage
	revoked map[int]time.Duration // key -> since when it is refused
	arrive  []time.Duration
}

func newWorld(seed uint64, length time.Duration) *world {
	rnd := rand.New(rand.NewPCG(seed, 1))
	w := &world{revoked: map[int]time.Duration{3: 0, 11: length / 3, 17: length / 2}}
	for t := range w.outages {
		for at := time.Duration(0); ; {
			at += time.Duration(rnd.ExpFloat64() * float64(2*time.Hour))
			if at >= length {
				break
			}
			o := outage{from: at, to: at + time.Duration(rnd.ExpFloat64()*float64(10*time.Minute)), kind: fault(1 + rnd.IntN(4))}
			w.outages[t] = append(w.outages[t], o)
			at = o.to
		}
	}
	day := float64(24 * time.Hour)
	for at := time.Duration(0); at < length; {
		// More by day than by night, as a triangle.
		part := float64(at%(24*time.Hour)) / day
		rate := worldRate * (0.5 + 2*min(part, 1-part))
		at += time.Duration(rnd.ExpFloat64() / rate * float64(time.Second))
		w.arrive = append(w.arrive, at)
	}
	return w
}

func (w *world) fault(target int, at time.Duration) fault {
	for _, o := range w.outages[target] {
		if at >= o.from && at < o.to {
			return o.kind
		}
	}
	return faultNone
}

// quota is the upstream's own count of a key.
type quota struct {
	minute, day  int64
	inMin, inDay int
}

// reply is how the upstream answers one attempt.
type reply struct {
	status int           // 0: no connection or no answer
	first  time.Duration // from the attempt to the first event, or to the error
	length time.Duration // of the stream behind it
	cut    bool          // it breaks off
	told   time.Duration // RetryInfo
	daily  bool          // the quota is one per day
}

// upstreams answers attempts. Its random numbers are its own, so that strategies
// meet the same luck on average and not in order.
type upstreams struct {
	world *world
	rnd   *rand.Rand
	quota [worldKeys]quota
}

func (u *upstreams) answer(target, key int, at, left time.Duration) reply {
	switch f := u.world.fault(target, at); f {
	case faultRefuse:
		return reply{first: time.Millisecond}
	case fault503:
		return reply{status: 503, first: 50 * time.Millisecond}
	case faultSilent:
		return reply{first: firstTimeout}
	}
	if since, is := u.world.revoked[key]; is && at >= since {
		return reply{status: 403, first: 50 * time.Millisecond}
	}
	if r, over := u.count(key, at); over {
		return r
	}
	if u.rnd.Float64() < 0.01 {
		return reply{status: 503, first: 50 * time.Millisecond}
	}
	r := reply{status: 200, first: 300*time.Millisecond + time.Duration(u.rnd.ExpFloat64()*float64(400*time.Millisecond)), length: left}
	cuts := 0.02
	if u.world.fault(target, at) == faultCuts {
		cuts = 0.7
	}
	if u.rnd.Float64() < cuts {
		r.cut, r.length = true, time.Duration(u.rnd.Float64()*float64(left))
	}
	return r
}

// count takes a request off the key's quotas, unless they are used up.
func (u *upstreams) count(key int, at time.Duration) (reply, bool) {
	q := &u.quota[key]
	if m := int64(at / time.Minute); m != q.minute {
		q.minute, q.inMin = m, 0
	}
	if d := int64(at / (24 * time.Hour)); d != q.day {
		q.day, q.inDay = d, 0
	}
	switch {
	case q.inDay >= keyPerDay:
		return reply{status: 429, first: 50 * time.Millisecond, daily: true, told: time.Second}, true
	case q.inMin >= keyPerMinute:
		next := time.Duration(q.minute+1) * time.Minute
		return reply{status: 429, first: 50 * time.Millisecond, told: next - at}, true
	}
	q.inMin++
	q.inDay++
	return reply{}, false
}

// asked is a client's request under way.
type asked struct {
	arrived time.Duration
	left    time.Duration // of the answer
	first   time.Duration // when the first event came, 0 before
	tries   int
	state   any // the strategy's own
}

// strategy is a way of making attempts.
type strategy interface {
	name() string
	// begin and end frame a request.
	begin(*asked, time.Duration)
	end(*asked, time.Duration)
	// choose returns where the next attempt goes, or for how long to wait first,
	// or that there is no use.
	choose(*asked, time.Duration) (target, key int, wait time.Duration, ok bool)
	// after is told of an attempt that is over and says whether another one
	// follows, and when. done attempts end the request.
	after(a *asked, target, key int, r reply, now time.Duration) (wait time.Duration, again bool)
	// answering is told when the first event of an attempt has come.
	answering(a *asked, now time.Duration)
}

// moment is something that happens in the simulation.
type moment struct {
	at   time.Duration
	n    int // order of those at the same time
	what func(now time.Duration)
}

type moments []moment

func (m moments) Len() int { return len(m) }
func (m moments) Less(i, j int) bool {
	return m[i].at < m[j].at || m[i].at == m[j].at && m[i].n < m[j].n
}
func (m moments) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *moments) Push(x any)   { *m = append(*m, x.(moment)) }
func (m *moments) Pop() any {
	old := *m
	last := old[len(old)-1]
	*m = old[:len(old)-1]
	return last
}

// outcome is what a strategy made of the day.
type outcome struct {
	name               string
	requests, answered int
	attempts, refused  int
	first              []time.Duration
}

// live runs a strategy through the world.
func live(w *world, s strategy, seed uint64) outcome {
	o := outcome{name: s.name()}
	u := &upstreams{world: w, rnd: rand.New(rand.NewPCG(seed, 2))}
	var plan moments
	n := 0
	at := func(when time.Duration, what func(time.Duration)) {
		n++
		heap.Push(&plan, moment{when, n, what})
	}
	var try func(a *asked) func(time.Duration)
	over := func(a *asked, now time.Duration, whole bool) {
		s.end(a, now)
		if whole {
			o.answered++
			o.first = append(o.first, a.first-a.arrived)
		}
	}
	try = func(a *asked) func(time.Duration) {
		return func(now time.Duration) {
			target, key, wait, ok := s.choose(a, now)
			switch {
			case !ok:
				over(a, now, false)
				return
			case wait > 0:
				at(now+wait, try(a))
				return
			}
			a.tries++
			o.attempts++
			r := u.answer(target, key, now, a.left)
			end := now + r.first
			if r.status == 200 {
				end += r.length
				at(now+r.first, func(now time.Duration) {
					if a.first == 0 {
						a.first = now
					}
					s.answering(a, now)
				})
			} else {
				o.refused++
			}
			at(end, func(now time.Duration) {
				wait, again := s.after(a, target, key, r, now)
				a.left -= r.length
				switch {
				case r.status == 200 && !r.cut:
					over(a, now, true)
				case again:
					at(now+wait, try(a))
				default:
					over(a, now, false)
				}
			})
		}
	}
	rnd := rand.New(rand.NewPCG(seed, 3))
	for _, when := range w.arrive {
		a := &asked{arrived: when, left: time.Duration((1 + rnd.ExpFloat64()*8) * float64(time.Second))}
		o.requests++
		at(when, func(now time.Duration) {
			s.begin(a, now)
			try(a)(now)
		})
	}
	for plan.Len() > 0 {
		m := heap.Pop(&plan).(moment)
		m.what(m.at)
	}
	slices.Sort(o.first)
	return o
}

func (o *outcome) quantile(q float64) time.Duration {
	if len(o.first) == 0 {
		return 0
	}
	return o.first[min(len(o.first)-1, int(q*float64(len(o.first))))].Round(time.Millisecond)
}

func (o *outcome) share() float64 { return 100 * float64(o.answered) / float64(o.requests) }
func (o *outcome) cost() float64  { return float64(o.attempts) / float64(o.requests) }

// TestOutages lives through a time of failures with what the proxy does and with
// a fixed number of retries, which is what most clients do.
//
//	go test -run Outages -v ./bench -outage 24h -outage-table bench/testdata/outage.txt
func TestOutages(t *testing.T) {
	seed := *seed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test -run Outages -v ./bench -seed %d -outage %v", seed, *outageTime)
	w := newWorld(seed, *outageTime)
	var text strings.Builder
	fmt.Fprintf(&text, "%-28s %9s %10s %13s %12s %9s %9s %9s\n", "retries", "requests", "answered", "attempts each", "errors each", "p50", "p99", "p99.9")
	results := map[string]outcome{}
	for _, s := range []strategy{newGroupStrategy(seed), &fixedStrategy{tries: 1, rnd: rand.New(rand.NewPCG(seed, 4))},
		&fixedStrategy{tries: 3, rnd: rand.New(rand.NewPCG(seed, 5))}, &fixedStrategy{tries: worldAttempts, rnd: rand.New(rand.NewPCG(seed, 6))}} {
		o := live(w, s, seed)
		results[o.name] = o
		fmt.Fprintf(&text, "%-28s %9d %9.2f%% %13.3f %12.3f %9v %9v %9v\n", o.name, o.requests, o.share(), o.cost(),
			float64(o.refused)/float64(o.requests), o.quantile(0.5), o.quantile(0.99), o.quantile(0.999))
	}
	t.Logf("time to first event of those answered:\n%s", text.String())
	if *outageTable != "" {
		if err := os.WriteFile(*outageTable, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ours, six := results["group of the proxy"], results[fmt.Sprintf("fixed, %d attempts", worldAttempts)]
	if ours.share() < 99.5 || ours.share() < six.share() {
		t.Errorf("%.2f %% answered, %.2f %% with a fixed number of attempts", ours.share(), six.share())
	}
	if ours.cost() > six.cost() {
		t.Errorf("%.3f attempts each, %.3f with a fixed number", ours.cost(), six.cost())
	}
	if ours.quantile(0.99) > six.quantile(0.99) {
		t.Errorf("the first event after %v (p99), %v with a fixed number", ours.quantile(0.99), six.quantile(0.99))
	}
}
