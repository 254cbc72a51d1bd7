package proxy

import (
	"crypto/tls"
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
	hc        *fasthttp.HostClient
	recovered func(where string, err *error)
}

// dialSettings are the settings that connections are made with.
type dialSettings struct {
	connect, stall time.Duration
	maxHeader      int
}

// newTransport makes one. recovered is called by defer where a panic would end
// the program, and spare where the program is out of descriptors.
func newTransport(base *routing.Base, cfg *Config, maxConns int, recovered func(where string, err *error), spare func()) *transport {
	d := &dialer{connect: cfg.ConnectTimeout, byName: dialName, spare: spare}
	if base.TLS {
		d.tls = &tls.Config{
			ServerName:         base.ServerName,
			MinVersion:         tls.VersionTLS12,
			ClientSessionCache: tls.NewLRUClientSessionCache(256),
			RootCAs:            cfg.rootCAs,
		}
	}
	return &transport{recovered: recovered, hc: &fasthttp.HostClient{
		Addr:                base.Addr,
		DialTimeout:         d.dial,
		MaxConns:            maxConns,
		MaxIdleConnDuration: idleUpstream,
		ReadBufferSize:      cfg.MaxHeaderBytes,
		ConnPoolStrategy:    fasthttp.LIFO,
	}}
}

// link is a connection on loan from the pool. Exactly one of conn.keep and
// conn.drop is called, once.
type link struct {
	conn   *upstreamConn
	reused bool
}

// acquire takes a connection for e that is alive as far as can be seen. fresh asks
// for one that has carried no request yet.
func (t *transport) acquire(e *exchange, fresh bool) (link, error) {
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
		if conn.dial != nil {
			if err := t.dialed(e, conn); err != nil {
				return link{}, err
			}
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
