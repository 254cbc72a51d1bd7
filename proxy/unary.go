package proxy

import (
	"errors"
	"sync"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// unary is what a healer has more for a request that asks for one document.
// Attempts go as they do for a stream; what they deliver is folded and given to
// the client in one piece, once the answer is whole.
type unary struct {
	document bool  // the attempt's body is one document, not a stream of events
	whole    bool  // it came whole
	restarts int   // how often the answer was begun anew
	wasted   int64 // tokens of what was dropped for that

	folder  stream.Folder
	scanner stream.Scanner          // of what the Splice delivers
	head    fasthttp.ResponseHeader // of the first attempt that delivered anything
	body    []byte                  // what the client gets
	spilled bool                    // it gets it in pieces: it is too large to be held
	out     unaryBody
}

var unaries = sync.Pool{New: func() any { return new(unary) }}

// recycle gives one back to its pool, unless it has had to fold anything:
// there is no telling how much memory that took.
func (one *unary) recycle() {
	if !one.folder.Empty() || one.restarts > 0 || one.spilled {
		return
	}
	one.head.Reset()
	one.document, one.whole, one.body, one.out = false, false, nil, unaryBody{}
	unaries.Put(one)
}

// errIncomplete is why there is no answer to a request for a document of which
// only a part has come.
var errIncomplete = errors.New("the answer broke off")

// answer answers a request for one document.
func (h *healer) answer(ctx *fasthttp.RequestCtx) {
	e := h.e
	h.one = unaries.Get().(*unary)
	h.one.folder.Reset(h.form.Dialect)
	if t := e.serverTimeout(); t > 0 {
		e.deadline = earlier(e.deadline, e.started.Add(t))
	}
	switch {
	case e.cfg.UnaryViaStream && h.chat():
		h.body.B = h.request.AppendStreaming(nil)
		h.request, h.readable = stream.ParseRequest(h.form.Dialect, h.body.B)
	case e.cfg.UnaryViaStream:
		e.viaStream = true
	}
	h.gather()
	switch {
	case h.phase == phaseComplete:
		h.give(ctx)
	case h.one.spilled:
		h.commitDocument(ctx, &h.one.head, -1)
	case h.phase == phasePass:
		h.passOn(ctx)
	case h.phase == phaseGone:
		e.abandon(ctx)
		h.dismiss()
	default:
		h.giveUnfinished(ctx)
	}
}

// gather works until the answer is over, or too large to be held.
func (h *healer) gather() {
	one := h.one
	for {
		h.advance()
		if h.phase == phaseComplete && one.document && one.whole && one.folder.Empty() {
			// Nothing is to be changed about it.
			one.body = h.in.bytes()
			return
		}
		if !h.pending() {
			return
		}
		h.fold(h.out[frameRoom:])
		h.out = emptyFrame(h.out)
		if one.spilled || one.folder.Len() > h.e.cfg.MaxTranscriptBytes && h.phase != phaseComplete {
			one.spilled = true
			return
		}
	}
}

// fold takes events that the Splice delivered.
func (h *healer) fold(events []byte) {
	one := h.one
	if one.folder.Empty() {
		h.attempt.head.CopyTo(&one.head)
	}
	if h.last.set && h.last.head.StatusCode() == 200 && h.splice.Progress() {
		// An empty answer is no last word once there is more.
		h.last.reset()
	}
	one.scanner.Reset()
	for {
		ev, n, ok := one.scanner.Next(events)
		if !ok {
			return
		}
		one.folder.Take(ev.Data)
		events = events[n:]
	}
}

// asksUnary goes back from the streaming endpoint to the one that the client
// asked for, when the upstream does not have the former.
func (h *healer) asksUnary(code int) bool {
	if h.one == nil || !h.e.viaStream || h.continuing || h.ledger.Attempts >= h.e.group.policy.MaxAttempts {
		return false
	}
	if code != 404 && code != 405 && code != 501 {
		return false
	}
	h.e.viaStream = false
	h.outcome = routing.Refused
	h.e.record.verdict(h.outcome)
	h.debugAttempt()
	h.settle()
	h.attempt.close()
	h.phase = phaseStart
	return true
}

// mayBeginAnew tells whether an answer that cannot be gone on with may be asked
// for again from its beginning: the client has seen nothing of it.
func (h *healer) mayBeginAnew() bool {
	return h.one != nil && !h.one.spilled && h.one.restarts < h.e.group.policy.MaxConsecutive
}

// beginAnew drops what was delivered.
func (h *healer) beginAnew() {
	one := h.one
	one.restarts++
	one.wasted += h.splice.Wasted() + h.splice.Spent()
	h.splice.Reset(h.form, h.e.group.reasons, h.e.cfg.MaxTranscriptBytes)
	one.folder.Reset(h.form.Dialect)
	h.continuing, h.noResume, h.diverged = false, false, 0
}

// dropped returns the tokens of answers that were begun anew.
func (h *healer) dropped() int64 {
	if h.one == nil {
		return 0
	}
	return h.one.wasted
}

// give gives the client the answer in one piece.
func (h *healer) give(ctx *fasthttp.RequestCtx) {
	head := &h.attempt.head
	if h.one.body == nil {
		h.one.body = h.one.folder.Append(nil)
		head = &h.one.head
	}
	h.commitDocument(ctx, head, len(h.one.body))
}

// giveUnfinished answers when the answer could not be completed: with what came
// under the finish that is held, as it came, else with an error. A part of an
// answer alone is never given.
func (h *healer) giveUnfinished(ctx *fasthttp.RequestCtx) {
	if h.outcome != routing.Drain && h.outcome != routing.Final && h.splice.Delivered()&stream.Answer != 0 {
		if held, ok := h.splice.AppendHeld(nil); ok {
			h.fold(held)
			h.give(ctx)
			return
		}
	}
	h.refuse(ctx)
}

// heldDocument returns the events that are held as one response.
func (h *healer) heldDocument(events []byte) []byte {
	h.fold(events)
	return h.one.folder.Append(nil)
}

// commitDocument gives fasthttp the head of the response, and the answer as its
// body: size bytes, or as many as there will be when it is -1.
func (h *healer) commitDocument(ctx *fasthttp.RequestCtx, head *fasthttp.ResponseHeader, size int) {
	e, resp := h.e, &ctx.Response
	h.copyStreamHead(resp, head)
	e.s.cors.allow(&resp.Header, e.head.origin)
	e.record.status = resp.StatusCode()
	e.streaming = true
	h.committed = true
	h.one.out.h = h
	resp.SetBodyStream(&h.one.out, size)
}
