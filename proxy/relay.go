package proxy

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/stream"
)

// relay passes a request through: whatever the method and the path, both
// bodies as streams, nothing retried once a byte went upstream.
func (s *Server) relay(ctx *fasthttp.RequestCtx, e *exchange) {
	buf := getBuffer()
	defer putBuffer(buf)
	body, length := requestStream(ctx)
	limit := int64(wholeBody)
	e.file = e.isFile()
	asks := e.asksJSON()
	if asks {
		limit = keyBody
		if e.st.reads {
			limit = poolBody
		}
	}
	var more bool
	var err error
	if body != nil && (asks || length > 0 && length <= wholeBody) {
		if more, err = e.readBody(buf, body, length, limit); err != nil {
			e.refuseBody(ctx, err, limit)
			return
		}
	} else {
		more = body != nil
	}
	s.relayRead(ctx, e, buf, body, length, more)
}

// relayRead goes on when as much of the body as need be is in buf; more tells
// that there is a rest in body.
func (s *Server) relayRead(ctx *fasthttp.RequestCtx, e *exchange, buf *buffer, body io.Reader, length int, more bool) {
	asked := buf.B
	if e.file {
		asked = nil
	}
	no := e.route(ctx.Host(), asked)
	if no == nil {
		e.findUpload()
		if e.st.reads && len(asked) > 0 && e.asksJSON() {
			e.readModel(stream.OpenAI, asked)
			e.asking = asked
		}
		no = e.enter()
		e.asking = nil
	}
	if no == nil {
		e.findOrigin(asked)
		no = e.aim()
	}
	if no != nil {
		e.refuse(ctx, no)
		if more {
			e.client.leaveUnread(ctx)
		}
		return
	}
	head := buf.B
	if !e.file {
		head = withoutKey(head)
	}
	r := relays.Get().(*relayed)
	r.e = e
	r.a.plan, r.a.until = plan{}, e.place.since.Add(e.cfg.FirstEventTimeout)
	left := int64(0)
	switch {
	case more && length < 0:
		left = -1
	case more:
		left = int64(length - len(buf.B))
	}
	no, err := r.open(head, body, left)
	if no == nil && err == nil {
		r.respond(ctx)
		return
	}
	r.release()
	r.recycle()
	if no != nil {
		e.refuse(ctx, no)
	} else {
		e.relayFailed(ctx, err)
	}
	if more {
		e.client.leaveUnread(ctx)
	}
}

// open sends the request and waits for the head of the response. left is what
// is still to be read from body behind head, -1 when it is chunked.
func (r *relayed) open(head []byte, body io.Reader, left int64) (*refusal, error) {
	defer r.releaseOnPanic(nil)
	e := r.e
	if left == 0 {
		idempotent := string(e.method) == "GET" || string(e.method) == "HEAD"
		return r.ask(head, idempotent && len(head) == 0)
	}
	r.planUpload(e.bodyFor(head), left)
	r.a.e = e
	// What the client is to have before it sends on, as Read would see to.
	if err := e.client.writeBegun(); err != nil {
		return nil, e.clientWriteError(err)
	}
	e.record.attempts = 1
	if err := r.a.connect(false); err != nil {
		return nil, err
	}
	if err := r.a.send(false); err != nil {
		return nil, err
	}
	e.watch()
	r.upload = startUpload(r.a, body, left)
	if err := r.a.receive(); err != nil {
		return nil, err
	}
	// It cannot be sent again: what is said of the key is noted, and passed on.
	r.blames()
	return nil, nil
}

// planUpload plans a body of which there is more to come: left bytes, or chunks
// when left is negative.
func (r *relayed) planUpload(head []byte, left int64) {
	p := &r.a.plan
	p.body, p.length = head, int64(len(head))+left
	if left < 0 {
		p.length = -1
		if len(head) > 0 {
			p.body = sealFrame(append(emptyFrame(nil), head...))
		}
	}
}

// relayFailed answers a relayed request that brought no response.
func (e *exchange) relayFailed(ctx *fasthttp.RequestCtx, err error) {
	if _, ok := e.form(); ok && e.cfg.Heal == "shadow" && !e.reshaped() {
		e.shadowed(outcomeOf(err))
	}
	e.record.verdict(outcomeOf(err))
	if errors.Is(err, fasthttp.ErrNoFreeConns) {
		e.settle(0, 0)
	}
	e.settle(outcomeOf(err), 0)
	switch {
	case errors.Is(err, errClientStall), errors.Is(err, errClientBody):
		e.refuseBody(ctx, err, 0)
	case errors.Is(err, errGone):
		e.abandon(ctx)
	default:
		e.refuse(ctx, upstreamFailure(e.group.Name, err))
	}
}

// relayed is the response of a relayed request on its way to the client. It
// owns the attempt, and it is the body stream of fasthttp's response.
type relayed struct {
	e      *exchange
	a      *attempt
	upload *upload
	src    io.Reader // the body where it is not the attempt's as it is, nil
	ahead  []byte    // of the body, read already
	owner  owner     // ends the exchange and owns the attempt, nil: r does
	err    error
	direct bool          // the head is on the wire, frames go to the connection
	over   bool          // see ended
	whole  bool          // all of the body came with the head
	learns bool          // the body may name something that the API keeps
	seen   []byte        // of it then, up to maxKeyError
	looked int           // how much of that was gone through
	after  time.Duration // when there is a key again, 0: as the upstream says
	shadow *shadow
	judged bool // the verdict on the attempt is recorded
	pooled bool
}

// owner is whose attempt a relayed response is, when it is not its own.
type owner interface {
	finish()  // called once at the end of a response that went out
	release() // called once where none did; the exchange goes on
}

var relays = sync.Pool{New: func() any { return &relayed{a: &attempt{}, pooled: true} }}

// recycle gives r back to its pool, with its attempt. It owns nothing any more.
func (r *relayed) recycle() {
	if !r.pooled {
		return
	}
	r.a.forget()
	*r = relayed{a: r.a, pooled: true}
	relays.Put(r)
}

// releaseOnPanic ends the upload and closes the connection of a relayed request
// that panics before it is the body of resp, which fasthttp closes. It is not
// used again.
func (r *relayed) releaseOnPanic(resp *fasthttp.Response) {
	if p := recover(); p != nil {
		if resp == nil || !resp.IsBodyStream() {
			r.a.spoil()
			r.release()
		}
		panic(p)
	}
}

// respond hands the response to fasthttp.
func (r *relayed) respond(ctx *fasthttp.RequestCtx) {
	defer r.releaseOnPanic(&ctx.Response)
	e, resp := r.e, &ctx.Response
	begun, err := r.begins()
	if err != nil {
		r.fail(ctx, err)
		return
	}
	if r.a.head.StatusCode() < 400 {
		e.answered()
	}
	e.s.copyResponseHead(resp, &r.a.head)
	if r.upload != nil && r.a.head.StatusCode() >= 400 && !r.upload.sent() {
		// Nobody wants the rest of the body.
		resp.SetConnectionClose()
	}
	r.setRetryAfter(&resp.Header)
	if e.isUpload() {
		e.ownUploadURLs(ctx.Host(), &resp.Header)
	}
	e.s.cors.allow(&resp.Header, e.head.origin)
	e.record.status = resp.StatusCode()
	now := time.Now()
	e.record.toFirst = now.Sub(e.started)
	e.streaming = true
	r.shadow = newShadow(e, r.a)
	r.learns = e.group.bound && e.creates(&r.a.head)
	size := r.size()
	if r.a.body.framing == framedByNothing {
		size = 0
		if string(e.method) == "HEAD" {
			// What a GET would get; without a length, a body in chunks.
			size = max(-1, r.a.head.ContentLength())
		}
		resp.SkipBody = true
		r.ended()
	}
	resp.SetBodyStream(r, size)
	// What has come already goes out in one segment with the head.
	resp.ImmediateHeaderFlush = size > len(r.ahead)+len(r.a.body.early) || size < 0 && !begun
	r.direct = resp.ImmediateHeaderFlush
	if r.direct || size < 0 {
		e.watch()
		return
	}
	e.client.allowWrite(now)
	if r.whole = r.src == nil && r.shadow == nil && len(r.ahead) == 0 && size == len(r.a.body.early); r.whole {
		e.ended = now
	}
}

// begins tells whether there is something of the body for the client already, or
// why there will be nothing.
func (r *relayed) begins() (bool, error) {
	switch {
	case len(r.ahead) > 0:
		return true, nil
	case r.src != nil:
		return false, nil
	}
	return r.a.body.begins()
}

// fail answers in place of a response whose body cannot be read from the start:
// the client has had nothing of it yet.
func (r *relayed) fail(ctx *fasthttp.RequestCtx, err error) {
	e, owner := r.e, r.owner
	r.release()
	r.recycle()
	e.relayFailed(ctx, err)
	if owner != nil {
		owner.release()
	}
}

// SupportsBodyWriteTo tells fasthttp to call WriteTo.
func (r *relayed) SupportsBodyWriteTo() bool { return true }

// Read is not called, see SupportsBodyWriteTo.
func (r *relayed) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// WriteTo copies the body to the client as it comes. An error makes fasthttp
// close the connection without an end of the body, which is what happened.
func (r *relayed) WriteTo(w io.Writer) (n int64, err error) {
	defer r.e.s.recovered("relay", &err)
	if r.whole {
		return r.writeWhole(w)
	}
	buf := getBuffer()
	defer putBuffer(buf)
	chunked := r.size() < 0
	if cap(buf.B) < 32<<10 {
		buf.B = make([]byte, 0, 32<<10)
	}
	const tail = 2 + len(lastChunk) // room for what ends a frame, and a body
	for {
		room := buf.B[:cap(buf.B)-tail]
		m, err := r.read(room[frameRoom:])
		if m > 0 {
			n += int64(m)
			r.e.record.bytes += int64(m)
			if r.learns {
				r.see(room[frameRoom : frameRoom+m])
			}
			if r.shadow != nil {
				r.shadow.take(room[frameRoom : frameRoom+m])
			}
			if werr := r.write(w, room[:frameRoom+m], chunked); werr != nil {
				r.err = r.e.clientWriteError(werr)
				return n, r.err
			}
		}
		if err != nil && r.shadow != nil {
			r.shadow.end(err)
		}
		if err == io.EOF {
			r.ended()
			return n, nil
		}
		if err != nil {
			r.err = err
			return n, err
		}
	}
}

// size returns how much of the body is to come, -1 when it is not known.
func (r *relayed) size() int {
	n := int(r.a.body.size())
	if n < 0 || r.src != nil {
		return -1
	}
	return n + len(r.ahead)
}

func (r *relayed) read(p []byte) (n int, err error) {
	switch {
	case len(r.ahead) > 0:
		n = copy(p, r.ahead)
		r.ahead = r.ahead[n:]
		return n, nil
	case r.src != nil:
		return r.src.Read(p)
	}
	return r.a.body.Read(p)
}

// Close is called by fasthttp when the response is over, however it ended.
func (r *relayed) Close() error {
	e := r.e
	if r.owner == nil {
		defer e.finish()
	} else {
		defer r.owner.finish()
	}
	defer e.s.recovered("close", nil)
	if r.err != nil {
		e.record.verdict(outcomeOf(r.err))
		e.settle(outcomeOf(r.err), 0)
	}
	r.release()
	r.recycle()
	return nil
}

// release ends the upload and gives the connection back.
func (r *relayed) release() {
	defer r.a.close()
	if r.upload != nil {
		r.upload.join()
		r.upload = nil
	}
}
