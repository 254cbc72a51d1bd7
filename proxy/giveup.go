package proxy

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// errorPause separates the two forms of an error in a stream. Some clients
// see the second only when it comes in a read of its own.
const errorPause = 30 * time.Millisecond

// maxErrorBody is the size in bytes up to which the body of an error status
// is kept for the client.
const maxErrorBody = 1 << 20

// response is what an upstream said before the commit point, for the case
// that nothing better comes.
type response struct {
	set  bool
	held bool                     // a stream of which all is held by the Splice
	head *fasthttp.ResponseHeader // nil unless set: few requests need one
	body []byte
	told []byte // the error that ended a stream for good, as it came in it
}

func (r *response) reset() { *r = response{} }

// status keeps an error response.
func (r *response) status(head *fasthttp.ResponseHeader, body []byte) {
	*r = response{set: true, head: cloneHead(head), body: bytes.Clone(body)}
}

// hold keeps the head of a stream whose events are held.
func (r *response) hold(head *fasthttp.ResponseHeader) {
	*r = response{set: true, held: true, head: cloneHead(head)}
}

func cloneHead(head *fasthttp.ResponseHeader) *fasthttp.ResponseHeader {
	clone := &fasthttp.ResponseHeader{}
	head.CopyTo(clone)
	return clone
}

// keep keeps an error response, of which readErrorBody has brought body and err.
// Where its body did not come, or not all of it, or is larger than is kept, it has
// one of the proxy's own, in the framing f, and is all the same otherwise: a 429
// does not become a 502, and loses no Retry-After.
func (r *response) keep(head *fasthttp.ResponseHeader, body []byte, err error, group string, f stream.Framing) {
	if err == nil {
		r.status(head, body)
		return
	}
	code := head.StatusCode()
	text := stream.AppendFailure(nil, code, statusNames[code],
		fmt.Sprintf("the upstream of group %q answered with status %d and a body that could not be read", group, code))
	*r = response{set: true, head: cloneHead(head), body: f.AppendErrorBody(nil, append(text, '\n'))}
	r.head.Del(fasthttp.HeaderContentEncoding)
	r.head.SetContentType(jsonType)
}

// failure keeps an error object that came in a stream, as the error body that
// it would have been.
func (r *response) failure(code int, body []byte) {
	*r = response{set: true, head: &fasthttp.ResponseHeader{}, body: bytes.Clone(body)}
	r.head.SetStatusCode(code)
	r.head.SetContentType(jsonType)
}

// readErrorBody reads the body of an error status whole. The result is the
// caller's.
func readErrorBody(a *attempt) ([]byte, error) {
	src, ok := decoded(a)
	if !ok {
		src = &a.body
	}
	body, err := io.ReadAll(io.LimitReader(src, maxErrorBody+1))
	if err == nil && len(body) > maxErrorBody {
		err = errTooLarge
	}
	if ok {
		a.head.Del(fasthttp.HeaderContentEncoding)
	}
	return body, err
}

// refuse answers a request for which nothing was delivered: with what the
// upstream said last, or with an error of the proxy's own.
func (h *healer) refuse(ctx *fasthttp.RequestCtx) {
	e := h.e
	switch {
	case h.parked != nil && !h.last.set:
		e.refuse(ctx, h.parked)
	case h.outcome == routing.Drain || !h.last.set:
		err := h.cause
		if h.outcome == routing.Cut && !unreadable(err) {
			err = errNoResponse
		}
		if h.one != nil && (err == nil || h.outcome == routing.Cut) {
			err = errIncomplete
		}
		e.refuse(ctx, upstreamFailure(e.group.Name, err))
	default:
		body := h.last.body
		if h.last.held {
			h.copyStreamHead(&ctx.Response, h.last.head)
			body, _ = h.splice.AppendHeld(nil)
			body = h.splice.AppendEnd(body)
			if h.one != nil {
				body = h.heldDocument(body)
			}
		} else {
			e.s.copyResponseHead(&ctx.Response, h.last.head)
		}
		e.s.cors.allow(&ctx.Response.Header, e.head.origin)
		if h.parked != nil {
			ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(retryAfterSeconds(h.parked.after)))
		}
		ctx.Response.SetBody(body)
		e.record.status = ctx.Response.StatusCode()
		e.record.bytes = int64(len(body))
	}
	h.dismiss()
}

// sayGiveUp ends a stream that cannot be completed: with the event that was
// held, or with the error that every known client notices. It never looks
// like a complete answer.
func (h *healer) sayGiveUp() error {
	h.out = emptyFrame(h.out)
	var held bool
	if h.outcome != routing.Drain && h.outcome != routing.Final {
		if h.out, held = h.splice.AppendHeld(h.out); held {
			h.out = h.splice.AppendEnd(h.out)
			return h.flush()
		}
	}
	text := h.lastWords()
	h.out = h.splice.AppendEnd(h.splice.AppendError(h.out, text))
	if err := h.flush(); err != nil {
		return err
	}
	h.out = h.splice.AppendEcho(emptyFrame(h.out), text)
	if h.pending() {
		time.Sleep(errorPause)
		return h.flush()
	}
	if h.chat() {
		// Whoever passes over the error is to miss the end of the body.
		time.Sleep(errorPause)
		return errGivenUp
	}
	return nil
}

// lastWords returns the error that ends a broken stream.
func (h *healer) lastWords() []byte {
	f := h.splice.Failure()
	code, status, message := 503, "UNAVAILABLE", ""
	switch {
	case h.outcome == routing.Final && f.Code != 0:
		if text, ok := h.splice.AppendToldFailure(nil, h.last.told); ok {
			return text
		}
		code, status, message = f.Code, f.Status, f.Message
	case h.outcome == routing.Drain:
		message = "The answer was interrupted: the proxy is shutting down."
	default:
		message = fmt.Sprintf("The answer was interrupted (%s) and could not be completed (%s) after %d attempts.",
			h.outcome, h.e.record.gaveUp, h.ledger.Attempts)
	}
	return h.splice.AppendFailure(nil, code, status, message)
}
