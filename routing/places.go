package routing

import "time"

// places is a limit of a Gate on what a client or a group runs at once, as
// replicas keep it together: each may run as many as its lease allows. It is
// known to the Gate while there is a lease. Its fields are guarded by the Gate.
type places struct {
	gate    *Gate
	of      placesOf
	limit   int
	told    int // how many ran at the last Use
	allowed int // how many may run
	demand
}

// placesOf tells whose limit it is: a client's by number, or a group's by name.
type placesOf struct {
	client uint64
	group  string
}

// SharedClient returns the limit on what runs at once of the client that its
// entrants call by this number.
func (g *Gate) SharedClient(client uint64, limit int) Shared {
	return g.share(placesOf{client: client}, limit)
}

// SharedGroup returns the limit on what runs at once of a group.
func (g *Gate) SharedGroup(group string, limit int) Shared {
	return g.share(placesOf{group: group}, limit)
}

// share returns the places that there is a lease of, or new ones.
func (g *Gate) share(of placesOf, limit int) *places {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.shared[of]
	if p == nil {
		p = &places{gate: g, of: of}
	}
	p.limit = limit
	return p
}

// fits tells whether one more may run beside those of a client or a group.
func (g *Gate) fits(of placesOf, running, limit int) bool {
	if p := g.shared[of]; p != nil {
		p.asked++
		limit = min(limit, p.allowed)
	}
	return running < limit
}

// Use is that of a Shared.
func (p *places) Use(time.Time) Use {
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	p.told = g.groups[p.of.group]
	if party := g.parties[p.of.client]; p.of.group == "" && party != nil {
		p.told = party.running
	}
	u := Use{Limit: int64(p.limit), Used: int64(p.told), Want: p.next()}
	if g.shared[p.of] == p {
		u.Hold = int64(max(0, min(p.allowed, p.limit)-p.told))
	}
	return u
}

// Grant is that of a Shared. Whoever waits for a place that there is now gets it.
func (p *places) Grant(l Grant, now time.Time) {
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shared == nil {
		g.shared = map[placesOf]*places{}
	}
	g.shared[p.of] = p
	p.allowed = p.told + int(l.Left)
	g.dispatch(now)
}

// Alone is that of a Shared.
func (p *places) Alone(now time.Time) {
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shared[p.of] == p {
		delete(g.shared, p.of)
		g.dispatch(now)
	}
}
