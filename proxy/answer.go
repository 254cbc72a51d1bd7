package proxy

import (
	"github.com/valyala/fasthttp"
)

// commit gives fasthttp the head of the response and itself as the body.
func (h *healer) commit(ctx *fasthttp.RequestCtx, head *fasthttp.ResponseHeader) {
	e, resp := h.e, &ctx.Response
	h.copyStreamHead(resp, head)
	// A proxy in front that buffers would undo the streaming.
	resp.Header.Set("X-Accel-Buffering", "no")
	e.s.cors.allow(&resp.Header, e.head.origin)
	e.record.status = resp.StatusCode()
	e.streaming = true
	h.committed = true
	resp.SetBodyStream(h, -1)
}

// copyStreamHead gives the client the head of a stream, with the content type
// of the framing that it is written in.
func (h *healer) copyStreamHead(resp *fasthttp.Response, head *fasthttp.ResponseHeader) {
	h.e.s.copyResponseHead(resp, head)
	resp.Header.Del(fasthttp.HeaderContentEncoding)
	if name, good := typeOf(h.form.Framing, claimOf(head.ContentType())); !good {
		resp.Header.SetContentType(name)
	}
}

// passOn relays a response that is final and no stream, with what was read of
// it to find that out.
func (h *healer) passOn(ctx *fasthttp.RequestCtx) {
	a := h.attempt
	// What attempts before it have cost is counted with it.
	h.sum()
	r := &relayed{e: h.e, a: a, owner: h, judged: true, ahead: h.in.bytes()}
	if a.body.waitUntil != nil {
		a.body.waitUntil = nil
		if isDecoder(h.src) {
			// What was read is decoded already.
			r.src = h.src
			a.head.Del(fasthttp.HeaderContentEncoding)
		}
	}
	r.respond(ctx)
}
