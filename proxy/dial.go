package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// dialer connects to one upstream, TLS handshake included, within connect.
type dialer struct {
	connect time.Duration
	tls     *tls.Config
	byName  func(addr string, until time.Time) (net.Conn, error) // dialName
	spare   func()                                               // closes what lies idle, see Server.closeIdle
	found   atomic.Pointer[found]
}

// dial is fasthttp.DialFuncWithTimeout. It only takes the place of a connection
// in the pool: which exchange waits for it, and may be canceled, fasthttp cannot
// tell. See dialed.
func (d *dialer) dial(addr string, _ time.Duration) (net.Conn, error) {
	return &upstreamConn{dial: func() (c, below net.Conn, err error) { return d.connectTo(addr) }}, nil
}

// errDialPanic is made once: nearly every dial does without it.
var errDialPanic = fmt.Errorf("%w: %w", errDial, errPanic)

// dialing is a connection that is being made.
type dialing struct {
	done  chan error
	taken atomic.Bool // by who waits for it, who then leaves, or by who has made it
}

// dialed makes the connection that conn is the place of. That is done in a
// goroutine of its own, whose stack goes when it is done: a dial and above all a
// handshake need a deep one, which the stream's goroutine would keep for as long
// as it lives. A panic in it is an error.
//
// An exchange that is canceled does not wait for it. The place is given back by
// the goroutine then: until it is done it has a descriptor.
func (t *transport) dialed(e *exchange, conn *upstreamConn) (err error) {
	d := &dialing{done: make(chan error, 1)}
	go func() {
		err := errDialPanic
		defer func() {
			if d.taken.Swap(true) {
				conn.drop()
				return
			}
			d.done <- err
		}()
		defer t.recovered("dial", nil)
		err = conn.connect()
	}()
	whole := false
	defer func() {
		// Also behind a panic the place must not be lost.
		if !whole && d.taken.Swap(true) {
			conn.drop()
		}
	}()
	if !e.watched {
		e.watch()
		defer func() {
			e.unwatch()
			e.watched = false
		}()
	}
	select {
	case err = <-d.done:
		whole = err == nil
	case <-e.wake:
		// Others may wait for the same signal.
		e.wake <- struct{}{}
		err = e.err()
	}
	return err
}

// connectTo returns a connection to speak HTTP on, and what it lies on.
func (d *dialer) connectTo(addr string) (conn, below net.Conn, err error) {
	until := time.Now().Add(d.connect)
	c, err := d.dialTCP(addr, until)
	if outOfDescriptors(err) {
		d.spare()
		c, err = d.dialTCP(addr, until)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errDial, err)
	}
	c = newRawIO(c)
	if d.tls == nil {
		return c, c, nil
	}
	c.SetDeadline(until)
	t := tls.Client(c, d.tls)
	if err = t.Handshake(); err != nil {
		d.doubt()
		c.Close()
		return nil, nil, fmt.Errorf("%w: %w", errDial, err)
	}
	c.SetDeadline(time.Time{})
	return t, c, nil
}

// found is where the upstream's name led to last.
type found struct {
	addr  netip.AddrPort
	fresh time.Time // until when it is used without asking again
	stale time.Time // until when it is used where nobody can be asked
}

const (
	// freshFor is how long connections go where the last one went. The resolver
	// does not tell for how long it is right; the API's names change seldom, and
	// an address that cannot be connected to is not used again.
	freshFor = time.Minute
	// staleFor is how long an address is of use while the name cannot be resolved,
	// after RFC 8767: an answer that is cut must be gone on with even when the
	// resolver is down. It is asked again for each connection, and after a failure
	// no sooner than staleRest later.
	staleFor  = 24 * time.Hour
	staleRest = 30 * time.Second
	// headStart is what the last address gets before the resolver is asked. It is
	// as long as it takes to send the first packet again (RFC 6298).
	headStart = time.Second
)

// dialTCP connects to host:port until the given time. A name is resolved once in
// a while and not for each connection: the continuation of an answer then waits
// for no resolver, and does without it when it is down.
func (d *dialer) dialTCP(addr string, until time.Time) (net.Conn, error) {
	if at, err := netip.ParseAddrPort(addr); err == nil && at.Addr().Zone() == "" {
		return dialAddress(at, until)
	}
	last, now := d.found.Load(), time.Now()
	if last != nil && now.Before(last.fresh) {
		soon := now.Add(min(headStart, until.Sub(now)/2))
		if c, err := dialAddress(last.addr, soon); err == nil {
			return c, nil
		}
		last = nil
	}
	by := until
	if last != nil {
		// A resolver that does not answer must leave time for the address.
		by = now.Add(until.Sub(now) / 2)
	}
	c, err := d.byName(addr, by)
	if err == nil {
		d.remember(c, now)
		return c, nil
	}
	if last == nil || now.After(last.stale) || !unresolved(err) {
		return nil, err
	}
	c, again := dialAddress(last.addr, until)
	if again != nil {
		return nil, err
	}
	d.found.Store(&found{last.addr, now.Add(staleRest), last.stale})
	return c, nil
}

// unresolved tells that a name could not be resolved, or that there was not the
// time for it. That there is no such name is an answer.
func unresolved(err error) bool {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return !dns.IsNotFound
	}
	return isTimeout(err)
}

// remember keeps where c leads to, if that can be dialed again.
func (d *dialer) remember(c net.Conn, now time.Time) {
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok && tcp.Zone == "" {
		d.found.Store(&found{tcp.AddrPort(), now.Add(freshFor), now.Add(staleFor)})
	}
}

// doubt has the name resolved for the next connection: whoever answered may be
// somebody else by now.
func (d *dialer) doubt() {
	if last := d.found.Load(); last != nil {
		d.found.CompareAndSwap(last, &found{addr: last.addr, stale: last.stale})
	}
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
