package proxy

import (
	"time"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// aim takes a target and a key for the next attempt. The rest of a stream is
// where its beginning is kept: with the same target, and the same key if it is
// admitted. It is false when there is no key; the resumer then gives up.
func (r *resumer) aim() bool {
	e := r.e
	borrow := e.borrow
	if r.resuming {
		borrow = e.borrowAgain
	}
	wait, err := borrow(time.Now())
	if err == nil {
		return true
	}
	r.parked = e.noKey(wait)
	r.giveUp(reasonParked)
	return false
}

// keyStatus decides on a status that may be about the group's key.
func (r *resumer) keyStatus(code int) {
	a := r.attempt
	body, err := readErrorBody(a)
	f, _ := stream.ParseFailure(body)
	switch {
	case r.e.refusesKey(code, f, err):
		r.keyFault = true
		r.broke(routing.Status, nil)
	case r.e.err() != nil:
		r.broke(outcomeOf(r.e.err()), r.e.err())
	case r.resuming || r.committed:
		r.broke(routing.Refused, err)
	default:
		r.last.keep(&a.head, body, err, r.e.group.Name, stream.SSE)
		r.outcome = routing.Final
		r.e.record.verdict(routing.Final)
		r.settle()
		a.close()
		r.giveUp("")
	}
}

// settle ends the lease of an attempt that is over.
func (r *resumer) settle() {
	status := 0
	switch r.outcome {
	case routing.Status:
		status = r.attempt.head.StatusCode()
	case routing.StreamError:
		status = r.flow.Failure().Code
	}
	r.e.settleFairly(r.outcome, status, r.cause, r.hurried, r.flow.Events() > 0)
}
