package routing

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// happening is something in the simulation of clients at a Gate.
type happening struct {
	at    time.Duration
	visit *visit
	over  bool // the visit ends, else it arrives
}

type agenda []happening

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at < a[j].at }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)        { *a = append(*a, x.(happening)) }
func (a *agenda) Pop() any {
	old := *a
	last := old[len(old)-1]
	*a = old[:len(old)-1]
	return last
}

// visit is one request of a client.
type visit struct {
	Ticket
	client  uint64
	arrived time.Duration
	service time.Duration
}

// simulate lets clients ask at the given rates a second, for answers that take
// one second on average, and returns the 99th percentile of the time from
// arrival to end for the clients behind the first, and how many of theirs were
// refused.
func simulate(seed uint64, l Limits, rates []float64) (p99 time.Duration, refused int) {
	rnd := rand.New(rand.NewPCG(seed, 77))
	g := NewGate(l)
	var plan agenda
	const length = 200 * time.Second
	for client, rate := range rates {
		for at := time.Duration(0); ; {
			at += time.Duration(rnd.ExpFloat64() / rate * float64(time.Second))
			if at > length {
				break
			}
			service := time.Duration((0.5 + rnd.Float64()) * float64(time.Second))
			plan = append(plan, happening{at: at, visit: &visit{client: uint64(client), arrived: at, service: service}})
		}
	}
	heap.Init(&plan)
	waiting := map[*visit]bool{}
	var times []time.Duration
	for plan.Len() > 0 {
		h := heap.Pop(&plan).(happening)
		now := noon.Add(h.at)
		if h.over {
			g.Leave(&h.visit.Ticket, now)
			if h.visit.client > 0 {
				times = append(times, h.at-h.visit.arrived)
			}
		} else {
			e := Entrant{Client: h.visit.client, Until: now.Add(10 * time.Second)}
			switch g.Enter(&h.visit.Ticket, e, now) {
			case Admitted:
				heap.Push(&plan, happening{h.at + h.visit.service, h.visit, true})
			case Waits:
				waiting[h.visit] = true
			default:
				if h.visit.client > 0 {
					refused++
				}
			}
		}
		for v := range waiting {
			if !v.ready() {
				continue
			}
			delete(waiting, v)
			if g.Verdict(&v.Ticket) == Admitted {
				heap.Push(&plan, happening{h.at + v.service, v, true})
			} else if v.client > 0 {
				refused++
			}
		}
	}
	slices.Sort(times)
	return times[len(times)*99/100], refused
}

// A client that asks for ten times its share waits behind itself: the others'
// 99th percentile rises by less than a fifth, and none of theirs is refused.
func TestOneClientDoesNotSlowTheOthers(t *testing.T) {
	const clients, slots = 10, 50
	share := float64(slots) / clients // requests a second of one second each
	for seed := range uint64(5) {
		rates := make([]float64, clients)
		for i := range rates {
			rates[i] = 0.8 * share
		}
		l := Limits{Streams: slots, Queue: 100}
		before, _ := simulate(seed, l, rates)
		rates[0] = 10 * share
		after, refused := simulate(seed, l, rates)
		t.Logf("seed %d: p99 %v alone, %v beside the greedy one", seed, before, after)
		if after > before*12/10 {
			t.Errorf("seed %d: p99 rose from %v to %v", seed, before, after)
		}
		if refused > 0 {
			t.Errorf("seed %d: %d requests of others were refused", seed, refused)
		}
	}
}
