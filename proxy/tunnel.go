package proxy

import (
	"bytes"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
)

// tunnel joins a client and an upstream that have agreed to speak something
// else than HTTP on their connections: the Live API's WebSocket. Bytes pass in
// both directions as they come and are not looked at. It owns both connections
// and the exchange.
//
// Since nothing is parsed, it is not known where a frame ends, and no close
// frame can be sent to anybody: a tunnel ends like a connection that closes.
type tunnel struct {
	e      *exchange
	r      *relayed // holds the upstream's connection
	up     pipe     // from the client to the upstream
	down   pipe
	upDone chan struct{}

	last  atomic.Int64 // when a byte passed last, in either direction, in ticks
	half  atomic.Bool  // one side has said that it sends no more
	over  atomic.Bool  // cause is set and both pipes are to end
	claim atomic.Bool  // somebody sets cause
	cause error
}

// afterHalf is how long a tunnel may be silent once one side sends no more.
// What the other still has to say is on its way already.
const afterHalf = 30 * time.Second

// webSocket is the one protocol that is tunnelled.
const webSocket = "websocket"

// wantsTunnel tells whether the request is the opening handshake of a
// WebSocket (RFC 6455 4.1) on a path where the API has them. @google/genai for
// JavaScript writes two slashes before it.
func (e *exchange) wantsTunnel(ctx *fasthttp.RequestCtx) bool {
	h := &e.head
	if len(h.upgrade) == 0 || !bytes.EqualFold(h.upgrade, []byte(webSocket)) || !h.upgrades() {
		return false
	}
	body, _ := requestStream(ctx)
	return string(e.method) == "GET" && body == nil && !h.hasCoding &&
		bytes.HasPrefix(bytes.TrimLeft(e.path, "/"), []byte("ws/"))
}

// upgrades tells whether the Connection field names Upgrade.
func (h *head) upgrades() bool { return h.connection.has([]byte(fasthttp.HeaderUpgrade)) }

// tunnel passes the handshake on. If the upstream agrees, the connection is
// the tunnel's from then on; any other answer is relayed.
func (s *Server) tunnel(ctx *fasthttp.RequestCtx, e *exchange) {
	e.record.kind = kindTunnel
	// What may have come behind the handshake is no HTTP.
	defer ctx.SetConnectionClose()
	no := e.route(ctx.Host(), nil)
	if no == nil {
		no = e.enter()
	}
	if no == nil {
		no = e.aim()
	}
	if no != nil {
		e.refuse(ctx, no)
		return
	}
	e.upgrade = true
	r := relays.Get().(*relayed)
	r.e = e
	no, err := r.shake(time.Now().Add(e.cfg.FirstEventTimeout))
	switch {
	case no != nil:
		r.release()
		r.recycle()
		e.refuse(ctx, no)
		return
	case err == nil && r.a.head.StatusCode() != 101:
		r.respond(ctx)
		return
	case err == nil && !switches(&r.a.head):
		err = errBadResponse
	}
	if err != nil {
		r.a.body.dirty = true
		r.release()
		r.recycle()
		e.relayFailed(ctx, err)
		return
	}
	e.answered()
	t := newTunnel(r)
	e.client.orphan = t.abandon
	e.streaming = true
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(t.begin)
}

// shake sends the handshake and waits until at for the answer to it.
func (r *relayed) shake(at time.Time) (*refusal, error) {
	defer r.releaseOnPanic(nil)
	r.a.plan, r.a.until = plan{upgrade: true}, at
	return r.ask(nil, true)
}

// switches tells whether a 101 response agrees to what was asked for.
func switches(h *fasthttp.ResponseHeader) bool {
	for name, value := range h.All() {
		if bytes.EqualFold(name, []byte(fasthttp.HeaderUpgrade)) {
			return bytes.EqualFold(value, []byte(webSocket))
		}
	}
	return false
}

// newTunnel makes a tunnel of an upstream's 101 response. Nothing in it
// aliases the request: fasthttp takes that back.
func newTunnel(r *relayed) *tunnel {
	e := r.e
	e.unwatch()
	if e.trace != nil {
		e.trace.describe(e)
	}
	e.method, e.path = bytes.Clone(e.method), bytes.Clone(e.path)
	e.written = nil
	e.record.status = 101
	e.first()
	head := appendSwitch(nil, &r.a.head)
	t := &tunnel{e: e, r: r, upDone: make(chan struct{})}
	client, upstream := e.client.Conn, r.a.link.conn.Conn
	t.up = pipe{t: t, src: client, dst: upstream, patience: e.cfg.StallTimeout,
		srcGone: errGone, dstGone: errCut, dstStall: errStall}
	t.down = pipe{t: t, src: upstream, dst: client, patience: e.cfg.ClientStallTimeout,
		srcGone: errCut, dstGone: errGone, dstStall: errClientStall}
	t.down.first = append(head, r.a.body.early...)
	t.down.bytes = -int64(len(head))
	// Its connection serves no other request.
	r.a.body = upstreamBody{dirty: true}
	r.a.free()
	t.touch(time.Now())
	return t
}

// appendSwitch appends the head that a client gets for a 101 response.
func appendSwitch(dst []byte, h *fasthttp.ResponseHeader) []byte {
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+webSocket+"\r\n"...)
	named := namedBy(nil, h)
	for name, value := range h.All() {
		var buf [32]byte
		if !staysBehind(lower(buf[:0], name)) && !named.has(name) && !bytes.ContainsAny(value, "\r\n") {
			dst = appendField(dst, name, value)
		}
	}
	return append(dst, "\r\n"...)
}

// begin is fasthttp's hijack handler. c is the client's connection behind the
// buffer in which fasthttp may have read more than the handshake. When begin
// returns, that buffer and the request are given up.
func (t *tunnel) begin(c net.Conn) {
	t.e.client.orphan = nil
	// Only the buffer can be read under a deadline that has passed.
	c.SetReadDeadline(time.Unix(1, 0))
	buf := copyBuffers.Get().(*copyBuffer)
	defer copyBuffers.Put(buf)
	for err := error(nil); err == nil; {
		var n int
		n, err = c.Read(buf[:])
		t.up.first = append(t.up.first, buf[:n]...)
	}
	go t.run()
}

// run passes bytes until the tunnel ends.
func (t *tunnel) run() {
	go func() {
		defer close(t.upDone)
		t.pass(&t.up)
	}()
	t.pass(&t.down)
	<-t.upDone
	t.finish()
}

// pass runs one direction to its end. An end that the source has said is said
// to the other side, which may go on sending. So may an upstream that takes
// nothing more: its last words say why.
func (t *tunnel) pass(p *pipe) {
	var err error
	defer func() {
		if err != nil {
			t.end(err)
		}
	}()
	defer t.e.s.recovered("tunnel", &err)
	err = p.run()
	switch {
	case err == nil:
		closeWrite(p.dst)
	case err == errCut && p == &t.up:
		err = nil
	default:
		return
	}
	t.half.Store(true)
	// The other direction waits by the shorter limit from now on.
	other := &t.up
	if p == other {
		other = &t.down
	}
	other.src.SetReadDeadline(time.Unix(1, 0))
}

// abandon ends a tunnel that has not begun: fasthttp found the client's
// connection broken before it handed it over.
func (t *tunnel) abandon() {
	t.end(errGone)
	t.finish()
}

// end makes both directions end. The first cause counts.
func (t *tunnel) end(cause error) {
	if t.claim.Swap(true) {
		return
	}
	t.cause = cause
	t.over.Store(true)
	t.up.src.SetDeadline(time.Unix(1, 0))
	t.down.src.SetDeadline(time.Unix(1, 0))
}

// err returns why the tunnel is to end, nil while it goes on.
func (t *tunnel) err() error {
	if t.over.Load() {
		return t.cause
	}
	return t.e.err()
}

// touch notes that a byte has passed.
func (t *tunnel) touch(now time.Time) { t.last.Store(ticks(now)) }

// quietUntil returns when the tunnel will have been silent for too long.
func (t *tunnel) quietUntil() time.Time {
	limit := t.e.cfg.TunnelIdleTimeout
	if t.half.Load() {
		limit = min(limit, afterHalf)
	}
	return atTick(t.last.Load()).Add(limit)
}

// finish closes both connections and ends the exchange.
func (t *tunnel) finish() {
	e := t.e
	defer e.s.recovered("tunnel", nil)
	cause := t.err()
	e.record.bytes = max(0, t.down.bytes)
	e.record.verdict(outcomeOf(cause))
	if cause != nil {
		e.record.note = cause.Error()
	}
	t.r.release()
	if outcomeOf(cause) != routing.ClientGone && !t.up.ended {
		e.client.linger(lingerFor)
	}
	e.client.orphan = nil
	e.client.Close()
	t.r.recycle()
	e.finish()
}
