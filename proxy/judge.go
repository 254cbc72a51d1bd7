package proxy

import (
	"bytes"
	"time"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// ended decides on an attempt whose body is over or cannot be read on.
func (h *healer) ended(err error) {
	rest, some := h.scanner.Rest(h.in.bytes())
	var v stream.Verdict
	h.out, v = h.splice.End(h.out, rest, some)
	h.judge(v, rest.Data, err)
}

// judge turns a verdict into what is done next. payload is what led to it,
// err how the body ended, nil when the event alone decided.
func (h *healer) judge(v stream.Verdict, payload []byte, err error) {
	switch v {
	case stream.Complete, stream.Policy:
		h.outcome = routing.Natural
		if v == stream.Policy {
			h.outcome = routing.Final
		}
		h.complete()
	case stream.Finish, stream.Empty:
		o := routing.Finish
		if v == stream.Empty {
			o = routing.Empty
		}
		h.keepHeld()
		h.traceHeld()
		h.broke(o, nil)
	case stream.Failed:
		h.failed(payload)
	case stream.Refused:
		h.broke(routing.Refused, nil)
	case stream.Diverged:
		if h.resumed {
			// The API went on otherwise than before; the text goes on from here.
			h.noResume = true
		} else {
			h.diverged++
		}
		h.broke(routing.Diverged, nil)
	case stream.Broken:
		h.broke(routing.Broken, nil)
	case stream.Stopped:
		h.finishWith("STOP")
	default:
		h.broke(cutOutcome(err), err)
	}
}

// complete ends the answer.
func (h *healer) complete() {
	h.out = h.splice.AppendEnd(h.out)
	h.e.record.verdict(h.outcome)
	h.noteSeam()
	h.debugAttempt()
	h.settle()
	h.phase = phaseComplete
	h.attempt.close()
}

// finishWith ends an answer that is complete although no attempt said so.
func (h *healer) finishWith(reason string) {
	h.out = h.splice.AppendFinish(h.out, reason)
	h.outcome = routing.Natural
	h.complete()
}

// cutOutcome says why a body ended before its answer did.
func cutOutcome(err error) routing.Outcome {
	switch o := outcomeOf(err); o {
	case routing.Stall, routing.Deadline, routing.ClientGone, routing.Drain:
		return o
	}
	return routing.Cut
}

// failed decides on an error object in the stream: by its code, as if it had
// been the status.
func (h *healer) failed(payload []byte) {
	f := h.splice.Failure()
	h.keyFault = h.e.blameKey(f.Code, f, f.Delay, f.HasDelay)
	h.told, h.hasTold = h.e.toldBy(&f, f.Delay, f.HasDelay)
	if !h.keyFault || !aboutKey(f.Code) {
		// What is said of a key of the group, which may be the key itself, is for
		// nobody else, see keyStatus.
		h.last.failure(f.Code, h.form.Framing.AppendErrorBody(nil, payload))
	}
	if routing.RetryableStatus(f.Code) || h.keyFault {
		h.broke(routing.StreamError, nil)
		return
	}
	h.last.told = bytes.Clone(payload)
	h.broke(routing.Final, nil)
}

// broke ends the attempt as an interruption.
func (h *healer) broke(o routing.Outcome, err error) {
	h.outcome, h.cause = o, err
	h.phase = phaseBroken
	if h.committed && h.brokenAt.IsZero() {
		h.brokenAt = time.Now()
	}
	h.e.record.verdict(o)
	h.e.s.metrics.interrupted(h.e.group, o)
	h.noteSeam()
	if o.Interruption() {
		h.e.record.cut(o.String(), h.splice.Transcript().Len())
	}
	h.countAll(&h.e.s.metrics.events)
	h.traceCut(o)
	h.debugAttempt()
	h.settle()
	h.attempt.close()
}

// settle ends the lease of an attempt that is over, by its outcome.
func (h *healer) settle() {
	status := 0
	switch h.outcome {
	case routing.Status:
		status = h.attempt.head.StatusCode()
	case routing.StreamError:
		status = h.splice.Failure().Code
	}
	h.e.settleFairly(h.outcome, status, h.cause, h.hurried, h.splice.Events() > 0)
}
