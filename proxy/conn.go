package proxy

import (
	"container/list"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// bodyProgress is how many bytes of a request body move its deadline. A
// client that sends less than this in a whole CLIENT_STALL_TIMEOUT is holding
// a connection, not sending a request.
const bodyProgress = 256

// writePiece is how much a peer must take under one deadline: a slow reader of a
// large answer is judged by its progress.
const writePiece = 64 << 10

// clientConn is a client's connection with deadlines that move with progress:
// fasthttp's own are absolute and would cut healthy streams.
type clientConn struct {
	net.Conn
	stall time.Duration   // CLIENT_STALL_TIMEOUT
	from  *clientListener // may be nil
	// inBody is set while a request body is read. It is used by one goroutine
	// at a time: the connection's own, or the one that sends the body on.
	inBody   bool
	uploads  bool            // its reads are an upload's: they write nothing
	got      int             // bytes since the deadline last moved
	readErr  error           // of the first read that failed, see bodyError
	raw      syscall.RawConn // the descriptor for the watcher, nil without one
	watch    watch
	watching atomic.Pointer[watcher] // knows the connection
	armed    time.Time               // the write deadline
	allowed  bool                    // it has been moved for the next piece
	more     bool                    // see writeFirst
	begun    atomic.Pointer[buffer]  // what waits for the rest of its response
	whole    *buffer                 // takes what is written, see writeWhole
	closed   bool                    // the client has the end of the response, see writeClosed
	readBy   time.Time               // the read deadline that was asked for
	readAt   time.Time               // the one that is set: readBy, or an earlier one
	active   atomic.Bool             // a request has begun, were it with one byte, and is not over
	stopped  atomic.Bool             // somebody else has ended the reads, see stopReads
	unread   atomic.Bool             // Close is to linger, see leaveUnread
	polled   polled                  // Conn, nil when it cannot be polled
	below    net.Conn                // Conn, or what is below TLS
	orphan   func()                  // called by Close: what else ends with the connection, or nil
	shaking  *list.Element           // among the handshakes, nil when there is none
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
	// The next read that reaches the connection moves it first: of a short
	// body everything has come with the head.
	c.inBody, c.got = true, bodyProgress
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
	if !c.uploads {
		if err := c.writeBegun(); err != nil {
			return 0, err
		}
	}
	if c.inBody && c.got >= bodyProgress {
		c.got = 0
		c.allowRead(time.Now().Add(c.stall))
	}
	n, err := c.Conn.Read(p)
	if c.shaking != nil {
		// A handshake that was out of time cannot be gone on with.
		c.shook(err)
	} else {
		for err != nil && n == 0 && isTimeout(err) && c.early() {
			n, err = c.Conn.Read(p)
		}
	}
	if err != nil && c.readErr == nil {
		c.readErr = err
	}
	c.got += n
	return n, err
}

// shook ends the TLS handshake, which the first read has made. Of each
// connection something is read, be it the error that it is closed.
func (c *clientConn) shook(err error) {
	c.from.certs.handshakes.end(c.shaking)
	c.shaking = nil
	if err != nil && spokePlain(c.below, err) {
		c.unread.Store(true)
	}
}

// SetReadDeadline is called by fasthttp several times for each request.
func (c *clientConn) SetReadDeadline(at time.Time) error {
	if c.stopped.Swap(false) {
		c.readAt = time.Time{}
	}
	return c.allowRead(at)
}

// SetDeadline is called by fasthttp before it hands the connection over.
func (c *clientConn) SetDeadline(at time.Time) error {
	c.armed, c.readBy, c.readAt = at, at, at
	return c.Conn.SetDeadline(at)
}

// allowRead lets reads wait until at. Mostly that moves the deadline away, and
// moving it costs as much as parsing a head. So the one that is set stays as
// long as it is not too late: when it passes, Read sets the one that was asked
// for last.
func (c *clientConn) allowRead(at time.Time) error {
	c.readBy = at
	if !c.readAt.IsZero() && !c.readAt.After(at) {
		return nil
	}
	return c.armRead()
}

// armRead sets the read deadline.
func (c *clientConn) armRead() error {
	c.readAt = c.readBy
	err := c.Conn.SetReadDeadline(c.readBy)
	if c.stopped.Load() {
		// It came in between and must not be undone.
		c.Conn.SetReadDeadline(time.Unix(1, 0))
	}
	return err
}

// early tells whether the read deadline has passed that was set, but not the
// one that was asked for. That one is then set.
func (c *clientConn) early() bool {
	if c.stopped.Load() || !c.readBy.IsZero() && !time.Now().Before(c.readBy) {
		return false
	}
	return c.armRead() == nil
}

// stopReads makes reads of the request body fail, also one that is waiting. It
// may be called by any goroutine. The next SetReadDeadline ends it.
func (c *clientConn) stopReads() {
	c.stopped.Store(true)
	c.Conn.SetReadDeadline(time.Unix(1, 0))
}

// Write gives the client CLIENT_STALL_TIMEOUT for each piece.
func (c *clientConn) Write(p []byte) (n int, err error) {
	switch {
	case c.whole != nil:
		c.whole.B = append(c.whole.B, p...)
		return len(p), nil
	case c.closed:
		return c.writeClosed(p)
	case c.begun.Load() != nil:
		return c.writeRest(p)
	case c.more && len(p) == writerSize:
		c.more = false
		b := getBuffer()
		b.B = append(b.B, p...)
		c.begun.Store(b)
		return len(p), nil
	}
	return c.writePieces(p)
}

// writePieces is Write of what belongs behind everything that was written before.
func (c *clientConn) writePieces(p []byte) (n int, err error) {
	for {
		if !c.allowed {
			c.allowWrite(time.Now())
		}
		c.allowed = false
		m, err := writeTo(c.Conn, p[n:])
		if n += m; err != nil || n == len(p) {
			return n, err
		}
	}
}

// writeTo writes the front of p under the deadline that c has: a piece at least,
// and more where that does not wait.
func writeTo(c net.Conn, p []byte) (int, error) {
	if w, ok := c.(interface{ writePiece([]byte) (int, error) }); ok {
		return w.writePiece(p)
	}
	return c.Write(p[:min(len(p), writePiece)])
}

// Close closes the connection and has the listener forget it. It may be called
// by any goroutine.
func (c *clientConn) Close() error {
	if b := c.begun.Swap(nil); b != nil {
		c.Conn.Write(b.B)
		putBuffer(b)
	}
	if c.unread.Swap(false) {
		c.linger(lingerMost)
	}
	if end := c.orphan; end != nil {
		c.orphan = nil
		end()
	}
	if c.from != nil {
		c.from.forget(c)
	}
	if w := c.watching.Load(); w != nil {
		w.forget(c)
	}
	return c.Conn.Close()
}

// allowWrite moves the write deadline for the next piece, unless it was moved a
// moment ago.
func (c *clientConn) allowWrite(now time.Time) {
	c.allowed = true
	at := now.Add(c.stall)
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
