package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// advance works until there are bytes for the client or the stream is over.
func (r *resumer) advance() {
	for !r.pending() {
		switch r.phase {
		case phaseStart:
			r.start()
		case phaseRead:
			r.read()
		case phaseBroken:
			r.mend()
		default:
			return
		}
	}
}

// start sends the next attempt's request and decides on the response's head.
func (r *resumer) start() {
	e := r.e
	if !r.aim() {
		return
	}
	r.ledger.Attempts++
	e.record.attempts = r.ledger.Attempts
	r.told, r.hasTold, r.cause = 0, false, nil
	r.in.reset()
	p := &r.attempt.plan
	if r.resuming {
		*p = plan{target: r.target, identity: true, patient: true}
	} else {
		body := e.bodyFor(r.body.B)
		*p = plan{body: body, length: int64(len(body)), identity: true, patient: true}
	}
	r.finished = false
	r.firstUntil, r.hurried = r.attempt.hurry(e, r.ledger.Attempts > 1)
	e.park()
	if err := r.attempt.start(e, true); err != nil {
		r.broke(outcomeOf(err), err)
		return
	}
	r.head()
}

// head decides on the head of a response.
func (r *resumer) head() {
	a := r.attempt
	code := a.head.StatusCode()
	src, known := decoded(a)
	claim := claimOf(a.head.ContentType())
	switch {
	case code == 200 && known && (claim == claimsEvents || claim == claimsNothing):
		r.e.answered()
		r.src = src
		a.body.waitUntil = r.waitUntil
		r.phase = phaseRead
	case routing.RetryableStatus(code):
		r.status()
	case r.e.lease.key != routing.NoKey && aboutKey(code):
		r.keyStatus(code)
	case r.resuming || r.committed:
		// What the upstream says is not for the client, whose request it was not.
		r.broke(routing.Refused, nil)
	default:
		r.outcome = routing.Final
		r.e.record.verdict(routing.Final)
		r.phase = phasePass
	}
}

// status records a response with a status that may pass.
func (r *resumer) status() {
	a := r.attempt
	body, err := readErrorBody(a)
	r.told, r.hasTold = routing.ParseRetryAfter(a.retryAfter(), time.Now())
	f, ok := stream.ParseFailure(body)
	if ok && f.HasDelay {
		r.told, r.hasTold = max(r.told, f.Delay), true
	}
	r.keyFault = r.e.blameKey(a.head.StatusCode(), f, r.told, r.hasTold)
	r.told, r.hasTold = r.e.toldBy(&f, r.told, r.hasTold)
	r.last.keep(&a.head, body, err, r.e.group.Name, stream.SSE)
	if cause := r.e.err(); cause != nil {
		r.broke(outcomeOf(cause), cause)
		return
	}
	r.broke(routing.Status, nil)
}

// waitUntil says how long the next read of the attempt may take.
func (r *resumer) waitUntil() time.Time {
	at := time.Now().Add(r.e.cfg.StallTimeout)
	switch {
	case r.flow.Events() == 0:
		return r.firstUntil
	case !r.flow.Ended():
		return at
	case !r.finished:
		r.finished, r.firstUntil = true, earlier(at, time.Now().Add(finishGrace))
	}
	return r.firstUntil
}

// read takes the events that have come, and reads more when there are none.
func (r *resumer) read() {
	for {
		var n int
		var took bool
		var v stream.Verdict
		r.out, n, took, v = r.flow.Take(r.out, r.in.bytes())
		r.in.consume(n)
		switch v {
		case stream.Failed:
			r.failed()
			return
		case stream.Cut:
			r.broke(routing.Cut, errors.New("an event is no JSON"))
			return
		}
		if !took {
			break
		}
		if n := r.e.cfg.ChaosCutAfter; n > 0 && r.flow.Events() >= n && !r.flow.Ended() {
			r.ended(errChaos)
			return
		}
	}
	if r.pending() {
		return
	}
	if !r.in.room() || r.flow.Pending() > maxEvent {
		r.broke(routing.Cut, errors.New("an event is larger than the proxy can hold"))
		return
	}
	if n, err := r.fill(); err != nil && n == 0 {
		r.ended(err)
	}
}

// fill reads once.
func (r *resumer) fill() (n int, err error) {
	if r.src != io.Reader(&r.attempt.body) {
		return r.in.readFrom(r.src)
	}
	n, err = r.attempt.body.readSpace(r)
	r.in.took(n)
	r.frame()
	return n, err
}

// ended decides on an attempt whose body is over or cannot be read on.
func (r *resumer) ended(err error) {
	var v stream.Verdict
	r.out, v = r.flow.End(r.out, r.in.bytes(), err == io.EOF)
	switch v {
	case stream.Complete:
		r.outcome = routing.Natural
		r.e.record.verdict(r.outcome)
		r.traceSeam()
		r.debugAttempt()
		r.settle()
		r.phase = phaseComplete
		r.attempt.close()
	case stream.Failed:
		r.failed()
	default:
		r.broke(cutOutcome(err), err)
	}
}

// failed decides on an error in the stream that may pass.
func (r *resumer) failed() {
	f := r.flow.Failure()
	r.keyFault = r.e.blameKey(f.Code, f, f.Delay, f.HasDelay)
	r.told, r.hasTold = r.e.toldBy(&f, f.Delay, f.HasDelay)
	status := f.Status
	if status == "" {
		status = statusNames[f.Code]
	}
	r.last.failure(f.Code, stream.AppendFailure(nil, f.Code, status, f.Message))
	r.broke(routing.StreamError, nil)
}

// broke ends the attempt as an interruption.
func (r *resumer) broke(o routing.Outcome, err error) {
	r.outcome, r.cause = o, err
	r.phase = phaseBroken
	if r.committed && r.brokenAt.IsZero() {
		r.brokenAt = time.Now()
	}
	r.e.record.verdict(o)
	r.e.s.metrics.interrupted(r.e.group, o)
	r.traceCut(o)
	r.debugAttempt()
	r.settle()
	r.attempt.close()
}

// mend decides what follows an interruption, waits, and prepares the next
// attempt: the rest of the stream, or the client's own request while nothing of
// its answer was delivered.
func (r *resumer) mend() {
	e := r.e
	if r.outcome == routing.ClientGone {
		r.phase = phaseGone
		return
	}
	if why := r.unfit(); why != "" && r.outcome.Interruption() {
		r.giveUp(why)
		return
	}
	d, parked := e.decide(&r.ledger, r.keyFault, r.outcome, r.flow.Progress(), r.told, r.hasTold)
	r.keyFault, r.parked = false, parked
	if !d.Retry {
		r.giveUp(d.Reason)
		return
	}
	if ok, err := e.afford(r.committed); err != nil {
		r.broke(outcomeOf(err), err)
		return
	} else if !ok {
		r.giveUp(routing.ReasonBudget)
		return
	}
	if r.resuming = r.flow.Delivered(); r.resuming {
		id := r.flow.ID()
		if r.named {
			id = nil
		}
		r.target = routing.AppendResume(r.target[:0], e.target, id, r.flow.Last())
	}
	r.flow.NextAttempt(r.resuming)
	if err := e.sleep(d.Wait); err != nil {
		r.broke(outcomeOf(err), err)
		return
	}
	r.phase = phaseStart
}

// unfit says why the API cannot be asked for the rest, "" when it can, or when
// nothing was delivered and the original request will do.
func (r *resumer) unfit() string {
	switch {
	case !r.flow.Delivered():
		return ""
	case !r.stored:
		return "not_stored"
	case !r.flow.Resumable():
		return "no_event_id"
	}
	return ""
}

func (r *resumer) giveUp(why string) {
	r.e.giveUp(why)
	r.phase = phaseGiveUp
}

// refuse answers a request for which nothing was delivered: with what the
// upstream said last, or with an error of the proxy's own.
func (r *resumer) refuse(ctx *fasthttp.RequestCtx) {
	e := r.e
	if r.parked != nil && !r.last.set {
		e.refuse(ctx, r.parked)
	} else if r.outcome == routing.Drain || !r.last.set {
		err := r.cause
		if r.outcome == routing.Cut {
			err = errNoResponse
		}
		e.refuse(ctx, upstreamFailure(e.group.Name, err))
	} else {
		e.s.copyResponseHead(&ctx.Response, r.last.head)
		e.s.cors.allow(&ctx.Response.Header, e.head.origin)
		if r.parked != nil {
			ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(retryAfterSeconds(r.parked.after)))
		}
		ctx.Response.SetBody(r.last.body)
		e.record.status = ctx.Response.StatusCode()
		e.record.bytes = int64(len(r.last.body))
	}
	r.release()
}

// sayGiveUp ends a stream that cannot be completed: with the error that came in
// it, or with one of the proxy's own. The pause lets a client read it before it
// finds the connection broken off.
func (r *resumer) sayGiveUp() error {
	r.out = emptyFrame(r.out)
	held := false
	if r.outcome == routing.StreamError {
		r.out, held = r.flow.AppendHeld(r.out)
	}
	if !held {
		message := "The stream was interrupted: the proxy is shutting down."
		if r.outcome != routing.Drain {
			message = fmt.Sprintf("The stream was interrupted (%s) and could not be completed (%s) after %d attempts.",
				r.outcome, r.e.record.gaveUp, r.ledger.Attempts)
		}
		r.out = stream.AppendInteractionFailure(r.out, "service_unavailable", message)
	}
	if err := r.flush(); err != nil {
		return err
	}
	time.Sleep(errorPause)
	return nil
}

// debugAttempt logs an attempt that is over.
func (r *resumer) debugAttempt() {
	s := r.e.s
	if !s.cfg.DebugMode {
		return
	}
	errText := ""
	if r.cause != nil {
		errText = r.cause.Error()
	}
	s.log.LogAttrs(context.Background(), slog.LevelDebug, "attempt",
		slog.String("group", r.e.group.Name),
		slog.Int("attempt", r.ledger.Attempts),
		slog.Bool("resumed", r.resuming),
		slog.String("verdict", r.outcome.String()),
		slog.Int("status", r.attempt.head.StatusCode()),
		slog.Int("events", r.flow.Events()),
		slog.Bool("progress", r.flow.Progress()),
		slog.Float64("duration_ms", millis(time.Since(r.attempt.sent))),
		slog.String("error", errText))
}
