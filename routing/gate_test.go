package routing

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// enter asks for a request of a client to run.
func (g *Gate) enter(e Entrant) (*Ticket, Verdict) {
	if e.Until.IsZero() {
		e.Until = noon.Add(time.Hour)
	}
	t := &Ticket{}
	return t, g.Enter(t, e, noon)
}

// ready tells whether a ticket that waited was decided on, and takes the word.
func (t *Ticket) ready() bool {
	select {
	case <-t.Ready:
		return true
	default:
		return false
	}
}

func TestGateLimits(t *testing.T) {
	f := func(name string, l Limits, e Entrant, admitted int, want Verdict) {
		t.Helper()
		g := NewGate(l)
		for i := range admitted {
			if _, v := g.enter(e); v != Admitted {
				t.Fatalf("%s: request %d: verdict %d", name, i, v)
			}
		}
		if _, v := g.enter(e); v != want {
			t.Errorf("%s: verdict %d, want %d", name, v, want)
		}
		if running, waiting := g.Load(); running != admitted || waiting != 0 && want != Waits {
			t.Errorf("%s: %d run, %d wait", name, running, waiting)
		}
	}
	f("all", Limits{Streams: 3}, Entrant{}, 3, OverAll)
	f("client", Limits{Streams: 10}, Entrant{ClientLimit: 2}, 2, OverClient)
	f("group", Limits{Streams: 10}, Entrant{Group: "a", GroupLimit: 4}, 4, OverGroup)
	f("client before all", Limits{Streams: 2}, Entrant{ClientLimit: 2}, 2, OverClient)
	f("a queue", Limits{Streams: 3, Queue: 1}, Entrant{}, 3, Waits)
	f("no time to wait", Limits{Streams: 3, Queue: 1}, Entrant{Until: noon}, 3, OverAll)
}

func TestGateLimitsAreEachOnesOwn(t *testing.T) {
	g := NewGate(Limits{})
	for client := range uint64(3) {
		if _, v := g.enter(Entrant{Client: client, ClientLimit: 1, Group: fmt.Sprint(client), GroupLimit: 1}); v != Admitted {
			t.Errorf("client %d: verdict %d", client, v)
		}
	}
	if _, v := g.enter(Entrant{Client: 9, Group: "1", GroupLimit: 1}); v != OverGroup {
		t.Errorf("verdict %d, want OverGroup", v)
	}
}

// Whoever has the fewest running is next; among equals, who has waited longest.
func TestGateTurns(t *testing.T) {
	g := NewGate(Limits{Streams: 3, Queue: 10})
	var running []*Ticket
	for range 3 {
		x, _ := g.enter(Entrant{Client: 1})
		running = append(running, x)
	}
	hog1, _ := g.enter(Entrant{Client: 1})
	hog2, _ := g.enter(Entrant{Client: 1})
	b1, _ := g.enter(Entrant{Client: 2})
	c1, _ := g.enter(Entrant{Client: 3})
	b2, _ := g.enter(Entrant{Client: 2})
	order := map[*Ticket]string{hog1: "hog1", hog2: "hog2", b1: "b1", b2: "b2", c1: "c1"}
	f := func(leave *Ticket, want *Ticket) {
		t.Helper()
		g.Leave(leave, noon)
		for x, name := range order {
			if x.ready() != (x == want) {
				t.Errorf("%s: it is the turn of %s", name, order[want])
			}
		}
		if g.Verdict(want) != Admitted {
			t.Errorf("%s is not admitted", order[want])
		}
		delete(order, want)
	}
	f(running[0], b1)
	f(running[1], c1)
	f(b1, b2) // 2 has none running again
	f(running[2], hog1)
	f(hog1, hog2)
	if running, waiting := g.Load(); running != 3 || waiting != 0 {
		t.Errorf("%d run, %d wait", running, waiting)
	}
}

// One whose own limit is in the way keeps nobody else.
func TestGateHasNoHeadOfLine(t *testing.T) {
	g := NewGate(Limits{Queue: 10})
	a1, _ := g.enter(Entrant{Client: 1, Group: "full", GroupLimit: 1})
	blocked, v := g.enter(Entrant{Client: 1, Group: "full", GroupLimit: 1})
	if v != Waits {
		t.Fatal(v)
	}
	if _, v := g.enter(Entrant{Client: 1, Group: "free", GroupLimit: 1}); v != Admitted {
		t.Errorf("verdict %d", v)
	}
	behind, v := g.enter(Entrant{Client: 1, Group: "free", GroupLimit: 1})
	if v != Waits {
		t.Fatal(v)
	}
	g.Leave(a1, noon)
	if !blocked.ready() || behind.ready() {
		t.Error("the wrong one was admitted")
	}
}

func TestGateFullQueue(t *testing.T) {
	g := NewGate(Limits{Streams: 1, Queue: 3})
	run, _ := g.enter(Entrant{Client: 1})
	hogs := make([]*Ticket, 3)
	for i := range hogs {
		hogs[i], _ = g.enter(Entrant{Client: 1})
	}
	if _, v := g.enter(Entrant{Client: 1}); v != OverAll {
		t.Errorf("verdict %d: a client pushed itself out", v)
	}
	polite, v := g.enter(Entrant{Client: 2})
	if v != Waits {
		t.Fatalf("verdict %d: a full queue has no room for another client", v)
	}
	if !hogs[2].ready() || g.Verdict(hogs[2]) != OverAll {
		t.Error("the last of the one with the most was not refused")
	}
	// Two and one: nobody is pushed out for more of the same.
	if _, v := g.enter(Entrant{Client: 2}); v != OverAll {
		t.Errorf("verdict %d", v)
	}
	g.Leave(run, noon)
	if !hogs[0].ready() || polite.ready() {
		t.Error("neither runs anything: it is the turn of who has waited longest")
	}
	g.Leave(hogs[0], noon)
	if hogs[1].ready() == polite.ready() {
		t.Error("one place, one admitted")
	}
}

func TestGateCancel(t *testing.T) {
	g := NewGate(Limits{Streams: 1, Queue: 100})
	run, _ := g.enter(Entrant{Client: 1})
	var waiting []*Ticket
	for i := range 100 {
		x, v := g.enter(Entrant{Client: uint64(i % 7)})
		if v != Waits {
			t.Fatal(v)
		}
		waiting = append(waiting, x)
	}
	for _, x := range waiting[1:] {
		if v := g.Cancel(x, noon); v != OverAll {
			t.Errorf("verdict %d", v)
		}
	}
	g.Leave(run, noon)
	// The last one is admitted in the moment it gives up.
	if v := g.Cancel(waiting[0], noon); v != Admitted {
		t.Fatalf("verdict %d, want Admitted", v)
	}
	if waiting[0].ready() {
		t.Error("the word is still there for the next one")
	}
	g.Leave(waiting[0], noon)
	g.Leave(waiting[0], noon)
	if running, queued := g.Load(); running != 0 || queued != 0 || len(g.parties) != 0 || len(g.queued) != 0 {
		t.Errorf("%d run, %d wait, %d clients, %d queued", running, queued, len(g.parties), len(g.queued))
	}
}

// Whose time is over is not admitted: nobody waits for it any more.
func TestGateKnowsDeadlines(t *testing.T) {
	g := NewGate(Limits{Streams: 1, Queue: 10})
	run, _ := g.enter(Entrant{Client: 1})
	late, _ := g.enter(Entrant{Client: 2, Until: noon.Add(time.Second)})
	next, _ := g.enter(Entrant{Client: 3, Until: noon.Add(time.Minute)})
	g.Leave(run, noon.Add(2*time.Second))
	if late.ready() || !next.ready() {
		t.Error("one whose time is over was admitted")
	}
	if v := g.Cancel(late, noon); v == Admitted {
		t.Error("admitted")
	}
}

// Who has two even shares leaves a tenth of the places to the others.
func TestGateKeepsATenth(t *testing.T) {
	g := NewGate(Limits{Streams: 20})
	fill := func(client uint64, want int) {
		t.Helper()
		got := 0
		for {
			if _, v := g.enter(Entrant{Client: client}); v != Admitted {
				break
			}
			got++
		}
		if got != want {
			t.Errorf("client %d got %d places, want %d", client, got, want)
		}
	}
	for client := range uint64(4) {
		if _, v := g.enter(Entrant{Client: 10 + client}); v != Admitted {
			t.Fatal(v)
		}
	}
	fill(1, 14)
	fill(10, 2)
	alone := NewGate(Limits{Streams: 20})
	g = alone
	fill(1, 20)
}

func TestGateSetLimits(t *testing.T) {
	g := NewGate(Limits{Streams: 1, Queue: 10})
	run, _ := g.enter(Entrant{})
	a, _ := g.enter(Entrant{})
	b, _ := g.enter(Entrant{})
	g.SetLimits(Limits{Streams: 2, Queue: 10}, noon)
	if !a.ready() || b.ready() {
		t.Error("a higher limit admits who waits")
	}
	g.SetLimits(Limits{Streams: 1, Queue: 10}, noon)
	g.Leave(run, noon)
	if b.ready() {
		t.Error("admitted above the lower limit")
	}
	g.SetLimits(Limits{}, noon)
	if !b.ready() {
		t.Error("no limit admits all")
	}
}

// No limit is ever exceeded, nothing is lost, whatever happens at once.
func TestGateIsSafeForConcurrentUse(t *testing.T) {
	g := NewGate(Limits{Streams: 5, Queue: 20})
	var wg sync.WaitGroup
	var mu sync.Mutex
	inside := map[uint64]int{}
	all := 0
	enter := func(client uint64, by int) {
		mu.Lock()
		defer mu.Unlock()
		inside[client] += by
		all += by
		if all > 5 || inside[client] > 3 {
			t.Errorf("%d run, %d of client %d", all, inside[client], client)
		}
	}
	for i := range 32 {
		wg.Go(func() {
			client := uint64(i % 4)
			var ticket Ticket
			for n := range 300 {
				v := g.Enter(&ticket, Entrant{Client: client, ClientLimit: 3, Until: noon.Add(time.Hour)}, noon)
				if v == Waits {
					if n%3 == 0 {
						v = g.Cancel(&ticket, noon)
					} else {
						<-ticket.Ready
						v = g.Verdict(&ticket)
					}
				}
				if v == Admitted {
					enter(client, 1)
					enter(client, -1)
					g.Leave(&ticket, noon)
				}
			}
		})
	}
	wg.Wait()
	if running, waiting := g.Load(); running != 0 || waiting != 0 || len(g.parties) != 0 {
		t.Errorf("%d run, %d wait, %d clients", running, waiting, len(g.parties))
	}
}

func BenchmarkGate(b *testing.B) {
	g := NewGate(Limits{Streams: 1 << 20})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var t Ticket
		for pb.Next() {
			g.Enter(&t, Entrant{Client: 1, Group: "default", GroupLimit: 1 << 20}, noon)
			g.Leave(&t, noon)
		}
	})
}
