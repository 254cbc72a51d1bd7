package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// conn is a client's connection, for one request after the other.
type conn struct {
	c    net.Conn
	buf  []byte // what was read: buf[r:w] is still to be taken
	r, w int
	at   int64 // when the last bytes came, in Unix nanoseconds
}

// dial connects to addr, with TLS if config is not nil.
func dial(addr string, config *tls.Config) (*conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if config != nil {
		c = tls.Client(c, config)
	}
	return &conn{c: c, buf: make([]byte, 16<<10)}, nil
}

var (
	errHead = errors.New("response head is malformed or too long")
	errCode = errors.New("chunked coding is malformed")
)

// fill reads more bytes behind those that are still to be taken.
func (c *conn) fill() error {
	switch {
	case c.r == c.w:
		c.r, c.w = 0, 0
	case c.w == len(c.buf):
		if c.r == 0 {
			return errHead
		}
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	n, err := c.c.Read(c.buf[c.w:])
	if n == 0 {
		return err
	}
	c.w += n
	c.at = time.Now().UnixNano()
	return nil
}

// line takes a line, without its end. The result is good until the next fill.
func (c *conn) line() ([]byte, error) {
	for seen := 0; ; {
		if i := bytes.IndexByte(c.buf[c.r+seen:c.w], '\n'); i >= 0 {
			l := c.buf[c.r : c.r+seen+i]
			c.r += seen + i + 1
			return bytes.TrimSuffix(l, []byte{'\r'}), nil
		}
		seen = c.w - c.r
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// statusError is a response that is no 200.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

// ask sends a request and reads the head of its response.
func (c *conn) ask(request []byte) (body, error) {
	if _, err := c.c.Write(request); err != nil {
		return body{}, err
	}
	for {
		b, status, err := c.head()
		if err != nil {
			return body{}, err
		}
		if status >= 200 {
			if status != 200 {
				err = statusError(status)
			}
			return b, err
		}
	}
}

// head reads the head of a response.
func (c *conn) head() (b body, status int, err error) {
	line, err := c.line()
	if err != nil {
		return b, 0, err
	}
	fields := bytes.SplitN(line, []byte{' '}, 3)
	if len(fields) < 2 || !bytes.HasPrefix(fields[0], []byte("HTTP/1.")) {
		return b, 0, errHead
	}
	if status, err = strconv.Atoi(string(fields[1])); err != nil {
		return b, 0, errHead
	}
	b = body{c: c, left: -1}
	for {
		if line, err = c.line(); err != nil || len(line) == 0 {
			return b, status, err
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			b.chunked, b.left = true, 0
		case bytes.EqualFold(name, []byte("Content-Length")) && !b.chunked:
			if b.left, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return b, 0, errHead
			}
		case bytes.EqualFold(name, []byte("Connection")):
			b.last = bytes.EqualFold(value, []byte("close"))
		}
	}
}
