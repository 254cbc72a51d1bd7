package proxy

import (
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
	stall time.Duration // CLIENT_STALL_TIMEOUT
	// inBody is set while a request body is read. It is used by one goroutine
	// at a time: the connection's own, or the one that sends the body on.
	inBody  bool
	got     int   // bytes since the deadline last moved
	readErr error // of the first read that failed, see bodyError
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

// Write gives the client CLIENT_STALL_TIMEOUT for each piece.
func (c *clientConn) Write(p []byte) (n int, err error) {
	for {
		piece := p[n:min(len(p), n+writePiece)]
		c.Conn.SetWriteDeadline(time.Now().Add(c.stall))
		m, err := c.Conn.Write(piece)
		if n += m; err != nil || n == len(p) {
			return n, err
		}
	}
}

// SyscallConn gives the watcher the descriptor.
func (c *clientConn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, syscall.EINVAL
}

// clientListener hands out clientConns.
type clientListener struct {
	net.Listener
	stall time.Duration
}

func (l clientListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &clientConn{Conn: c, stall: l.stall}, nil
}

// upstreamConn is a connection to an upstream; tcp is what is below TLS.
type upstreamConn struct {
	net.Conn
	tcp net.Conn
}

// stale tells whether an idle connection can no longer be used: the peer has
// closed it, or has sent something that nobody asked for.
func (c *upstreamConn) stale() bool {
	sc, ok := c.tcp.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	stale := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		stale = n > 0 || err != syscall.EAGAIN && err != syscall.EWOULDBLOCK
	})
	return stale || err != nil
}
