package proxy

import "time"

// A request waits for a lease at most for leasePatience, and looks for one every
// leasePoll.
const (
	leasePatience = 500 * time.Millisecond
	leasePoll     = shareSoon / 2
)

// awaitLease waits a moment, when a limit has room that other replicas hold: the
// alternative is to refuse what the limit allows. A request that has a lease never
// comes here. It is false when the request has waited for long enough, or as many
// wait as may for a place.
func (e *exchange) awaitLease() bool {
	now := time.Now()
	if e.place.until.IsZero() {
		e.place.until = now.Add(min(leasePatience, e.cfg.QueueTimeout))
	}
	s := e.s.share
	s.soon()
	if !now.Before(e.place.until) {
		return false
	}
	defer s.waiting.Add(-1)
	if s.waiting.Add(1) > int64(e.st.cfg.MaxQueue) {
		return false
	}
	return e.sleep(leasePoll) == nil
}

// keysShort tells whether it is only for want of a lease that there is no key.
func (e *exchange) keysShort(now time.Time) bool {
	return e.s.share != nil && e.usesKeys(e.group) && e.group.keys.Short(now, e.modelFor(e.group))
}
