package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	maxHead    = 1 << 20                // bytes of a request head
	drainFor   = 500 * time.Millisecond // see drain
	unsentFor  = time.Second            // see reset
	readBuffer = 8 << 10                // bytes read ahead while an answer runs
)

var errHead = errors.New("request head too long")

// conn is one accepted connection. All of it belongs to the goroutine of serve,
// except that br is the watcher's while an answer runs.
type conn struct {
	u      *Upstream
	tcp    *net.TCPConn
	br     *bufio.Reader
	number int
	out    []byte // the write buffer of the answers, one after another
}

func newConn(u *Upstream, tcp *net.TCPConn) *conn {
	return &conn{u: u, tcp: tcp, br: bufio.NewReaderSize(tcp, readBuffer)}
}

// serve answers the requests of the connection, one after another.
func (c *conn) serve() {
	defer c.tcp.Close()
	for {
		r, body, err := c.readRequest()
		if err != nil {
			return
		}
		script, ok := c.script(r, body)
		if !ok {
			r.peerLeft()
			c.u.depart(r)
			return
		}
		how := c.answer(r, script)
		keep := how == endKeep && body.whole()
		switch {
		case how == endReset:
			c.reset()
		case !keep:
			c.tcp.CloseWrite()
		}
		c.u.depart(r)
		if !keep {
			c.drain(body)
			return
		}
	}
}

// readRequest reads one head. A broken one is answered and counted here.
func (c *conn) readRequest() (*Request, *bodyReader, error) {
	raw, err := c.readHead()
	if len(raw) == 0 {
		return nil, nil, err // closed between requests
	}
	var head *http.Request
	if err == nil {
		head, err = http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	}
	if err != nil {
		c.u.change(func() { c.u.malformed++ })
		io.WriteString(c.tcp, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		return nil, nil, err
	}
	r := &Request{
		Conn:   c.number,
		Method: head.Method,
		Target: head.RequestURI,
		Host:   head.Host,
		Proto:  head.Proto,
		Header: head.Header,
		Raw:    raw,
		Gone:   make(chan struct{}),
		Done:   make(chan struct{}),
		close:  head.Close,
	}
	proceed := func() { io.WriteString(c.tcp, "HTTP/1.1 100 Continue\r\n\r\n") }
	return r, newBodyReader(c.br, head, proceed), nil
}

// readHead reads up to and with the empty line. It returns what it has read
// also with an error.
func (c *conn) readHead() (head []byte, err error) {
	for {
		line, err := c.br.ReadSlice('\n')
		head = append(head, line...)
		switch {
		case err != nil && err != bufio.ErrBufferFull:
			return head, err
		case len(head) > maxHead:
			return head, errHead
		case bytes.HasSuffix(head, []byte("\n\r\n")), bytes.HasSuffix(head, []byte("\n\n")):
			return head, nil
		}
	}
}

// script takes in the body and asks for the script. It returns false if there
// is nobody to answer, because the body broke off.
func (c *conn) script(r *Request, body *bodyReader) (s Script, ok bool) {
	streamer := c.u.streamer.Load()
	if streamer == nil || *streamer == nil {
		body.readInto(r)
		c.u.arrive(r)
	} else {
		c.u.arrive(r)
		if s := (*streamer)(r, body); s != nil {
			body.settle(r)
			return s, true
		}
		body.readInto(r)
	}
	if r.BodyErr != nil {
		return nil, false
	}
	return (*c.u.handler.Load())(r), true
}

// drain reads the rest of a body that nobody read, for a while. A socket that is
// closed over unread bytes resets the connection, and that would take the end of
// the answer with it.
func (c *conn) drain(body *bodyReader) {
	if !body.whole() {
		c.tcp.SetReadDeadline(time.Now().Add(drainFor))
		io.Copy(io.Discard, c.br)
	}
}

// reset sends the RST. It throws away what the kernel has not sent yet, so it
// waits, for a while, until everything written before has reached the peer.
func (c *conn) reset() {
	for end := time.Now().Add(unsentFor); unsent(c.tcp) > 0 && time.Now().Before(end); {
		select {
		case <-time.After(time.Millisecond):
		case <-c.u.closed:
			return
		}
	}
	c.tcp.SetLinger(0)
	c.tcp.Close()
}
