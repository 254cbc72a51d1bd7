package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
)

// idleUpstream is how long a connection may lie in the pool. It is below what
// the API's front ends allow, so that they rarely close one under a request.
const idleUpstream = 60 * time.Second

// maxInterim is how many 1xx responses may come before the real one.
const maxInterim = 10

// transport sends requests on the connections of a fasthttp.HostClient. It
// takes the pool, the dialing and the parsing of response heads from there,
// and does itself what HostClient.Do cannot: interrupt a request before its
// response begins, limit silence instead of the whole, and tell a body that
// ended from one that was cut.
type transport struct {
	hc *fasthttp.HostClient
}

// dialSettings are the settings that connections are made with.
type dialSettings struct {
	connect, stall time.Duration
	maxHeader      int
}

// newTransport makes one. recovered is called by defer where a panic would end
// the program.
func newTransport(base *routing.Base, cfg *Config, maxConns int, recovered func(where string, err *error)) *transport {
	d := dialer{connect: cfg.ConnectTimeout, recovered: recovered}
	if base.TLS {
		d.tls = &tls.Config{
			ServerName:         base.ServerName,
			MinVersion:         tls.VersionTLS12,
			ClientSessionCache: tls.NewLRUClientSessionCache(256),
			RootCAs:            cfg.rootCAs,
		}
	}
	return &transport{hc: &fasthttp.HostClient{
		Addr:                base.Addr,
		DialTimeout:         d.dial,
		MaxConns:            maxConns,
		MaxIdleConnDuration: idleUpstream,
		ReadBufferSize:      cfg.MaxHeaderBytes,
		ConnPoolStrategy:    fasthttp.LIFO,
	}}
}

// dialer connects to the upstream, TLS handshake included, within connect.
type dialer struct {
	connect   time.Duration
	tls       *tls.Config
	recovered func(where string, err *error)
}

// dial is fasthttp.DialFuncWithTimeout. It works in a goroutine of its own,
// whose stack goes when it is done: a dial and above all a handshake need a
// deep one, which the stream's goroutine would keep for as long as it lives.
func (d *dialer) dial(addr string, _ time.Duration) (net.Conn, error) {
	return d.inBackground(func() (net.Conn, error) { return d.connectTo(addr) })
}

// inBackground runs connect in a goroutine of its own. A panic in it is an error.
func (d *dialer) inBackground(connect func() (net.Conn, error)) (net.Conn, error) {
	type dialed struct {
		conn net.Conn
		err  error
	}
	done := make(chan dialed, 1)
	go func() {
		got := dialed{err: fmt.Errorf("%w: %w", errDial, errPanic)}
		defer func() { done <- got }()
		defer d.recovered("dial", nil)
		got.conn, got.err = connect()
	}()
	got := <-done
	return got.conn, got.err
}

func (d *dialer) connectTo(addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d.connect)
	defer cancel()
	nd := net.Dialer{KeepAlive: 30 * time.Second}
	c, err := nd.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDial, err)
	}
	c = newRawIO(c)
	if d.tls == nil {
		return newUpstreamConn(c, c), nil
	}
	t := tls.Client(c, d.tls)
	if err = t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("%w: %w", errDial, err)
	}
	return newUpstreamConn(t, c), nil
}

// link is a connection on loan from the pool. Exactly one of conn.keep and
// conn.drop is called, once.
type link struct {
	conn   *upstreamConn
	reused bool
}

// acquire takes a connection that is alive as far as can be seen. fresh asks
// for one that has carried no request yet.
func (t *transport) acquire(fresh bool) (link, error) {
	for {
		cc, err := t.hc.AcquireConn(0, false)
		if err != nil {
			return link{}, err
		}
		conn := cc.Conn().(*upstreamConn)
		reused := !cc.LastUseTime().IsZero()
		if reused && (fresh || conn.stale()) {
			t.hc.CloseConn(cc)
			continue
		}
		if conn.keep == nil {
			conn.keep = func() { t.hc.ReleaseConn(cc) }
			conn.drop = func() { t.hc.CloseConn(cc) }
		}
		return link{conn: conn, reused: reused}, nil
	}
}

// readHead reads the response head that follows on l to what was sent then,
// waiting until at, and skips interim responses. It returns the bytes that came behind the head, in
// buf or in a new slice.
func (t *transport) readHead(e *exchange, l *link, sent, at time.Time, h *fasthttp.ResponseHeader, buf []byte) ([]byte, error) {
	br := t.hc.AcquireReader(l.conn)
	defer t.hc.ReleaseReader(br)
	for range maxInterim {
		h.Reset()
		h.DisableNormalizing()
		h.SetNoDefaultContentType(true)
		if err := e.awaitByte(l.conn, br, sent, at); err != nil {
			return nil, err
		}
		if err := h.Read(br); err != nil {
			return nil, t.headError(e, err, at)
		}
		code := h.StatusCode()
		if code < 100 || code == 101 && !e.upgrade || !isHTTP1(h.Protocol()) {
			return nil, errBadResponse
		}
		if code >= 200 || code == 101 {
			return takeBuffered(br, buf)
		}
	}
	return nil, errBadResponse
}

// isHTTP1 tells whether a response is of a version whose framing is known. What
// fasthttp takes for another one, it reads as HTTP/1.0.
func isHTTP1(version []byte) bool {
	return string(version) == "HTTP/1.1" || string(version) == "HTTP/1.0"
}

// watchAfter is how long a response is waited for before the client is watched.
const watchAfter = 50 * time.Millisecond

// awaitByte waits until at for something to read, in answer to what was sent
// then.
func (e *exchange) awaitByte(conn *upstreamConn, br *bufio.Reader, sent, at time.Time) error {
	if soon := sent.Add(watchAfter); !e.watched && soon.Before(at) {
		// As late again is soon enough, and need not be set for each request.
		conn.readBy(soon, watchAfter)
		if err := e.err(); err != nil {
			return err
		}
		_, err := br.Peek(1)
		if err == nil {
			return e.awaitRest(conn, br, at)
		}
		if !isTimeout(err) || e.err() != nil {
			return e.readError(err, at)
		}
		e.watch()
	}
	for {
		if err := e.arm(conn, at); err != nil {
			return err
		}
		_, err := br.Peek(1)
		if err == nil {
			return nil
		}
		// The answer to an upload is due only when that has come to its end.
		later := time.Unix(0, e.uploaded.Load()).Add(e.cfg.FirstEventTimeout)
		if !isTimeout(err) || e.err() != nil || !later.After(time.Now()) {
			return e.readError(err, at)
		}
		at = later
	}
}

// awaitRest gives what is missing of a head its full time.
func (e *exchange) awaitRest(conn *upstreamConn, br *bufio.Reader, at time.Time) error {
	if b, _ := br.Peek(br.Buffered()); bytes.Contains(b, []byte("\r\n\r\n")) {
		return nil
	}
	return e.arm(conn, at)
}

// takeBuffered moves what the reader has buffered to buf.
func takeBuffered(br *bufio.Reader, buf []byte) ([]byte, error) {
	b, err := br.Peek(br.Buffered())
	if err != nil {
		return nil, err
	}
	return append(buf[:0], b...), nil
}

// headError tells a head that cannot be read from one that did not come.
func (t *transport) headError(e *exchange, err error, at time.Time) error {
	if cause := e.err(); cause != nil {
		return cause
	}
	if isTimeout(err) {
		return e.readError(err, at)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isConnError(err) {
		return errNoResponse
	}
	return errBadResponse
}

func isConnError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}

// readError says why reading an upstream failed: the exchange was canceled,
// its deadline or the given one passed, or the connection broke.
func (e *exchange) readError(err error, at time.Time) error {
	if cause := e.err(); cause != nil {
		return cause
	}
	if isTimeout(err) {
		return e.lateError(at)
	}
	return errNoResponse
}

// lateError says which deadline it was that passed at at.
func (e *exchange) lateError(at time.Time) error {
	if !at.Before(e.deadline) {
		return errDeadline
	}
	return errStall
}
