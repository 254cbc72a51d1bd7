package proxy

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// resumer answers one request for a stream of the Interactions API. The API
// keeps such a stream, and tells it again from behind any event: a resumer asks
// for that when an attempt breaks, and edits nothing. It owns its attempt and
// its buffers, and it is the body stream of fasthttp's response. Its phases are
// a healer's.
type resumer struct {
	e       *exchange
	attempt *attempt
	src     io.Reader // the attempt's body, without content coding
	flow    stream.Interaction
	ledger  routing.Ledger
	phase   phase

	body     *buffer // the client's request, without key
	named    bool    // the client's own request names the interaction
	stored   bool    // the API was not told to forget it
	resuming bool    // the attempt asks for the rest
	target   []byte  // and under this

	in         inbox
	out        []byte // a frame: what the client gets next; nil while there is nothing
	outMem     *buffer
	firstUntil time.Time // when the first event must have come, or, once finished, the end
	committed  bool
	finished   bool // the last event of the attempt has come

	outcome  routing.Outcome // how the last attempt ended
	cause    error           // and why, where an error said so
	told     time.Duration
	hasTold  bool
	brokenAt time.Time // since when the client waits for the rest
	hurried  bool      // the client's X-Server-Timeout is what the upstream has
	keyFault bool      // the key of the last attempt was at fault
	parked   *refusal  // there is no key to go on with
	learnt   bool      // where the interaction is kept is noted

	last response // before the commit point: what the upstream said last
}

// errBrokenOff ends a response without the end of its body: the upstream's
// was never told either.
var errBrokenOff = errors.New("the stream could not be completed")

// isInteraction tells whether the request is one whose answer may be a stream
// of the Interactions API: it begins an interaction, or asks for the events of
// one.
func (e *exchange) isInteraction() bool {
	const collection = "/interactions"
	switch string(e.method) {
	case "POST":
		return bytes.HasSuffix(e.path, []byte(collection))
	case "GET":
		slash := bytes.LastIndexByte(e.path, '/')
		return slash >= 0 && bytes.HasSuffix(e.path[:slash], []byte(collection)) && slash+1 < len(e.path) &&
			bytes.IndexByte(e.path[slash:], ':') < 0 && routing.QueryHas(e.query, "stream", "true")
	}
	return false
}

// interact answers a request of the Interactions API.
func (s *Server) interact(ctx *fasthttp.RequestCtx, e *exchange) {
	e.record.kind = kindHeal
	buf := e.holdBody(ctx)
	if buf == nil {
		return
	}
	r := &resumer{e: e, body: buf, attempt: &attempt{e: e}, stored: true}
	defer r.releaseOnPanic(ctx)
	buf.B = withoutKey(buf.B)
	e.findOrigin(buf.B)
	var id, last []byte
	if string(e.method) == "GET" {
		r.named = true
		id, last = e.path[bytes.LastIndexByte(e.path, '/')+1:], routing.LastEvent(e.query)
	} else if q := stream.ParseInteraction(buf.B); q.Stream {
		r.stored = q.Stored
	} else {
		r.pass(ctx)
		return
	}
	if !e.group.heals() {
		r.pass(ctx)
		return
	}
	e.deadline = e.started.Add(e.cfg.StreamDeadline)
	r.flow.Reset(routing.RetryableStatus, id, last)
	r.frame()
	e.watch()
	r.open(ctx)
}

func (r *resumer) releaseOnPanic(ctx *fasthttp.RequestCtx) {
	if p := recover(); p != nil {
		if !ctx.Response.IsBodyStream() {
			r.attempt.spoil()
			r.attempt.close()
		}
		panic(p)
	}
}

// pass relays a request that asks for no stream, once.
func (r *resumer) pass(ctx *fasthttp.RequestCtx) {
	e := r.e
	e.record.kind = kindRelay
	if no := e.aim(); no != nil {
		e.refuse(ctx, no)
		r.release()
		return
	}
	answer := &relayed{e: e, a: r.attempt, owner: r}
	r.attempt.plan, r.attempt.until = plan{}, time.Now().Add(e.cfg.FirstEventTimeout)
	if no, err := answer.ask(r.body.B, false); no != nil {
		e.refuse(ctx, no)
		r.release()
		return
	} else if err != nil {
		e.relayFailed(ctx, err)
		r.release()
		return
	}
	answer.respond(ctx)
}

// open runs attempts until it is known what the client is told first.
func (r *resumer) open(ctx *fasthttp.RequestCtx) {
	r.advance()
	switch {
	case r.pending():
		r.commit(ctx)
	case r.phase == phasePass:
		answer := &relayed{e: r.e, a: r.attempt, owner: r, judged: true}
		answer.respond(ctx)
	case r.phase == phaseGone:
		r.e.abandon(ctx)
		r.release()
	default:
		r.refuse(ctx)
	}
}

// commit gives fasthttp the head of the response and itself as the body.
func (r *resumer) commit(ctx *fasthttp.RequestCtx) {
	e, resp := r.e, &ctx.Response
	e.s.copyResponseHead(resp, &r.attempt.head)
	resp.Header.Del(fasthttp.HeaderContentEncoding)
	// A proxy in front that buffers would undo the streaming.
	resp.Header.Set("X-Accel-Buffering", "no")
	e.s.cors.allow(&resp.Header, e.head.origin)
	e.record.status = resp.StatusCode()
	e.streaming = true
	r.committed = true
	resp.SetBodyStream(r, -1)
}

// SupportsBodyWriteTo tells fasthttp to call WriteTo.
func (r *resumer) SupportsBodyWriteTo() bool { return true }

// Read is not called, see SupportsBodyWriteTo.
func (r *resumer) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// WriteTo streams the events, as a healer does. One that is given up ends
// without the end of the body.
func (r *resumer) WriteTo(w io.Writer) (n int64, err error) {
	defer r.e.s.recovered("interactions", &err)
	r.e.first()
	r.learn()
	r.e.record.bytes += int64(len(r.out) - frameRoom)
	if _, err := r.e.client.writeFirst(w, r.out[frameRoom:], true); err != nil {
		return 0, r.clientFailed(err)
	}
	for {
		r.out = emptyFrame(r.out)
		r.advance()
		if !r.pending() {
			break
		}
		if err := r.flush(); err != nil {
			return r.e.record.bytes, err
		}
	}
	switch r.phase {
	case phaseGiveUp:
		if err = r.sayGiveUp(); err == nil {
			err = errBrokenOff
		}
	case phaseGone:
		err = errGone
	}
	return r.e.record.bytes, err
}

// flush writes what is pending as one chunk.
func (r *resumer) flush() error {
	r.learn()
	r.e.record.bytes += int64(len(r.out) - frameRoom)
	if _, err := r.e.client.Write(sealFrame(r.out)); err != nil {
		return r.clientFailed(err)
	}
	if !r.brokenAt.IsZero() {
		r.e.joined(r.brokenAt)
		r.brokenAt = time.Time{}
	}
	return nil
}

// learn notes where the interaction is kept, before the client can ask for it. The
// rest of it, too, is to be had with its key alone.
func (r *resumer) learn() {
	if id := r.flow.ID(); !r.learnt && len(id) > 0 {
		r.learnt = true
		r.e.learnKept(append([]byte("interactions/"), id...))
		l := &r.e.lease
		r.e.from = whence{group: l.group, target: l.choice.Index, key: l.key}
	}
}

func (r *resumer) clientFailed(err error) error {
	err = r.e.clientWriteError(err)
	r.e.record.verdict(outcomeOf(err))
	r.phase = phaseGone
	return err
}

func (r *resumer) pending() bool { return len(r.out) > frameRoom }

// lend and giveBack make a resumer the space that is read to: while the
// upstream is silent it holds memory for neither side.
func (r *resumer) lend() []byte { return r.in.lend() }

func (r *resumer) giveBack() {
	r.in.giveBack()
	r.dropFrame()
}

func (r *resumer) frame() {
	if r.out == nil {
		r.outMem = getBuffer()
		r.out = emptyFrame(r.outMem.B)
	}
}

func (r *resumer) dropFrame() {
	if r.outMem != nil {
		r.outMem.B = r.out
		putBuffer(r.outMem)
		r.out, r.outMem = nil, nil
	}
}

// Close is called by fasthttp when the response is over, however it ended.
func (r *resumer) Close() error {
	r.finish()
	return nil
}

// finish ends the exchange and the resumer.
func (r *resumer) finish() {
	defer r.e.finish()
	defer r.e.s.recovered("close", nil)
	r.e.record.healed = r.phase == phaseComplete && r.ledger.Attempts > 1
	r.release()
}

// release gives back everything but the exchange.
func (r *resumer) release() {
	r.attempt.close()
	putHeld(r.body)
	r.in.reset()
	r.dropFrame()
}
