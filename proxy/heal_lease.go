package proxy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"time"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// aim takes a target and a key for the next attempt. It is false when there is
// none to be waited for; the healer then gives up.
func (h *healer) aim() bool {
	e := h.e
	for {
		now := time.Now()
		wait, err := time.Duration(0), error(nil)
		if h.resumed && e.lease.group != nil {
			wait, err = e.borrowAgain(now)
		} else {
			wait, err = e.borrow(now)
		}
		if err == nil {
			if e.lease.group != e.group {
				e.s.metrics.fallbacks.WithLabelValues(e.group.Name).Inc()
			}
			return true
		}
		if e.keysShort(now) && e.awaitLease() {
			continue
		}
		if err := e.err(); err != nil {
			h.broke(outcomeOf(err), err)
			return false
		}
		if h.ledger.Attempts == 0 || wait > e.group.policy.RetryAfterMax || wait >= time.Until(e.deadline) {
			h.parked = e.noKey(wait)
			h.giveUp(reasonParked)
			return false
		}
		if err := e.sleep(wait); err != nil {
			h.broke(outcomeOf(err), err)
			return false
		}
	}
}

// aim takes a target and a key for a request that gets one attempt.
func (e *exchange) aim() *refusal {
	for {
		now := e.place.since
		wait, err := e.borrow(now)
		if err == nil {
			return nil
		}
		if e.keysShort(now) && e.awaitLease() {
			e.place.since = time.Now()
			continue
		}
		if e.err() != nil {
			return e.turnedAway(routing.OverAll)
		}
		return e.noKey(wait)
	}
}

// reasonParked is why a request is given up when no key of its group is left.
const reasonParked = "parked"

// noKey is the answer to a request for which no key is admitted: when the first
// one will be.
func (e *exchange) noKey(wait time.Duration) *refusal {
	e.s.metrics.refused.WithLabelValues("parked").Inc()
	if e.group.keys != nil && e.group.keys.Refused(time.Now()) {
		return &refusal{503, fmt.Sprintf("the upstream takes none of the keys of group %q", e.group.Name), wait}
	}
	if e.keptParked(e.group, time.Now()) > 0 {
		return &refusal{429, fmt.Sprintf("the quota of the key of group %q that made what the request names is used up", e.group.Name), wait}
	}
	return &refusal{429, fmt.Sprintf("the quotas of all keys of group %q are used up", e.group.Name), wait}
}

// aboutKey tells whether a status may be about the key.
func aboutKey(code int) bool { return code == 400 || code == 401 || code == 403 }

// refusesKey is blameKey for a status that may be about the key, and whose body
// came with err. A 401 is about it whatever it says; what a 400 or a 403 is about
// is told by the body alone.
func (e *exchange) refusesKey(code int, f stream.Failure, err error) bool {
	return (err == nil || code == 401) && e.blameKey(code, f, 0, false)
}

// keyStatus decides on a status that may be about the group's key. If it is, the
// request goes on with another one; if not, it is the client's as ever.
func (h *healer) keyStatus(code int) {
	a := h.attempt
	body, err := readErrorBody(a)
	f, _ := stream.ParseFailure(body)
	switch {
	case h.e.refusesKey(code, f, err):
		h.keyFault = true
		h.broke(routing.Status, nil)
	case h.e.err() != nil:
		h.broke(outcomeOf(h.e.err()), h.e.err())
	case h.continuing:
		h.refusedAs(code, body)
	case h.committed:
		h.broke(routing.Final, err)
	default:
		h.last.keep(&a.head, body, err, h.e.group.Name, h.form.Framing)
		h.outcome = routing.Final
		h.e.record.verdict(routing.Final)
		h.settle()
		a.close()
		h.giveUp("")
	}
}

// toldBy returns the wait that a 429 asks for. A quota per day, or one of 0, is
// not waited for: the time is that until its reset, or none where a fallback is
// still to be asked. A key of the group is parked for that long, and another one
// goes on.
func (e *exchange) toldBy(f *stream.Failure, told time.Duration, hasTold bool) (time.Duration, bool) {
	l := &e.lease
	switch {
	case !f.Spent || l.key != routing.NoKey:
		return told, hasTold
	case e.group.fallback != nil && l.group == e.group:
		e.failed.spent = true
		return 0, true
	}
	now := time.Now()
	return routing.NextMidnight(now, pacific).Sub(now), true
}

// left returns the time that is left for a further attempt to begin. As long as
// nothing was delivered, that is no more than the client gives the server: whoever
// waits for longer answers nobody. An attempt that was hurried itself is repeated.
func (e *exchange) left(o routing.Outcome) time.Duration {
	left := time.Until(e.deadline)
	if t := e.serverTimeout(); t > 0 && !e.streaming && o != routing.Stall {
		left = min(left, t-time.Since(e.started))
	}
	return left
}

// decide says what follows an interruption. A key that was at fault is none of
// the upstream's failures: with another one the request goes on at once, and
// without one it waits for the first that is admitted again, or parked says when
// that is.
func (e *exchange) decide(l *routing.Ledger, keyFault bool, o routing.Outcome, progress bool, told time.Duration, hasTold bool) (d routing.Decision, parked *refusal) {
	p, left := &e.group.policy, e.left(o)
	if !keyFault {
		return p.Decide(l, o, progress, told, hasTold, left), nil
	}
	wait := e.parkedFor(time.Now())
	if wait == 0 {
		failures := l.Failures
		d = p.Decide(l, o, true, 0, true, left)
		l.Failures = failures
		return d, nil
	}
	if d = p.Decide(l, o, progress, wait, true, left); !d.Retry {
		parked = e.noKey(wait)
		if d.Reason == routing.ReasonRetryAfter {
			// It is a key that would be waited for, whatever the upstream asked for.
			d.Reason = reasonParked
		}
	}
	return d, parked
}

// budgetWait is how long an answer that waits for its group's budget waits at
// most before it looks again.
const budgetWait = time.Second

// afford takes the next attempt from the group's budget. An answer that has
// begun waits for its turn, at most as long as an upstream may ask for; one that
// has not is the client's to ask for again. The error is that of a cancellation.
func (e *exchange) afford(begun bool) (bool, error) {
	now := time.Now()
	until := earlier(now.Add(e.group.policy.RetryAfterMax), e.deadline)
	for !e.group.budget.Withdraw(now) {
		if e.group.budget.Short(now) && e.awaitLease() {
			now = time.Now()
			continue
		}
		if !begun || !now.Before(until) {
			return false, nil
		}
		if err := e.sleep(min(time.Duration(rand.Int64N(int64(budgetWait))), until.Sub(now))); err != nil {
			return false, err
		}
		now = time.Now()
	}
	return true, nil
}

// afford is false when the budget has no attempt for the healer, which then
// gives up, or was interrupted.
func (h *healer) afford() bool {
	ok, err := h.e.afford(h.committed || h.splice.Delivered() != 0)
	switch {
	case err != nil:
		h.broke(outcomeOf(err), err)
	case !ok:
		h.giveUp(routing.ReasonBudget)
	}
	return ok
}

// leaveCheckpoint gives up a checkpoint whose target gives nothing, where there
// is another place for the text to go on.
func (h *healer) leaveCheckpoint() {
	e := h.e
	if h.resumed && e.failed.again > 1 && !h.splice.Progress() &&
		(e.group.fallback != nil || e.group.balancer.Others(time.Now(), e.failed.target)) {
		h.noResume, e.from = true, whence{}
	}
}

// forTarget returns a body without the thought signatures of other upstreams,
// which this one would refuse.
func (h *healer) forTarget(body []byte) []byte {
	own := h.e.withOwnSignatures(h.foreign[:0], body)
	if len(own) > 0 && &own[0] != &body[0] {
		h.foreign = own
	}
	return own
}

// renamedBody is body with the upstream's names for the models that it names.
func (e *exchange) renamedBody(body []byte) []byte {
	names := e.lease.group.models
	if len(names) == 0 || !bytes.Contains(body, modelMember) {
		return body
	}
	return stream.AppendRenamed(nil, body, names)
}

var modelMember = []byte(`"model"`)

// relayOutcome is how a relayed attempt ended whose body came whole.
func relayOutcome(status int) routing.Outcome {
	if routing.RetryableStatus(status) {
		return routing.Status
	}
	return routing.Natural
}
