package routing

import "time"

// meter counts what began within a span, for a limit that may be one of several
// replicas together. Alone it is a window. Joined, it holds a lease: how many the
// replica may begin until it is heard of again. Nothing here waits: whoever talks
// with the others does so on the side, by a Use and a Grant. Whoever holds a meter
// guards it.
type meter struct {
	window
	span   time.Duration
	fresh  int64 // counted since the last Use
	told   int64 // counted in a Use that no Grant has answered
	missed bool  // there was none left
	last   int64 // what the last Grant allowed
	left   int64 // of it
	rest   int64 // what was to be had beside it
	until  time.Time
	room   time.Time // when a used-up limit has room again
	active time.Time // when one was last begun or missed
}

func newMeter(span time.Duration) meter { return meter{window: newWindow(span), span: span} }

// leaseShort is what a caller is told to wait when a lease is used up and the
// limit is not: by then there is another lease.
const leaseShort = 500 * time.Millisecond

// idleAfter is how long after its last request a meter is idle, and leaves its
// lease to others when there is little.
const idleAfter = time.Second

// Use is what a replica tells the others of its part in a limit.
type Use struct {
	// Limit is how many the replicas may begin together within Span.
	Limit int64
	Span  time.Duration
	// Deposit adds to the limit, in millionths; each replica brings its own.
	Deposit int64
	// Used is how many began since the last Use that was answered, Want how
	// many more are likely to before the next.
	Used, Want int64
	// Idle says that none has begun of late.
	Idle bool
}

// Grant is the answer to a Use.
type Grant struct {
	// Left is how many the replica may begin before Until, Rest how many are
	// left for anybody beside those.
	Left, Rest int64
	// Until is when the grant is over: then the replica is alone.
	Until time.Time
	// Room is when there is room again, if there is none.
	Room time.Time
}

// Shared is a limit that replicas can keep together. Use and Grant come in turn;
// a Use that was not answered is followed by Alone.
type Shared interface {
	// Use returns what there is to tell. A Limit of 0 with no Deposit is no
	// limit, and there is nothing to tell.
	Use(now time.Time) Use
	// Grant takes the answer.
	Grant(g Grant)
	// Alone makes the limit that of this replica, at once.
	Alone()
}

// joined tells whether there is a lease.
func (m *meter) joined(now time.Time) bool { return now.Before(m.until) }

// wait returns the time after which one more may begin, 0 for now. A joined
// replica that has begun none for a span may begin one without a lease as long
// as there was room when it last heard.
func (m *meter) wait(now time.Time, limit int64) time.Duration {
	w := m.untilBelow(now, limit)
	if w > 0 || !m.joined(now) {
		return w
	}
	return m.leaseWait(now)
}

// leaseWait is wait for the lease alone.
func (m *meter) leaseWait(now time.Time) time.Duration {
	if m.left > 0 || m.rest > 0 && m.total(now) == 0 {
		return 0
	}
	m.missed, m.active = true, now
	return max(leaseShort, m.room.Sub(now))
}

// take counts one that begins.
func (m *meter) take(now time.Time) {
	m.add(now, 1)
	m.fresh++
	m.active = now
	if m.left > 0 {
		m.left--
	}
}

// use is Use for a limit of the meter.
func (m *meter) use(now time.Time, limit, deposit int64) Use {
	// What is older than the span is nobody's concern.
	m.told = min(m.told+m.fresh, m.total(now))
	u := Use{Limit: limit, Span: m.span, Deposit: deposit, Used: m.told, Want: 2 * m.fresh, Idle: now.Sub(m.active) >= idleAfter}
	if m.missed {
		u.Want = max(u.Want, 2*m.last)
	}
	m.fresh, m.missed = 0, false
	return u
}

// grant takes the answer to the last use. What began since counts against it.
func (m *meter) grant(g Grant) {
	m.told = 0
	m.last, m.left, m.rest = g.Left, max(0, g.Left-m.fresh), g.Rest
	m.until, m.room = g.Until, g.Room
}

func (m *meter) alone() { m.until = time.Time{} }

// adopt takes over what old has counted and holds.
func (m *meter) adopt(old *meter) {
	slots := m.slots
	copy(slots, old.slots)
	*m = *old
	m.slots = slots
}

// Use is that of a Shared.
func (c *Client) Use(now time.Time) Use {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started.use(now, int64(c.PerMinute), 0)
}

// Grant is that of a Shared.
func (c *Client) Grant(g Grant) {
	c.mu.Lock()
	c.started.grant(g)
	c.mu.Unlock()
}

// Alone is that of a Shared.
func (c *Client) Alone() {
	c.mu.Lock()
	c.started.alone()
	c.mu.Unlock()
}

// Use is that of a Shared.
func (b *Budget) Use(now time.Time) Use {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent.use(now, b.reserve/token, b.deposit*(b.running+b.ended.total(now)))
}

// Grant is that of a Shared.
func (b *Budget) Grant(g Grant) {
	b.mu.Lock()
	b.spent.grant(g)
	b.mu.Unlock()
}

// Alone is that of a Shared.
func (b *Budget) Alone() {
	b.mu.Lock()
	b.spent.alone()
	b.mu.Unlock()
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
func (m keyMeter) Grant(g Grant) {
	m.ring.mu.Lock()
	m.ring.keys[m.index].started.grant(g)
	m.ring.mu.Unlock()
}

// Alone is that of a Shared.
func (m keyMeter) Alone() {
	m.ring.mu.Lock()
	m.ring.keys[m.index].started.alone()
	m.ring.mu.Unlock()
}
