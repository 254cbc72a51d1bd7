package routing

import "time"

// meter counts what began within a span, for a limit that may be one of several
// replicas together. Alone it is a window. Joined, it holds a lease: how many the
// replica may begin until it hears of the others again. Whoever holds a meter
// guards it.
type meter struct {
	window
	demand
	span  time.Duration
	fresh int64 // counted since the last Use
	told  int64 // counted in a Use that no Grant has answered
	left  int64 // of the lease
	until time.Time
	room  time.Time // when a limit that is used up has room again
}

func newMeter(span time.Duration) meter { return meter{window: newWindow(span), span: span} }

// leaseShort is what a caller is told to wait when a lease is used up and the
// limit is not: by then there is another lease.
const leaseShort = 500 * time.Millisecond

// joined tells whether there is a lease, be it used up.
func (m *meter) joined(now time.Time) bool { return now.Before(m.until) }

// wait returns the time after which one more may begin, 0 for now.
func (m *meter) wait(now time.Time, limit int64) time.Duration {
	w := m.untilBelow(now, limit)
	if w == 0 && m.joined(now) && m.left == 0 {
		w = max(leaseShort, m.room.Sub(now))
	}
	return w
}

// short tells whether it is but the lease that is used up, not the limit.
func (m *meter) short(now time.Time) bool {
	return m.joined(now) && m.left == 0 && !m.room.After(now)
}

// take counts one that begins.
func (m *meter) take(now time.Time) {
	m.add(now, 1)
	m.fresh++
	m.asked++
	m.left = max(0, m.left-1)
}

// miss notes one that could not begin.
func (m *meter) miss() { m.asked++ }

// use is Use for a limit of the meter.
func (m *meter) use(now time.Time, limit, deposit int64) Use {
	// What is older than the span is nobody's concern.
	m.told, m.fresh = min(m.told+m.fresh, m.total(now)), 0
	u := Use{Limit: limit, Span: m.span, Deposit: deposit, Used: m.told, Want: m.next()}
	if m.joined(now) {
		u.Hold = m.left
	}
	return u
}

// grant takes the answer to the last use. What began since counts against it.
func (m *meter) grant(g Grant) {
	m.told, m.left, m.until, m.room = 0, max(0, g.Left-m.fresh), g.Until, g.Room
}

func (m *meter) alone() { m.until = time.Time{} }

// adopt takes over what old has counted and holds.
func (m *meter) adopt(old *meter) {
	slots := m.slots
	copy(slots, old.slots)
	*m = *old
	m.slots = slots
}
