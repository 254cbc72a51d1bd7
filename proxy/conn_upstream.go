package proxy

import (
	"net"
	"syscall"
	"time"
)

// upstreamConn is a connection to an upstream; raw is what is below TLS.
type upstreamConn struct {
	net.Conn
	dial   func() (conn, below net.Conn, err error) // nil once there is Conn
	raw    syscall.RawConn
	polled polled                                     // what is below TLS, nil when it cannot be polled
	spaced interface{ readSpace(space) (int, error) } // Conn, if it can
	peek   func(fd uintptr)
	closed bool // result of peek

	readUntil, writeUntil time.Time // the deadlines as they are set

	// Back to the pool, and out of it. They are made once for a connection, of
	// which fasthttp keeps one record for as long as it is open.
	keep, drop func()
	asking     interface{ ask([]byte) } // Conn, if it can

	awaiting interface{ await() error } // Conn, if it can
	first    [1]byte                    // what await has read
	hasFirst bool                       // the next Read is to return it
}

// connect makes the connection that u is the place of.
func (u *upstreamConn) connect() error {
	c, below, err := u.dial()
	if err != nil {
		return err
	}
	u.dial, u.Conn = nil, c
	u.raw = rawConn(below)
	u.polled, _ = below.(polled)
	u.spaced, _ = c.(interface{ readSpace(space) (int, error) })
	u.asking, _ = c.(interface{ ask([]byte) })
	u.awaiting, _ = c.(interface{ await() error })
	u.peek = u.peekOnce
	return nil
}

// Close is net.Conn's.
func (u *upstreamConn) Close() error {
	if u.Conn == nil {
		return nil
	}
	return u.Conn.Close()
}

// await waits until there is something to read, and holds no memory for it. Under
// TLS the descriptor does not tell: a server sends tickets behind the handshake,
// and its answer much later. A byte is read there, which the next Read returns.
func (u *upstreamConn) await() error {
	if u.awaiting != nil {
		return u.awaiting.await()
	}
	n, err := u.Conn.Read(u.first[:])
	if u.hasFirst = n > 0; u.hasFirst {
		return nil
	}
	return err
}

// Read is net.Conn's.
func (u *upstreamConn) Read(p []byte) (int, error) {
	if u.hasFirst && len(p) > 0 {
		u.hasFirst = false
		return copy(p, u.first[:]), nil
	}
	return u.Conn.Read(p)
}

// readBy gives reads until at, or late longer at most: a deadline that moves
// with every event need not be set for every event.
func (c *upstreamConn) readBy(at time.Time, late time.Duration) {
	if c.readUntil.Before(at) || c.readUntil.Sub(at) > late {
		c.readUntil = at.Add(late)
		c.Conn.SetReadDeadline(c.readUntil)
	}
}

// writeBy is readBy for writes, late by the slack of the time from now to at.
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
