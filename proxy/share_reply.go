package proxy

import (
	"context"
	"net"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// Bounds of an answer. The client takes the lengths that a server says at their
// word and allocates what they ask for, which a server that has gone mad, or is
// another thing than it should be, must not bring about.
const (
	maxReply      = 16 << 20 // bytes of all answers to what was sent in one piece
	maxReplyText  = 1 << 20  // bytes of a string
	maxReplyItems = 1 << 17  // items of an array; the marks are at most 20000 pairs
	maxReplyDepth = 8
)

// replyScan looks at the lengths in what a server answers
// (https://redis.io/docs/latest/develop/reference/protocol-spec/).
type replyScan struct {
	line  [16]byte // the beginning of a line, for as long as it is not whole
	n     int
	skip  int64                // bytes of a string to come, with its end
	open  [maxReplyDepth]int64 // items to come of each array in another
	depth int
	total int
}

// take looks at the next bytes, wherever they were cut. An error is for good.
func (s *replyScan) take(p []byte) error {
	if s.total += len(p); s.total > maxReply {
		return errShareAnswer
	}
	for len(p) > 0 {
		if s.skip > 0 {
			n := min(s.skip, int64(len(p)))
			p, s.skip = p[n:], s.skip-n
			continue
		}
		c := p[0]
		p = p[1:]
		if c != '\n' {
			if s.n < len(s.line) {
				s.line[s.n] = c
				s.n++
			}
			continue
		}
		line := s.line[:s.n]
		s.n = 0
		if err := s.took(line); err != nil {
			return err
		}
	}
	return nil
}

// took looks at a line, of which the beginning is given.
func (s *replyScan) took(line []byte) error {
	if len(line) == 0 {
		return errShareAnswer
	}
	switch line[0] {
	case '+', '-', ':', '_', ',', '#', '(':
	case '$', '=', '!':
		n, ok := replyLength(line[1:], maxReplyText)
		if !ok {
			return errShareAnswer
		}
		if n >= 0 {
			s.skip = n + 2
		}
	case '*', '~', '>', '%', '|':
		n, ok := replyLength(line[1:], maxReplyItems)
		if !ok || n > 0 && s.depth == maxReplyDepth {
			return errShareAnswer
		}
		if line[0] == '%' || line[0] == '|' {
			n *= 2
		}
		if n > 0 {
			s.open[s.depth] = n
			s.depth++
			return nil
		}
	default:
		return errShareAnswer
	}
	for s.depth > 0 {
		if s.open[s.depth-1]--; s.open[s.depth-1] > 0 {
			break
		}
		s.depth--
	}
	return nil
}

// replyLength reads a length of at most most; -1 is that of nothing.
func replyLength(b []byte, most int64) (n int64, ok bool) {
	if len(b) == 0 || b[len(b)-1] != '\r' {
		// Or it is longer than any that is allowed.
		return 0, false
	}
	b = b[:len(b)-1]
	if string(b) == "-1" {
		return -1, true
	}
	for _, c := range b {
		if c < '0' || c > '9' || n > most {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, len(b) > 0 && n <= most
}

// replyConn is a connection to the server whose answers are looked at before the
// client gets them.
type replyConn struct {
	net.Conn
	scan replyScan
	bad  error // ends it
}

func (c *replyConn) Read(p []byte) (int, error) {
	if c.bad != nil {
		return 0, c.bad
	}
	n, err := c.Conn.Read(p)
	if c.bad = c.scan.take(p[:n]); c.bad != nil {
		return 0, c.bad
	}
	return n, err
}

func (c *replyConn) Write(p []byte) (int, error) {
	c.scan.total = 0
	return c.Conn.Write(p)
}

// replySocket is a replyConn whose socket the client may look at.
type replySocket struct {
	*replyConn
	syscall.Conn
}

// dialReplies returns what dials for the options.
func dialReplies(opts *redis.Options) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := redis.NewDialer(opts)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		guarded := &replyConn{Conn: c}
		if socket, ok := c.(syscall.Conn); ok {
			return replySocket{guarded, socket}, nil
		}
		return guarded, nil
	}
}
