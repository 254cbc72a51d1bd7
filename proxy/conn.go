package proxy

import (
	"container/list"
	"crypto/tls"
	"io"
	"net"
	"syscall"
	"time"
)

// bodyProgress is how many bytes of a request body move its deadline. A
// client that sends less than this in a whole CLIENT_STALL_TIMEOUT is holding
// a connection, not sending a request.
const bodyProgress = 256

// writePiece is the most that is written under one deadline, so that a slow
// reader of a large answer is judged by its progress.
const writePiece = 64 << 10

// clientConn is a client's connection with deadlines that move with progress:
// fasthttp's own are absolute and would cut healthy streams.
type clientConn struct {
	net.Conn
	stall time.Duration   // CLIENT_STALL_TIMEOUT
	from  *clientListener // may be nil
	// inBody is set while a request body is read. It is used by one goroutine
	// at a time: the connection's own, or the one that sends the body on.
	inBody  bool
	got     int             // bytes since the deadline last moved
	readErr error           // of the first read that failed, see bodyError
	raw     syscall.RawConn // the descriptor for the watcher, nil without one
	watched epollEntry
	armed   time.Time     // the write deadline
	polled  polled        // Conn, nil when it cannot be polled
	below   net.Conn      // Conn, or what is below TLS
	orphan  func()        // called by Close: what else ends with the connection, or nil
	shaking *list.Element // among the handshakes, nil when there is none
}

// newClientConn wraps a connection that speaks HTTP on conn, and lies on below.
// A connection under TLS cannot be polled, but its peer can be watched.
func newClientConn(conn, below net.Conn, stall time.Duration) *clientConn {
	c := &clientConn{Conn: conn, below: below, stall: stall, raw: rawConn(below)}
	c.polled, _ = conn.(polled)
	return c
}

// secure tells whether the client speaks TLS.
func (c *clientConn) secure() bool {
	_, ok := c.Conn.(*tls.Conn)
	return ok
}

// beginBody makes reads move the read deadline, until endBody.
func (c *clientConn) beginBody() {
	c.inBody, c.got = true, 0
	c.Conn.SetReadDeadline(time.Now().Add(c.stall))
}

func (c *clientConn) endBody() { c.inBody = false }

// bodyError returns the true error of a read from a request body. fasthttp
// takes a connection that ends or fails between two chunks for the end of the
// body.
func (c *clientConn) bodyError(err error) error {
	switch {
	case err != io.EOF || c.readErr == nil:
		return err
	case c.readErr == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return c.readErr
}

// Read moves the deadline while a request body is read; a request head is
// read under the absolute deadline that fasthttp sets.
func (c *clientConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.shaking != nil {
		c.shook(err)
	}
	if err != nil && c.readErr == nil {
		c.readErr = err
	}
	if c.inBody && err == nil {
		if c.got += n; c.got >= bodyProgress {
			c.got = 0
			c.Conn.SetReadDeadline(time.Now().Add(c.stall))
		}
	}
	return n, err
}

// shook ends the TLS handshake, which the first read has made. Of each
// connection something is read, be it the error that it is closed.
func (c *clientConn) shook(err error) {
	c.from.certs.handshakes.end(c.shaking)
	c.shaking = nil
	if err != nil {
		spokePlain(c.below, err)
	}
}

// Write gives the client CLIENT_STALL_TIMEOUT for each piece.
func (c *clientConn) Write(p []byte) (n int, err error) {
	for {
		piece := p[n:min(len(p), n+writePiece)]
		c.armWrite()
		m, err := c.Conn.Write(piece)
		if n += m; err != nil || n == len(p) {
			return n, err
		}
	}
}

// Close closes the connection and has the listener forget it.
func (c *clientConn) Close() error {
	if end := c.orphan; end != nil {
		c.orphan = nil
		end()
	}
	if c.from != nil {
		c.from.forget(c)
	}
	return c.Conn.Close()
}

// armWrite moves the write deadline, unless it was moved a moment ago.
func (c *clientConn) armWrite() {
	at := time.Now().Add(c.stall)
	if c.armed.Before(at) {
		c.armed = at.Add(slack(c.stall))
		c.Conn.SetWriteDeadline(c.armed)
	}
}

// disarm lifts the write deadline.
func (c *clientConn) disarm() {
	if !c.armed.IsZero() {
		c.armed = time.Time{}
		c.Conn.SetWriteDeadline(c.armed)
	}
}

// rawConn returns access to the descriptor of c, nil when it has none.
func rawConn(c net.Conn) syscall.RawConn {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// polled is a connection that can be used without waiting, see rawIO.
type polled interface {
	hold(func(fd uintptr)) error
	pollBy(*poller)
}

// errAgain says that a connection in a poll has nothing to read. It is a
// temporary net.Error: crypto/tls can be read on after one.
var errAgain net.Error = again{}

type again struct{}

func (again) Error() string   { return "nothing to read now" }
func (again) Timeout() bool   { return false }
func (again) Temporary() bool { return true }

// upstreamConn is a connection to an upstream; raw is what is below TLS.
type upstreamConn struct {
	net.Conn
	raw    syscall.RawConn
	polled polled                                     // what is below TLS, nil when it cannot be polled
	spaced interface{ readSpace(space) (int, error) } // Conn, if it can
	peek   func(fd uintptr)
	closed bool // result of peek

	readUntil, writeUntil time.Time // the deadlines as they are set
}

func newUpstreamConn(c, below net.Conn) *upstreamConn {
	u := &upstreamConn{Conn: c, raw: rawConn(below)}
	u.polled, _ = below.(polled)
	u.spaced, _ = c.(interface{ readSpace(space) (int, error) })
	u.peek = u.peekOnce
	return u
}

// readBy gives reads until at, or a little longer: a deadline that moves with
// every event need not be set for every event.
func (c *upstreamConn) readBy(at, now time.Time) {
	if late := slack(at.Sub(now)); c.readUntil.Before(at) || c.readUntil.Sub(at) > late {
		c.readUntil = at.Add(late)
		c.Conn.SetReadDeadline(c.readUntil)
	}
}

// writeBy is readBy for writes.
func (c *upstreamConn) writeBy(at, now time.Time) {
	if late := slack(at.Sub(now)); c.writeUntil.Before(at) || c.writeUntil.Sub(at) > late {
		c.writeUntil = at.Add(late)
		c.Conn.SetWriteDeadline(c.writeUntil)
	}
}

// readForever lifts the read deadline.
func (c *upstreamConn) readForever() {
	if !c.readUntil.IsZero() {
		c.readUntil = time.Time{}
		c.Conn.SetReadDeadline(c.readUntil)
	}
}

// readSpace reads into sp, which is given back while there is nothing to read
// where the connection can tell.
func (c *upstreamConn) readSpace(sp space) (int, error) {
	if c.spaced != nil {
		return c.spaced.readSpace(sp)
	}
	return c.Conn.Read(sp.lend())
}

// stale tells whether an idle connection can no longer be used: the peer has
// closed it, or has sent something that nobody asked for.
func (c *upstreamConn) stale() bool {
	if c.raw == nil {
		return false
	}
	err := c.raw.Control(c.peek)
	return c.closed || err != nil
}

func (c *upstreamConn) peekOnce(fd uintptr) {
	c.closed = !silent(fd)
}
