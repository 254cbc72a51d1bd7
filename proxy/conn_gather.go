package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
)

// writerSize is the size of fasthttp's buffer for a client in bytes. A stream
// has one for as long as it lasts, so it holds little more than a head; what
// does not fit into it goes out in one piece all the same, see writeFirst.
const writerSize = 1 << 10

// gathered is how much is written in one piece with what came before it.
const gathered = 16 << 10

// lastChunk ends a chunked body without trailers (RFC 9112 7.1).
const lastChunk = "0\r\n\r\n"

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

// writeWhole writes the head of a response, which lies in fasthttp's buffer
// behind w, the only chunk p of its body, and its end, in one piece. What was kept
// of the response before, to a client that sends requests ahead, goes first.
func (c *clientConn) writeWhole(w io.Writer, p []byte) error {
	b := c.begun.Swap(nil)
	if b == nil {
		b = getBuffer()
	}
	defer putBuffer(b)
	c.whole = b
	_, err := w.Write(p)
	c.whole = nil
	if err != nil {
		return err
	}
	b.B = append(b.B, lastChunk...)
	response := b.B
	if c.closed {
		if response, err = behindEnd(response); err != nil {
			return err
		}
	}
	_, err = c.writeLast(response)
	return err
}

// writeLast writes p, with which a response is at its end.
func (c *clientConn) writeLast(p []byte) (int, error) {
	c.closed = true
	return c.writePieces(p)
}

// writeClosed writes what follows the end of a response that the client has had:
// the same end once more, from fasthttp, and perhaps the next response.
func (c *clientConn) writeClosed(p []byte) (int, error) {
	c.closed = false
	next, err := behindEnd(p)
	if err != nil {
		return 0, err
	}
	if len(next) == 0 {
		return len(p), nil
	}
	n, err := c.Write(next)
	return n + len(lastChunk), err
}

var errNotClosed = errors.New("a response that was at its end went on")

// behindEnd returns what is in p behind the end of a response. fasthttp keeps that
// end in its buffer while it has the next request of a client already.
func behindEnd(p []byte) ([]byte, error) {
	next, ok := bytes.CutPrefix(p, []byte(lastChunk))
	if !ok {
		return nil, errNotClosed
	}
	return next, nil
}
