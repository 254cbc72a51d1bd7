package routing

import "time"

// Ejection says when a target that fails is kept away, and for how long.
type Ejection struct {
	// After is how many failures in a row eject a target; 0 never ejects.
	After int
	// Base is the time of the first ejection. The n-th takes n times as long.
	Base time.Duration
	// Max bounds that time. A target that was back for as long without being
	// ejected again begins with Base.
	Max time.Duration
}

// ejectionJitter is the part of an ejection's time that is random, so that
// targets and proxies that failed together do not come back together.
const ejectionJitter = 0.1

// Sign is what an attempt says of the target that it was made on.
type Sign uint8

// What an attempt can say.
const (
	// Unsure: nothing, as when the client left or a quota was used up.
	Unsure Sign = iota
	// Alive: the target answered as it should.
	Alive
	// Failed: there was no connection, no answer, or a gateway's error.
	Failed
)

// Sign returns what an attempt that ended so says of its target. status is that
// of the response or of the error in the stream, 0 when there was none.
//
// A 500 says nothing: it may be the request's. A 429 is about a key. Neither a
// finish reason nor an answer that does not fit is a fault of the target.
func (o Outcome) Sign(status int) Sign {
	switch o {
	case ConnectFailed, Stall, Cut:
		return Failed
	case Status, StreamError:
		switch status {
		case 502, 503, 504:
			return Failed
		case 429:
			return Alive
		}
		return Unsure
	case Natural, Final, Finish, Empty, Diverged, Broken, Refused:
		return Alive
	default:
		return Unsure
	}
}

// health is a target's state as to ejection. until is zero while it is admitted
// and stays set until a probe has succeeded.
type health struct {
	failures  int
	ejections int
	until     time.Time
	probing   bool
	returned  time.Time
	reason    Outcome // of the last failure
}

// admitted tells whether a request may go to the target, be it as a probe.
func (h *health) admitted(now time.Time) bool {
	return h.until.IsZero() || !h.probing && !now.Before(h.until)
}

// probe makes a request on an ejected target the probe, if its time is over and
// there is none.
func (h *health) probe(now time.Time) bool {
	if h.until.IsZero() || h.probing || now.Before(h.until) {
		return false
	}
	h.probing = true
	return true
}

// alive forgets the failures in a row, and admits a target that was probed.
func (h *health) alive(probe bool, now time.Time) {
	if probe {
		h.until, h.probing, h.returned = time.Time{}, false, now
	}
	h.failures = 0
}

// failed counts a failure and tells whether it is one too many.
func (h *health) failed(probe bool, e *Ejection) bool {
	if !h.until.IsZero() && !probe {
		// A request from before the ejection.
		return false
	}
	h.failures++
	return e.After > 0 && (probe || h.failures >= e.After)
}

// back admits a target whose probe has begun to be answered. The next failure
// ejects it again, unless a success comes first.
func (h *health) back(now time.Time, e *Ejection) {
	h.until, h.probing, h.returned = time.Time{}, false, now
	h.failures = e.After - 1
}

// eject keeps the target away and returns for how long.
func (h *health) eject(now time.Time, e *Ejection, random float64) time.Duration {
	if !h.returned.IsZero() && now.Sub(h.returned) >= e.Max {
		h.ejections = 0
	}
	h.ejections++
	d := e.Max
	if n := time.Duration(h.ejections); e.Base <= e.Max/n {
		d = e.Base * n
	}
	d -= time.Duration(random * ejectionJitter * float64(d))
	h.until, h.probing, h.failures = now.Add(d), false, 0
	return d
}
