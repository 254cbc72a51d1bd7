package routing

import (
	"sync"
	"time"
)

// Limits bound what runs at the same time. They may be changed at any time.
type Limits struct {
	// Streams is how many requests run at once altogether; 0 is no limit.
	Streams int
	// Queue is how many requests may wait for one of them to end; 0 refuses
	// at once.
	Queue int
}

// Entrant is a request that wants to run.
type Entrant struct {
	// Client tells whose request it is. Any number will do that is the same
	// for all requests of a client.
	Client uint64
	// ClientLimit is how many of the client's may run at once; 0 is no limit.
	ClientLimit int
	// Group is whose upstream it goes to, and GroupLimit how many may run
	// there at once; 0 is no limit.
	Group      string
	GroupLimit int
	// Until is when the request gives up waiting.
	Until time.Time
}

// Verdict is what a Gate says of a request.
type Verdict uint8

// The verdicts of a Gate.
const (
	// Admitted: it runs; Leave follows once.
	Admitted Verdict = iota
	// Waits: it is in the queue until it is told by Ticket.Ready.
	Waits
	// OverClient, OverGroup, OverAll: it is refused, because of a limit of
	// its client, of its group, or of all.
	OverClient
	OverGroup
	OverAll
)

// Gate admits requests up to its limits and lets others wait in a bounded
// queue, fairly between clients: the next to run is always of the client that
// has the fewest running, so that one that asks for ten times its share waits
// behind itself. A full queue makes room for a client at the expense of the one
// that has the most waiting. A tenth of all places is kept for clients that run
// less than two even shares, so that they need not wait for others to end. It is
// safe for concurrent use.
//
// Between calls, no request waits that could run: every call that frees
// something admits whoever can use it.
type Gate struct {
	mu      sync.Mutex
	limits  Limits
	running int
	waiting int
	serial  uint64
	parties map[uint64]*party
	groups  map[string]int
	queued  []*party // those with a queue
	free    []*party // to be used again
	shared  map[placesOf]*places
}

// party is a client that has something running or waiting.
type party struct {
	client      uint64
	running     int
	waiting     int
	first, last *Ticket
}

// Ticket is a request's place. The zero value is ready to be used by Enter, and
// again after Leave. It must not be copied.
type Ticket struct {
	// Ready holds one value once a request that waits was decided on.
	Ready chan struct{}

	Entrant
	party      *party
	verdict    Verdict
	inside     bool
	prev, next *Ticket
	serial     uint64
}

// NewGate returns a Gate with nothing behind it.
func NewGate(l Limits) *Gate {
	return &Gate{limits: l, parties: map[uint64]*party{}, groups: map[string]int{}}
}

// SetLimits changes the limits. What runs or waits is not harmed by lower ones.
func (g *Gate) SetLimits(l Limits, now time.Time) {
	g.mu.Lock()
	g.limits = l
	g.dispatch(now)
	g.mu.Unlock()
}

// Enter asks for e to run. If it Waits, the caller waits for t.Ready and then
// asks Verdict, or calls Cancel.
func (g *Gate) Enter(t *Ticket, e Entrant, now time.Time) Verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	t.Entrant, t.party = e, g.party(e.Client)
	why := g.obstacle(t)
	if why == Admitted {
		g.admit(t)
		return Admitted
	}
	if !now.Before(e.Until) || !g.makeRoom(t.party) {
		g.drop(t.party)
		t.party = nil
		return why
	}
	g.enqueue(t)
	return Waits
}

// obstacle returns the limit that keeps t from running now.
func (g *Gate) obstacle(t *Ticket) Verdict {
	switch {
	case t.ClientLimit > 0 && !g.fits(placesOf{client: t.Client}, t.party.running, t.ClientLimit):
		return OverClient
	case t.GroupLimit > 0 && !g.fits(placesOf{group: t.Group}, g.groups[t.Group], t.GroupLimit):
		return OverGroup
	case g.limits.Streams > 0 && g.running >= g.room(t.party):
		return OverAll
	}
	return Admitted
}

// room returns how many places there are for p: not the last tenth, once it has
// two even shares: whose load comes and goes is above one share now and then.
func (g *Gate) room(p *party) int {
	all := g.limits.Streams
	if n := len(g.parties); n > 1 && p.running >= 2*all/n {
		return all - all/10
	}
	return all
}

func (g *Gate) admit(t *Ticket) {
	g.running++
	t.party.running++
	if t.GroupLimit > 0 {
		g.groups[t.Group]++
	}
	t.inside, t.verdict = true, Admitted
}

// makeRoom tells whether there is a place in the queue for one more of p. If it
// is full, the client with the most waiting gives up its last place, unless
// that is p itself or one that has no more than p would have.
func (g *Gate) makeRoom(p *party) bool {
	if g.waiting < g.limits.Queue {
		return true
	}
	var most *party
	for _, q := range g.queued {
		if most == nil || q.waiting > most.waiting {
			most = q
		}
	}
	if most == nil || most.waiting <= p.waiting+1 {
		return false
	}
	last := most.last
	g.decide(last, g.obstacle(last))
	return true
}

// enqueue appends t to the queue of its client.
func (g *Gate) enqueue(t *Ticket) {
	if t.Ready == nil {
		t.Ready = make(chan struct{}, 1)
	}
	p := t.party
	if p.waiting == 0 {
		g.queued = append(g.queued, p)
	}
	g.serial++
	t.serial, t.verdict = g.serial, Waits
	t.prev, t.next = p.last, nil
	if p.last != nil {
		p.last.next = t
	} else {
		p.first = t
	}
	p.last = t
	p.waiting++
	g.waiting++
}

// unlink takes t out of the queue.
func (g *Gate) unlink(t *Ticket) {
	p := t.party
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		p.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		p.last = t.prev
	}
	t.prev, t.next = nil, nil
	g.waiting--
	if p.waiting--; p.waiting == 0 {
		for i, q := range g.queued {
			if q == p {
				end := len(g.queued) - 1
				g.queued[i], g.queued[end] = g.queued[end], nil
				g.queued = g.queued[:end]
				break
			}
		}
	}
}

// decide ends the waiting of t. v is Admitted or why it is refused.
func (g *Gate) decide(t *Ticket, v Verdict) {
	g.unlink(t)
	t.verdict = v
	if v == Admitted {
		g.admit(t)
	} else {
		g.drop(t.party)
		t.party = nil
	}
	t.Ready <- struct{}{}
}

// dispatch admits whoever waits and can run.
func (g *Gate) dispatch(now time.Time) {
	for g.waiting > 0 && (g.limits.Streams == 0 || g.running < g.limits.Streams) {
		t := g.nextUp(now)
		if t == nil {
			return
		}
		g.decide(t, Admitted)
	}
}

// nextUp returns the ticket whose turn it is: of the clients that could run
// something, the one with the fewest running, and among equals the one that has
// waited longest.
func (g *Gate) nextUp(now time.Time) (best *Ticket) {
	for _, p := range g.queued {
		if best != nil && p.running > best.party.running {
			continue
		}
		for t := p.first; t != nil; t = t.next {
			if now.After(t.Until) || g.obstacle(t) != Admitted {
				continue
			}
			if best == nil || p.running < best.party.running || t.serial < best.serial {
				best = t
			}
			break
		}
	}
	return best
}

// Verdict returns what was decided on a ticket that had to wait.
func (g *Gate) Verdict(t *Ticket) Verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	return t.verdict
}

// Cancel ends the waiting of t because its time is over or its client has left,
// and returns the limit that was in the way. If t was admitted in the meantime
// it returns Admitted, and Leave is still to be called.
func (g *Gate) Cancel(t *Ticket, now time.Time) Verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.verdict != Waits {
		// What it was told is not to be found by the next one who waits.
		select {
		case <-t.Ready:
		default:
		}
		return t.verdict
	}
	why := g.obstacle(t)
	if why == Admitted {
		why = OverAll
	}
	g.unlink(t)
	t.verdict = why
	g.drop(t.party)
	t.party = nil
	g.dispatch(now)
	return why
}

// Leave says that an admitted request is over. It does nothing for a ticket
// that is not admitted.
func (g *Gate) Leave(t *Ticket, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !t.inside {
		return
	}
	t.inside = false
	g.running--
	p := t.party
	p.running--
	if t.GroupLimit > 0 {
		if g.groups[t.Group]--; g.groups[t.Group] == 0 {
			delete(g.groups, t.Group)
		}
	}
	t.party = nil
	g.drop(p)
	g.dispatch(now)
}

// Load returns how many requests run and how many wait.
func (g *Gate) Load() (running, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running, g.waiting
}

// party returns the client's party, a new one if it has none.
func (g *Gate) party(client uint64) *party {
	p := g.parties[client]
	if p != nil {
		return p
	}
	if n := len(g.free) - 1; n >= 0 {
		p, g.free = g.free[n], g.free[:n]
	} else {
		p = &party{}
	}
	p.client = client
	g.parties[client] = p
	return p
}

// maxFreeParties bounds what is kept for clients to come.
const maxFreeParties = 1000

// drop forgets a client that has nothing running and nothing waiting.
func (g *Gate) drop(p *party) {
	if p.running > 0 || p.waiting > 0 {
		return
	}
	delete(g.parties, p.client)
	if len(g.free) < maxFreeParties {
		g.free = append(g.free, p)
	}
}
