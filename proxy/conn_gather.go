package proxy

import (
	"io"
	"net"
)

// writerSize is the size of fasthttp's buffer for a client in bytes. A stream
// has one for as long as it lasts, so it holds little more than a head; what
// does not fit into it goes out in one piece all the same, see writeFirst.
const writerSize = 1 << 10

// gathered is how much is written in one piece with what came before it.
const gathered = 16 << 10

// writeFirst writes the first bytes of a body to w, behind which are fasthttp's
// buffer, with the head in it, and c. A buffer that runs full is written to c
// before the rest is known; c then keeps it until that comes, so that head and
// body leave in one segment. flushed tells that w leaves nothing in the buffer;
// otherwise what comes next, or a read, or the end takes it along.
func (c *clientConn) writeFirst(w io.Writer, p []byte, flushed bool) (n int, err error) {
	c.more = true
	n, err = w.Write(p)
	c.more = false
	if flushed && err == nil {
		err = c.writeBegun()
	}
	return n, err
}

// writeRest writes what was kept, and p.
func (c *clientConn) writeRest(p []byte) (int, error) {
	b := c.begun.Swap(nil)
	if b == nil {
		return 0, net.ErrClosed
	}
	defer putBuffer(b)
	if len(p) > gathered {
		if _, err := c.Write(b.B); err != nil {
			return 0, err
		}
		return c.Write(p)
	}
	kept := len(b.B)
	b.B = append(b.B, p...)
	n, err := c.Write(b.B)
	return max(0, n-kept), err
}

// writeBegun writes what was kept, if anything was: there is nothing to wait for.
func (c *clientConn) writeBegun() error {
	if c.begun.Load() == nil {
		return nil
	}
	b := c.begun.Swap(nil)
	if b == nil {
		return net.ErrClosed
	}
	defer putBuffer(b)
	_, err := c.Write(b.B)
	return err
}
