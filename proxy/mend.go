package proxy

import (
	"time"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// start sends the next attempt's request and decides on the response's head.
func (h *healer) start() {
	if !h.plan() {
		return
	}
	h.e.park()
	if err := h.attempt.start(h.e, true); err != nil {
		h.broke(outcomeOf(err), err)
		return
	}
	h.head()
}

// plan says what the next attempt asks for, and whom. It is false when there is
// to be none.
func (h *healer) plan() bool {
	e := h.e
	if !h.aim() {
		return false
	}
	h.counted = 0
	h.traceStart()
	h.ledger.Attempts++
	e.record.attempts = h.ledger.Attempts
	h.told, h.hasTold, h.cause = 0, false, nil
	h.holdUntil = time.Time{}
	h.rode, h.ashore = nil, mayBoard
	h.scanner.Reset()
	h.in.reset()

	body := h.body.B
	if h.continuing {
		body = h.continuation.B
	}
	body = e.renamedBody(h.forTarget(body))
	h.attempt.plan = plan{body: body, length: int64(len(body)), identity: true, patient: true}
	h.finished = false
	h.firstUntil, h.hurried = h.attempt.hurry(e, h.ledger.Attempts > 1)
	return true
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// head decides on the head of a response.
func (h *healer) head() {
	a := h.attempt
	code := a.head.StatusCode()
	src, known := decoded(a)
	c := claimOf(a.head.ContentType())
	if code == 200 && known && c != claimsOther && h.reads(c) {
		h.e.answered()
		h.src = src
		a.body.waitUntil = h.waitUntil
		h.unproven = c == claimsJSON && h.one == nil
		h.phase = phaseRead
		return
	}
	h.noStream(code)
}

// noStream decides on a response that is not the stream that was asked for.
func (h *healer) noStream(code int) {
	switch {
	case routing.RetryableStatus(code):
		h.status(code)
	case h.e.lease.key != routing.NoKey && aboutKey(code):
		h.keyStatus(code)
	case h.asksUnary(code):
	case h.continuing:
		h.refused(code)
	case h.committed:
		h.status(code)
	default:
		h.outcome = routing.Final
		h.e.record.verdict(routing.Final)
		h.phase = phasePass
	}
}

// proves looks at the beginning of a JSON body. It is false when the body is
// none of a stream, which is then decided on.
func (h *healer) proves() bool {
	is, known := h.form.Framing.IsStream(h.in.bytes())
	if !known {
		return true
	}
	if h.unproven = false; !is {
		h.noStream(200)
	}
	return is
}

// status records a response that is an error.
func (h *healer) status(code int) {
	a := h.attempt
	body, err := readErrorBody(a)
	h.told, h.hasTold = routing.ParseRetryAfter(a.retryAfter(), time.Now())
	f, ok := stream.ParseFailure(body)
	if ok && f.HasDelay {
		h.told, h.hasTold = max(h.told, f.Delay), true
	}
	h.keyFault = h.e.blameKey(code, f, h.told, h.hasTold)
	h.told, h.hasTold = h.e.toldBy(&f, h.told, h.hasTold)
	h.last.keep(&a.head, body, err, h.e.group.Name, h.form.Framing)
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
	switch {
	case h.one != nil && h.one.document:
		return h.documentUntil()
	case h.splice.Events() == 0:
		return h.firstUntil
	}
	return h.quietUntil(time.Now())
}

// quietUntil says until when a stream may be silent that was heard of at last.
func (h *healer) quietUntil(last time.Time) time.Time {
	at := last.Add(h.e.cfg.StallTimeout)
	if h.splice.Finished() && !h.splice.Sloppy() {
		// Comments, which some upstreams send for as long as a connection
		// lasts, do not make it later.
		if !h.finished {
			h.finished, h.firstUntil = true, earlier(at, last.Add(finishGrace))
		}
		at = earlier(at, h.firstUntil)
	}
	if !h.holdUntil.IsZero() && !isDecoder(h.src) {
		at = earlier(at, h.holdUntil)
	}
	return at
}

// mend decides what follows an interruption, waits, and prepares the next
// attempt.
func (h *healer) mend() {
	e := h.e
	if h.outcome == routing.ClientGone {
		h.phase = phaseGone
		return
	}
	if h.outcome.Interruption() && h.endsInCall() {
		h.e.record.note = "the answer was ended after its function call"
		h.finishWith("STOP")
		return
	}
	why := h.unfit()
	anew := why != "" && h.mayBeginAnew()
	if why != "" && !anew {
		h.giveUp(why)
		return
	}
	o, progress := h.outcome, h.splice.Progress()
	if anew {
		o, progress = routing.Diverged, false
	}
	d, parked := e.decide(&h.ledger, h.keyFault, o, progress, h.told, h.hasTold)
	h.keyFault, h.parked = false, parked
	if !d.Retry {
		h.giveUp(d.Reason)
		return
	}
	if !h.afford() {
		return
	}
	h.leaveCheckpoint()
	h.splice.NextAttempt()
	if anew {
		h.beginAnew()
	}
	if !h.prepare() {
		return
	}
	h.debugRetry(d.Wait)
	if err := e.sleep(d.Wait); err != nil {
		h.broke(outcomeOf(err), err)
		return
	}
	h.phase = phaseStart
}

// endsInCall tells whether what was delivered ends in a function call that
// has come whole. A call is an answer, and is never asked for again.
func (h *healer) endsInCall() bool {
	return h.splice.EndsInCall() && h.splice.Delivered()&(stream.Untextual&^stream.Call) == 0 && h.outcome != routing.Finish
}

// unfit says why the answer cannot be continued by sending its text back,
// "" when it can, or when nothing of it was delivered and the original
// request will do.
func (h *healer) unfit() string {
	delivered := h.splice.Delivered()
	switch {
	case delivered&stream.Answer == 0:
		return ""
	case h.outcome == routing.Refused, h.outcome == routing.Broken:
		return h.outcome.String()
	case !h.outcome.Interruption():
		return ""
	case delivered&stream.Call != 0:
		return "call"
	case delivered&stream.Untextual != 0:
		return "not_text"
	case h.request.JSON && !h.request.Document:
		return "constrained"
	case h.splice.Transcript().Full():
		return "transcript_full"
	case h.diverged > 1:
		return "diverged"
	}
	return ""
}

func (h *healer) giveUp(why string) {
	h.e.giveUp(why)
	h.phase = phaseGiveUp
}
