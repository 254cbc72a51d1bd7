package proxy

import (
	"errors"
	"time"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// start sends the next attempt's request and decides on the response's head.
func (h *healer) start() {
	e := h.e
	h.ledger.Attempts++
	e.record.attempts = h.ledger.Attempts
	h.told, h.hasTold, h.cause = 0, false, nil
	h.scanner.Reset()
	h.in.reset()

	now := time.Now()
	p := plan{body: h.body.B, identity: true}
	if h.continuing {
		p.body = h.continuation
	}
	p.length = int64(len(p.body))
	wait := e.s.cfg.FirstEventTimeout
	if t := e.serverTimeout(); t > 0 {
		wait = min(wait, t)
		if h.ledger.Attempts > 1 {
			// The client counts from its own request on.
			p.timeout = max(1, int64((t-now.Sub(e.started)+time.Second-1)/time.Second))
		}
	}
	h.firstUntil = earlier(now.Add(wait), e.deadline)
	if err := h.attempt.start(e, &p, h.firstUntil, true, h.early); err != nil {
		h.broke(outcomeOf(err), err)
		return
	}
	if early := h.attempt.body.early; cap(early) > cap(h.early) && cap(early) <= maxPooled {
		h.early = early[:0]
	}
	h.head()
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// head decides on the head of a response.
func (h *healer) head() {
	a := &h.attempt
	code := a.head.StatusCode()
	src, known := decoded(a)
	switch {
	case code == 200 && known && isEventStream(a.head.ContentType()):
		h.src = src
		a.body.waitUntil = h.waitUntil
		h.phase = phaseRead
	case routing.RetryableStatus(code):
		h.status(code)
	case h.continuing:
		// The proxy's own request was refused; what it was told is not for
		// the client.
		h.broke(routing.Refused, nil)
	case h.committed:
		h.status(code)
	default:
		h.outcome = routing.Final
		h.e.record.verdict(routing.Final)
		h.phase = phasePass
	}
}

// status records a response that is an error.
func (h *healer) status(code int) {
	a := &h.attempt
	body, err := readErrorBody(a)
	h.told, h.hasTold = routing.ParseRetryAfter(a.retryAfter(), time.Now())
	if f, ok := stream.ParseFailure(body); ok && f.HasDelay {
		h.told, h.hasTold = max(h.told, f.Delay), true
	}
	if err == nil {
		h.last.status(&a.head, body)
	}
	switch {
	case h.e.err() != nil:
		h.broke(outcomeOf(h.e.err()), h.e.err())
	case routing.RetryableStatus(code):
		h.broke(routing.Status, nil)
	default:
		h.broke(routing.Final, nil)
	}
}

// waitUntil says how long the next read of the attempt may take: until the
// first event is due, then as long as a stream may be silent.
func (h *healer) waitUntil() time.Time {
	if h.splice.Events() == 0 {
		return h.firstUntil
	}
	stall := h.e.s.cfg.StallTimeout
	if h.splice.Finished() && !h.splice.Sloppy() {
		stall = min(stall, finishGrace)
	}
	return time.Now().Add(stall)
}

// mend decides what follows an interruption, waits, and prepares the next
// attempt.
func (h *healer) mend() {
	e := h.e
	if h.outcome == routing.ClientGone {
		h.phase = phaseGone
		return
	}
	if why := h.unfit(); why != "" && h.outcome.Interruption() {
		h.giveUp(why)
		return
	}
	left := time.Until(e.deadline)
	d := e.s.policy.Decide(&h.ledger, h.outcome, h.splice.Progress(), h.told, h.hasTold, left)
	if !d.Retry {
		h.giveUp(d.Reason)
		return
	}
	h.splice.NextAttempt()
	if !h.prepare() {
		return
	}
	h.debugSeam(d.Wait)
	if err := e.sleep(d.Wait); err != nil {
		h.broke(outcomeOf(err), err)
		return
	}
	h.phase = phaseStart
}

// unfit says why the answer cannot be continued by sending its text back,
// "" when it can, or when nothing of it was delivered and the original
// request will do.
func (h *healer) unfit() string {
	delivered := h.splice.Delivered()
	switch {
	case delivered&stream.Answer == 0:
		return ""
	case delivered&stream.Untextual != 0:
		return "not_text"
	case h.request.JSON:
		return "json_mode"
	case h.request.Token:
		return "long_decode"
	case h.splice.Transcript().Full():
		return "transcript_full"
	}
	return ""
}

// prepare makes the body of the next attempt: the original's, while nothing
// of the answer was delivered, else a continuation. It is false when there is
// to be none.
func (h *healer) prepare() bool {
	if h.continuing = h.splice.Delivered()&stream.Answer != 0; !h.continuing {
		return true
	}
	var err error
	h.continuation, err = h.request.AppendContinuation(h.continuation[:0],
		h.splice.Transcript().Raw(), h.e.s.cfg.ContinuePrompt, h.splice.Spent())
	switch {
	case errors.Is(err, stream.ErrBudgetSpent):
		h.out = h.splice.AppendMaxTokens(h.out)
		h.outcome = routing.Natural
		h.phase = phaseComplete
		return false
	case err != nil:
		h.giveUp("no_contents")
		return false
	}
	return true
}

func (h *healer) giveUp(why string) {
	h.gaveUp = why
	h.e.record.gaveUp = why
	h.phase = phaseGiveUp
}
