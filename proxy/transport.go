package proxy

import (
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
)

// idleUpstream is how long a connection may lie in the pool. It is below what
// the API's front ends allow, so that they rarely close one under a request.
const idleUpstream = 60 * time.Second

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

// errDialPanic is made once: nearly every dial does without it.
var errDialPanic = fmt.Errorf("%w: %w", errDial, errPanic)

// inBackground runs connect in a goroutine of its own. A panic in it is an error.
func (d *dialer) inBackground(connect func() (net.Conn, error)) (net.Conn, error) {
	type dialed struct {
		conn net.Conn
		err  error
	}
	done := make(chan dialed, 1)
	go func() {
		got := dialed{err: errDialPanic}
		defer func() { done <- got }()
		defer d.recovered("dial", nil)
		got.conn, got.err = connect()
	}()
	got := <-done
	return got.conn, got.err
}

func (d *dialer) connectTo(addr string) (net.Conn, error) {
	until := time.Now().Add(d.connect)
	c, err := dialTCP(addr, until)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDial, err)
	}
	c = newRawIO(c)
	if d.tls == nil {
		return newUpstreamConn(c, c), nil
	}
	c.SetDeadline(until)
	t := tls.Client(c, d.tls)
	if err = t.Handshake(); err != nil {
		c.Close()
		return nil, fmt.Errorf("%w: %w", errDial, err)
	}
	c.SetDeadline(time.Time{})
	return newUpstreamConn(t, c), nil
}

// upstreamKeepAlive is after how much silence the kernel asks whether an
// upstream is still there, and how often from then on.
const upstreamKeepAlive = 30 * time.Second

// dialName connects to host:port, whatever the resolver makes of it: of several
// addresses it takes the first that answers (RFC 6555).
func dialName(addr string, until time.Time) (net.Conn, error) {
	d := net.Dialer{Deadline: until, KeepAlive: upstreamKeepAlive}
	return d.Dial("tcp", addr)
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
