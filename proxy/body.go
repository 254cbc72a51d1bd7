package proxy

import (
	"io"
	"time"

	"github.com/valyala/fasthttp"
)

type framing uint8

const (
	framedByNothing framing = iota // no body
	framedByLength
	framedByChunks
	framedByClose
)

// upstreamBody reads a response body from its connection. Unlike fasthttp's
// reader it tells an end from a cut, decodes everything that one read brought,
// and waits for each read as long as its owner says.
type upstreamBody struct {
	e       *exchange
	conn    *upstreamConn
	framing framing
	left    int64 // framedByLength
	chunks  dechunker
	early   []byte // came with the head
	ended   bool   // the body has come to its framed end
	dirty   bool   // bytes came behind the end
	broken  error  // the framing is malformed: what follows is not read
	fixed   fixedSpace
	// waitUntil returns until when the next read may wait.
	waitUntil func() time.Time
}

// begin prepares to read the body of the response that h heads. early are the
// bytes that came with h; they are used up before the connection is read.
func (b *upstreamBody) begin(e *exchange, conn *upstreamConn, h *fasthttp.ResponseHeader, early []byte, isHead bool) {
	*b = upstreamBody{e: e, conn: conn, early: early}
	code, length := h.StatusCode(), h.ContentLength()
	switch {
	case isHead || code == 204 || code == 304:
		b.ended = true
	case length == -1:
		b.framing = framedByChunks
	case length >= 0:
		b.framing, b.left = framedByLength, int64(length)
		b.ended = length == 0
	default:
		b.framing = framedByClose
	}
	if b.ended && len(early) > 0 {
		b.dirty = true
	}
}

// size returns the body's length in bytes, -1 when it is not known.
func (b *upstreamBody) size() int64 {
	switch b.framing {
	case framedByLength:
		return b.left
	case framedByNothing:
		return 0
	}
	return -1
}

// begins tells whether some of the body, or its end, has come with the head, or why
// none of it will ever come. It reads nothing.
func (b *upstreamBody) begins() (bool, error) {
	if b.broken != nil {
		return false, b.broken
	}
	if b.framing == framedByChunks {
		return b.chunks.begins(b.early)
	}
	return len(b.early) > 0, nil
}

// takeEarly returns the body of which all came with its head, and is at its end.
func (b *upstreamBody) takeEarly() []byte {
	p := b.early
	b.early, b.left, b.ended = nil, 0, true
	return p
}

// complete tells that all of the body has been read, and is well framed.
func (b *upstreamBody) complete() bool { return b.ended && b.broken == nil }

// reusable tells whether another response can follow on the connection.
func (b *upstreamBody) reusable() bool {
	return b.conn != nil && b.ended && !b.dirty && b.framing != framedByClose
}

// space is memory to read into. It is asked for when there may be something to
// read and given back while there is not, so that a silent stream holds none.
type space interface {
	// lend returns the memory; until giveBack it is the same each time.
	lend() []byte
	giveBack()
}

// fixedSpace is memory that its owner keeps.
type fixedSpace []byte

func (f *fixedSpace) lend() []byte { return *f }
func (f *fixedSpace) giveBack()    {}

// Read reads decoded bytes of the body. io.EOF is its true end as far as the
// framing can tell; io.ErrUnexpectedEOF and errChunking are a cut. It returns
// data together with the error that follows it.
func (b *upstreamBody) Read(p []byte) (n int, err error) {
	b.fixed = p
	n, err = b.readSpace(&b.fixed)
	b.fixed = nil
	return n, err
}

// readSpace is Read into sp; the bytes are at the beginning of what it lends.
func (b *upstreamBody) readSpace(sp space) (n int, err error) {
	for n == 0 && err == nil {
		if b.broken != nil {
			return 0, b.broken
		}
		if b.ended {
			return 0, io.EOF
		}
		var raw int
		if raw, err = b.readRaw(sp); raw == 0 {
			continue
		}
		if n, b.broken = b.decode(sp.lend()[:raw]); b.broken != nil {
			err = b.broken
		}
	}
	return n, err
}

// readRaw reads bytes as they are on the wire.
func (b *upstreamBody) readRaw(sp space) (int, error) {
	if len(b.early) > 0 {
		n := copy(sp.lend(), b.early)
		b.early = b.early[n:]
		return n, nil
	}
	at := b.until()
	if err := b.e.arm(b.conn, at); err != nil {
		return 0, err
	}
	n, err := b.conn.readSpace(sp)
	if err == nil {
		return n, nil
	}
	switch {
	case b.e.err() != nil:
		return n, b.e.err()
	case isTimeout(err):
		return n, b.e.readError(err, at)
	case err == io.EOF && b.framing == framedByClose:
		b.ended = true
		return n, io.EOF
	}
	return n, io.ErrUnexpectedEOF
}

// poll reads once what is there, without waiting; errAgain says that there is
// nothing. The connection is polled by p.
func (b *upstreamBody) poll(p *poller, sp space) (n int, err error) {
	for n == 0 && err == nil {
		switch {
		case b.broken != nil:
			return 0, b.broken
		case b.ended:
			return 0, io.EOF
		}
		var raw int
		if b.conn.spaced != nil {
			raw, err = p.read(sp.lend())
		} else {
			raw, err = b.conn.Conn.Read(sp.lend())
		}
		switch {
		case err == errAgain:
			return 0, err
		case err == io.EOF && b.framing == framedByClose:
			b.ended = true
			return 0, io.EOF
		case err != nil:
			return 0, io.ErrUnexpectedEOF
		}
		if n, b.broken = b.decode(sp.lend()[:raw]); b.broken != nil {
			err = b.broken
		}
	}
	return n, err
}

// until returns the time until which the next read may wait.
func (b *upstreamBody) until() time.Time {
	at := time.Time{}
	if b.waitUntil != nil {
		at = b.waitUntil()
	} else {
		at = time.Now().Add(b.e.cfg.StallTimeout)
	}
	if b.e.deadline.Before(at) {
		at = b.e.deadline
	}
	return at
}

// decode takes the framing out of p in place.
func (b *upstreamBody) decode(p []byte) (n int, err error) {
	switch b.framing {
	case framedByChunks:
		n, rest, err := b.chunks.decode(p)
		if err == nil && b.chunks.finished() {
			b.ended = true
			b.dirty = rest > 0 || len(b.early) > 0
		}
		return n, err
	case framedByLength:
		n = int(min(int64(len(p)), b.left))
		b.left -= int64(n)
		if b.left == 0 {
			b.ended = true
			b.dirty = n < len(p) || len(b.early) > 0
		}
		return n, nil
	}
	return len(p), nil
}
