package proxy

import (
	"bytes"
	"errors"
	"time"

	"github.com/valyala/fasthttp"
)

// attempt is one upstream request and its response. It owns its connection
// from start to close.
//
// A stream waits in the goroutine that has read its response's head, on a stack
// that never becomes smaller while it does. That is why plan and until are
// members and the functions on the way to that read are few and have small
// frames: with some hundred bytes more the stack would be 8 KiB and not 4.
type attempt struct {
	e     *exchange
	plan  plan      // what is asked for
	until time.Time // how long the response head is waited for
	link  link
	head  fasthttp.ResponseHeader
	body  upstreamBody
	sent  time.Time // when the request was sent; until then when it was to be
	open  bool      // link is on loan
	mem   *buffer   // what is sent, then what came with the head; nil while there is neither
}

// start sends the head and body of the plan and reads the response head. again
// allows the request to be sent a second time when a connection from the pool
// turns out to have been closed by the peer before any byte of a response: the
// peer has then not served it.
func (a *attempt) start(e *exchange, again bool) error {
	a.e, a.sent = e, time.Now()
	for fresh := false; ; fresh = true {
		err := a.connect(fresh)
		if err == nil {
			err = a.send(true)
		}
		if err == nil {
			err = a.receive()
		}
		if err == nil {
			return nil
		}
		again = again && !fresh && a.link.reused && errors.Is(err, errNoResponse)
		a.close()
		if !again {
			return err
		}
	}
}

// hurry sets how long the head is waited for: FIRST_EVENT_TIMEOUT, or less when
// the client has less time, which hurried tells. again says that it is not the
// first attempt; the client counts from its own request on.
func (a *attempt) hurry(e *exchange, again bool) (until time.Time, hurried bool) {
	now, wait := time.Now(), e.cfg.FirstEventTimeout
	if t := e.serverTimeout(); t > 0 {
		hurried = t < wait
		wait = min(wait, t)
		if again {
			a.plan.timeout = max(1, int64((t-now.Sub(e.started)+time.Second-1)/time.Second))
		}
	}
	a.until = earlier(now.Add(wait), e.deadline)
	return a.until, hurried
}

// connect takes a connection and lets the exchange's cancel interrupt it.
func (a *attempt) connect(fresh bool) (err error) {
	e := a.e
	if a.link, err = e.lease.target().conn.acquire(e, fresh); err != nil {
		return err
	}
	a.open = true
	e.bind(a.link.conn)
	// Whoever left while the connection was made must not be paid for.
	return e.err()
}

// send writes the head, and the body when the plan has it in memory. whole
// tells that nothing is to follow: the response is read next.
func (a *attempt) send(whole bool) error {
	e, conn := a.e, a.link.conn
	const together, headSize = 16 << 10, 1 << 10
	body := a.plan.body
	if len(body) <= together {
		a.mem = getHeld(headSize + len(body))
	} else {
		a.mem = getHeld(headSize)
	}
	b := e.appendHead(a.mem.B[:0], &a.plan)
	a.sent = time.Now()
	if len(body) <= together {
		b = append(b, body...)
		body = nil
	}
	a.mem.B = b
	if whole && len(body) == 0 && conn.asking != nil {
		a.allowWrite(conn, a.sent)
		conn.asking.ask(b)
		return e.err()
	}
	if err := a.write(conn, b); err != nil {
		return err
	}
	return a.write(conn, body)
}

// allowWrite gives the upstream STALL_TIMEOUT to take a piece.
func (a *attempt) allowWrite(conn *upstreamConn, now time.Time) {
	conn.writeBy(now.Add(a.e.cfg.StallTimeout), now)
}

// write gives the upstream STALL_TIMEOUT to take each piece.
func (a *attempt) write(conn *upstreamConn, b []byte) error {
	for len(b) > 0 {
		a.allowWrite(conn, time.Now())
		if err := a.e.err(); err != nil {
			return err
		}
		n, err := writeTo(conn.Conn, b)
		if err != nil {
			return a.writeError(err)
		}
		b = b[n:]
	}
	return nil
}

func (a *attempt) writeError(err error) error {
	if cause := a.e.err(); cause != nil {
		return cause
	}
	if isTimeout(err) {
		return errStall
	}
	return errNoResponse
}

// spoil keeps the connection from being used again, whatever was read of it.
func (a *attempt) spoil() { a.body.dirty = true }

// close gives the connection back: to the pool after a body that was read to
// its end, else to nobody.
func (a *attempt) close() {
	if !a.open {
		return
	}
	a.open = false
	a.e.bind(nil)
	if a.body.reusable() && !a.head.ConnectionClose() && a.e.err() == nil {
		a.link.conn.keep()
	} else {
		a.link.conn.drop()
	}
	a.link = link{reused: a.link.reused}
	a.body = upstreamBody{}
	a.free()
}

// forget lets go of the request, for the next one.
func (a *attempt) forget() { a.e, a.plan = nil, plan{} }

// free gives back the memory for what is sent and what came with the head.
func (a *attempt) free() {
	if a.mem != nil {
		putHeld(a.mem)
		a.mem = nil
	}
}

// retryAfter returns the Retry-After header of the response. Names are as the
// upstream wrote them, so Peek would miss one in small letters.
func (a *attempt) retryAfter() []byte {
	for name, value := range a.head.All() {
		if bytes.EqualFold(name, []byte(fasthttp.HeaderRetryAfter)) {
			return value
		}
	}
	return nil
}
