package proxy

// backlog is the newest of what a server is told of a shelf. What it was told is
// kept for the case that it loses it. The zero value is empty.
type backlog struct {
	ring   []note // at most maxUntold
	oldest int    // where the oldest is once the ring is full
	untold int    // how many, the newest, are to be told
}

// add puts a note in the place of the oldest, once there are maxUntold. It is false
// when the server was never told that one.
func (b *backlog) add(n note) bool {
	if len(b.ring) < maxUntold {
		b.ring = append(b.ring, n)
		b.untold++
		return true
	}
	b.ring[b.oldest] = n
	b.oldest = (b.oldest + 1) % len(b.ring)
	some := b.untold < len(b.ring)
	b.untold = min(b.untold+1, len(b.ring))
	return some
}

// next returns the i-th of those that are to be told, from the oldest on.
func (b *backlog) next(i int) *note {
	return &b.ring[(b.oldest+len(b.ring)-b.untold+i)%len(b.ring)]
}

// told says that the server knows the n oldest of those that were to be told.
func (b *backlog) told(n int) { b.untold -= n }

// again has the server told of everything once more.
func (b *backlog) again() { b.untold = len(b.ring) }
