package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// maxInterim is how many 1xx responses may come before the real one.
const maxInterim = 10

// watchAfter is how long a response is waited for before the client is watched.
const watchAfter = 50 * time.Millisecond

// receive reads the response head, skips interim responses and prepares the
// body.
func (a *attempt) receive() error {
	if a.plan.patient {
		if err := a.awaitByte(nil); err != nil {
			return err
		}
	}
	t := a.e.lease.target().conn
	br := t.hc.AcquireReader(a.link.conn)
	err := a.readHead(br)
	if err == nil {
		err = a.received(br)
	}
	t.hc.ReleaseReader(br)
	return err
}

// readHead reads heads until one is of the response itself.
func (a *attempt) readHead(br *bufio.Reader) error {
	for range maxInterim {
		resetHead(&a.head)
		if err := a.awaitByte(br); err != nil {
			return err
		}
		if err := a.head.Read(br); err != nil {
			return a.headError(err)
		}
		code := a.head.StatusCode()
		if code < 100 || code == 101 && !a.e.upgrade || !isHTTP1(a.head.Protocol()) {
			return errBadResponse
		}
		if code >= 200 || code == 101 {
			return nil
		}
	}
	return errBadResponse
}

// resetHead is not inlined, so that its variables are not on the stack of those
// that wait, see attempt.
//
//go:noinline
func resetHead(h *fasthttp.ResponseHeader) {
	h.Reset()
	h.DisableNormalizing()
	h.SetNoDefaultContentType(true)
}

// isHTTP1 tells whether a response is of a version whose framing is known. What
// fasthttp takes for another one, it reads as HTTP/1.0.
func isHTTP1(version []byte) bool {
	return string(version) == "HTTP/1.1" || string(version) == "HTTP/1.0"
}

// received takes what came behind the head, and prepares the body.
func (a *attempt) received(br *bufio.Reader) error {
	early, err := br.Peek(br.Buffered())
	if err != nil {
		return err
	}
	// What was sent is not needed any more once something has come.
	if len(early) > cap(a.mem.B) {
		putHeld(a.mem)
		a.mem = getHeld(len(early))
	}
	a.mem.B = append(a.mem.B[:0], early...)
	if a.e.trace != nil {
		a.e.trace.answered(a.head.StatusCode())
	}
	a.body.begin(a.e, a.link.conn, &a.head, a.mem.B, string(a.e.method) == "HEAD")
	return nil
}

// awaitByte waits until a.until for something to read. A model may think for a
// minute: without a reader, the wait needs no memory for what will come.
func (a *attempt) awaitByte(br *bufio.Reader) error {
	if a.armSoon() {
		if err := a.peek(br); err == nil {
			return a.awaitRest(br)
		} else if !isTimeout(err) || a.e.err() != nil {
			return a.readError(err)
		}
		a.e.watch()
	}
	for {
		a.arm()
		err := a.peek(br)
		if err == nil {
			return nil
		}
		if !isTimeout(err) || a.e.err() != nil || !a.extend() {
			return a.readError(err)
		}
	}
}

// peek waits for something to read, unless the exchange was canceled. The order
// matters: a cancel that comes before the deadline was set is seen here, one
// that comes after it sets its own.
func (a *attempt) peek(br *bufio.Reader) error {
	if err := a.e.err(); err != nil {
		return err
	}
	if br == nil {
		return a.link.conn.await()
	}
	_, err := br.Peek(1)
	return err
}

// armSoon gives the next read a short time. It is false where that would be of
// no use.
//
//go:noinline
func (a *attempt) armSoon() bool {
	soon := a.sent.Add(watchAfter)
	if a.e.watched || !soon.Before(a.until) {
		return false
	}
	// As late again is soon enough, and need not be set for each request.
	a.link.conn.readBy(soon, watchAfter)
	return true
}

// arm gives the next read until a.until.
//
//go:noinline
func (a *attempt) arm() {
	a.link.conn.readBy(a.until, slack(time.Until(a.until)))
}

// extend moves a.until, which has passed: the answer to an upload is due only
// when that has come to its end. It is false when the time is over.
func (a *attempt) extend() bool {
	at := a.e.uploaded.Load()
	later := atTick(at).Add(a.e.cfg.FirstEventTimeout)
	if at == 0 || !later.After(time.Now()) {
		return false
	}
	a.until = later
	return true
}

// awaitRest gives what is missing of a head its full time.
func (a *attempt) awaitRest(br *bufio.Reader) error {
	if br == nil {
		return nil
	}
	if b, _ := br.Peek(br.Buffered()); bytes.Contains(b, []byte("\r\n\r\n")) {
		return nil
	}
	a.arm()
	return a.e.err()
}

// headError tells a head that cannot be read from one that did not come.
func (a *attempt) headError(err error) error {
	if a.e.err() != nil || isTimeout(err) {
		return a.readError(err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isConnError(err) {
		return errNoResponse
	}
	return errBadResponse
}

// readError says why reading the head failed.
func (a *attempt) readError(err error) error { return a.e.readError(err, a.until) }

func isConnError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}
