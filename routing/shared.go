package routing

import "time"

// Shared is a limit that replicas can keep together, each on a lease. Whoever
// carries their news calls Use, asks the others, and then Grant with what they
// say; nothing here waits for it. It is safe for concurrent use with everything
// else, but Use, Grant and Alone come from one goroutine.
type Shared interface {
	// Use returns what there is to tell. A Limit of 0 with no Deposit is no
	// limit, and there is nothing to tell.
	Use(now time.Time) Use
	// Grant takes the answer to the last Use.
	Grant(g Grant, now time.Time)
	// Alone makes the limit that of this replica, whole and at once.
	Alone(now time.Time)
}

// Use is what a replica tells the others of its part in a limit.
type Use struct {
	// Limit is how many the replicas may begin together within Span, or with
	// a Span of 0 how many they may run at once.
	Limit int64
	Span  time.Duration
	// Deposit adds to the limit, in millionths; each replica brings its own.
	Deposit int64
	// Used is how many began since the last Use that was answered; with a Span
	// of 0, how many run.
	Used int64
	// Want is how many more the replica expects to begin on its lease; 0 is
	// an idle one's.
	Want int64
	// Hold is how many more it may begin until it has the answer, on the lease
	// that it has. The others must count with them.
	Hold int64
}

// Grant is the answer to a Use.
type Grant struct {
	// Left is how many more the replica may begin before Until.
	Left int64
	// Until is when the lease is over. A replica that has heard nothing by
	// then is alone.
	Until time.Time
	// Room is when there is room again in a limit that is used up.
	Room time.Time
}

// demand foresees how many a replica will begin on its lease: four times as many
// as it was asked for since the last Use, so that the lease also lasts when the
// next answer is late, and half of that each time when nothing is asked for.
type demand struct{ asked, want int64 }

func (d *demand) next() int64 {
	d.want, d.asked = max(4*d.asked, d.want/2), 0
	return d.want
}

// Short tells whether a request may not begin although the limit has room, which
// other replicas hold: a moment later there may be another lease.
func (c *Client) Short(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started.short(now)
}

// Use is that of a Shared.
func (c *Client) Use(now time.Time) Use {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started.use(now, int64(c.PerMinute), 0)
}

// Grant is that of a Shared.
func (c *Client) Grant(g Grant, _ time.Time) {
	c.mu.Lock()
	c.started.grant(g)
	c.mu.Unlock()
}

// Alone is that of a Shared.
func (c *Client) Alone(time.Time) {
	c.mu.Lock()
	c.started.alone()
	c.mu.Unlock()
}

// Short tells whether there is no retry to take although the budget has some,
// which other replicas hold.
func (b *Budget) Short(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent.short(now)
}

// Use is that of a Shared.
func (b *Budget) Use(now time.Time) Use {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent.use(now, b.reserve/token, b.deposit*(b.running+b.ended.total(now)))
}

// Grant is that of a Shared.
func (b *Budget) Grant(g Grant, _ time.Time) {
	b.mu.Lock()
	b.spent.grant(g)
	b.mu.Unlock()
}

// Alone is that of a Shared.
func (b *Budget) Alone(time.Time) {
	b.mu.Lock()
	b.spent.alone()
	b.mu.Unlock()
}

// Short tells whether there is a key that is not admitted for the model only
// because other replicas hold what its limit has left.
func (k *Keyring) Short(now time.Time, model []byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	parked, everywhere := k.parks[string(model)], k.parks[allModels]
	for i := range k.keys {
		if m := &k.keys[i].started; k.away(now, i, parked, everywhere) == 0 && m.short(now) && m.untilBelow(now, k.limit) == 0 {
			return true
		}
	}
	return false
}

// keyMeter is the limit of one key.
type keyMeter struct {
	ring  *Keyring
	index int
}

// Shared returns the limit of the key of the given index.
func (k *Keyring) Shared(index int) Shared { return keyMeter{k, index} }

// Use is that of a Shared.
func (m keyMeter) Use(now time.Time) Use {
	m.ring.mu.Lock()
	defer m.ring.mu.Unlock()
	return m.ring.keys[m.index].started.use(now, m.ring.limit, 0)
}

// Grant is that of a Shared.
func (m keyMeter) Grant(g Grant, _ time.Time) {
	m.ring.mu.Lock()
	m.ring.keys[m.index].started.grant(g)
	m.ring.mu.Unlock()
}

// Alone is that of a Shared.
func (m keyMeter) Alone(time.Time) {
	m.ring.mu.Lock()
	m.ring.keys[m.index].started.alone()
	m.ring.mu.Unlock()
}
