package upstream

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net"
	"strconv"
	"time"
)

// answer is a script being played: the state that the steps share. It belongs
// to the goroutine of its connection.
//
// Bytes pass through body (coding, body limit, slices), frame (chunks) and
// flush (wire limit, the write). A head waits in out for the first of them.
type answer struct {
	conn *conn
	req  *Request

	header  []string // of the head that the first data step makes
	begun   bool     // a head was made, or Wire took the answer over
	over    bool     // a Status was sent: data steps have no effect
	framing Framing
	left    int64 // bytes missing from a Length body, negative after too many

	slice int // bytes a write, 0 for no slicing
	bytes limit
	wire  limit
	zip   *gzip.Writer // nil without Gzip
	coded bytes.Buffer // what zip has put out

	form  form  // of the events
	reply reply // their contents
	event []byte
	out   []byte
}

// answer plays s as the answer to r and says what becomes of the connection:
// endKeep, endReset, or any other ending for a close.
func (c *conn) answer(r *Request, s Script) ending {
	a := &answer{
		conn:   c,
		req:    r,
		header: streamHeader,
		form:   sseForm{},
		reply:  newReply(r.ResponseID()),
		out:    c.out[:0],
	}
	stop := c.watch(r.peerLeft)
	how := a.finish(a.run(s))
	stop()
	c.out = a.out
	return how
}

// run plays the steps up to the first that ends the answer.
func (a *answer) run(steps []Step) error {
	for _, s := range steps {
		select {
		case <-a.req.Gone:
			return endPeer
		default:
		}
		if err := s.play(a); err != nil {
			return err
		}
	}
	return nil
}

// finish sends what the ending asks for.
func (a *answer) finish(err error) ending {
	how := endKeep
	errors.As(err, &how)
	if !a.over && how <= endReset && how != endTrim {
		errors.As(a.form.end(a, how == endKeep || how == endClose), &how)
	}
	if how == endTrim {
		// The coding stays cut, too: only the transport is to look whole.
		a.zip, a.bytes.on, a.wire.on, how = nil, false, false, endKeep
	}
	if how == endKeep || how == endClose {
		errors.As(a.end(), &how)
	}
	if how == endKeep && (a.req.close || a.framing == UntilClose || a.framing >= 0 && a.left != 0) {
		how = endClose
	}
	return how
}

// end completes the body and its framing.
func (a *answer) end() error {
	if a.zip != nil && !a.over {
		a.coded.Reset()
		a.zip.Close()
		if err := a.send(a.coded.Bytes()); err != nil {
			return err
		}
	} else if err := a.send(nil); err != nil {
		return err
	}
	if a.framing != Chunked {
		return nil
	}
	head := len(a.out)
	a.out = append(a.out, "0\r\n\r\n"...)
	return a.flush(head)
}

// body sends p as one piece of the body.
func (a *answer) body(p []byte) error {
	if a.over {
		return nil
	}
	if a.zip != nil {
		a.coded.Reset()
		a.zip.Write(p)
		a.zip.Flush()
		p = a.coded.Bytes()
	}
	return a.send(p)
}

// send sends body bytes as they are. Without any it makes no write, except that
// a limit of zero takes effect.
func (a *answer) send(p []byte) error {
	if !a.begun {
		a.head(200, Chunked, a.header)
	}
	p, last := a.bytes.take(p)
	for a.slice > 0 && len(p) > a.slice {
		if err := a.frame(p[:a.slice]); err != nil {
			return err
		}
		p = p[a.slice:]
	}
	if len(p) > 0 || last != nil {
		if err := a.frame(p); err != nil {
			return err
		}
	}
	return last
}

// frame sends p as one chunk, or bare if the framing has none.
func (a *answer) frame(p []byte) error {
	head := len(a.out)
	if a.framing == Chunked && len(p) > 0 { // an empty chunk would be the end
		a.out = strconv.AppendInt(a.out, int64(len(p)), 16)
		a.out = append(a.out, "\r\n"...)
		a.out = append(a.out, p...)
		a.out = append(a.out, "\r\n"...)
	} else {
		a.out = append(a.out, p...)
		a.left -= int64(len(p))
	}
	return a.flush(head)
}

// flush writes out the buffer. What stands from head on counts as wire bytes.
func (a *answer) flush(head int) error {
	wire, last := a.wire.take(a.out[head:])
	p := a.out[:head+len(wire)]
	a.out = a.out[:0]
	if len(p) > 0 {
		_, err := a.conn.tcp.Write(p)
		if err := a.wrote(err); err != nil {
			return err
		}
	}
	return last
}

// wrote turns a failed write into an ending.
func (a *answer) wrote(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, net.ErrClosed):
		return endServer
	default:
		a.req.peerLeft()
		return endPeer
	}
}

// gap is the pause between two events. An answer that is over has none left.
func (a *answer) gap(d time.Duration) error {
	if d <= 0 || a.over {
		return nil
	}
	return a.wait(d, nil)
}

// wait returns when d is over or c is closed, whichever is given (d > 0, c not
// nil), or earlier with an ending.
func (a *answer) wait(d time.Duration, c <-chan struct{}) error {
	var expired <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-expired:
		return nil
	case <-c:
		return nil
	case <-a.req.Gone:
		return endPeer
	case <-a.conn.u.closed:
		return endServer
	}
}
