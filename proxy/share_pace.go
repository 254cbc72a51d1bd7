package proxy

import "time"

// shareCost is how much of all replicas' time telling of one limit is worth: many
// limits of many replicas are told of less often, so that the server is never
// busy with them.
const shareCost = 100 * time.Microsecond

// pace says how often limits are told of: those in use each tick, all of them in
// each full round.
type pace struct {
	limits   int
	replicas int
	busy     int       // limits in use
	next     time.Time // when a full round is due
}

// tick is the time between two talks, round that between two full rounds.
func (p *pace) tick() time.Duration  { return p.of(p.busy) }
func (p *pace) round() time.Duration { return p.of(p.limits) }

func (p *pace) of(limits int) time.Duration {
	return max(shareTick, time.Duration(limits*p.replicas)*shareCost)
}

// full tells whether all limits are told of now.
func (p *pace) full(now time.Time) bool {
	// A tick is never quite as long as it should be.
	if now.Add(shareTick / 2).Before(p.next) {
		return false
	}
	p.next = now.Add(p.round())
	return true
}

// lease is how long a lease lasts.
func (p *pace) lease() time.Duration { return leaseTicks * p.round() }

// timeout is how long an answer may take.
func (p *pace) timeout() time.Duration { return max(shareTimeout, p.round()/2) }
