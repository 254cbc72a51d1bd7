package proxy_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// leaver is a client that goes away.
type leaver struct {
	*bufio.Reader
	conn net.Conn
}

// come sends the request on a connection of its own.
func (s *stage) come(scripts ...upstream.Script) leaver {
	s.t.Helper()
	s.up.SetHandler(upstream.InTurn(scripts...))
	s.up.Reset()
	c := s.dial()
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", streamPath, len(s.body), s.body)
	return leaver{bufio.NewReader(c), c}
}

// reads waits until the client has got text.
func (l *leaver) reads(t *testing.T, text string) {
	t.Helper()
	for line := ""; !strings.Contains(line, text); {
		var err error
		if line, err = l.ReadString('\n'); err != nil {
			t.Fatalf("the client waits for %q: %v", text, err)
		}
	}
}

// waysToLeave close a client's connection.
var waysToLeave = map[string]func(net.Conn){
	"FIN": func(c net.Conn) { c.Close() },
	"RST": func(c net.Conn) {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	},
	"half": func(c net.Conn) { c.(*net.TCPConn).CloseWrite() },
}

// left checks what becomes of a request whose client has left during the n-th
// attempt: the upstream is left as well, and no more is asked of it.
func (s *stage) left(n, line int) {
	s.t.Helper()
	s.await("the upstream is left", s.arrived(n-1).Gone)
	s.idle()
	if got := s.up.Count(); got != n {
		s.t.Errorf("%d attempts, want %d", got, n)
	}
	s.noted(n, line)
}

// noted checks the line of the log.
func (s *stage) noted(n, line int) {
	s.t.Helper()
	verdicts, _ := s.logged(line, "verdicts").(string)
	if note := s.logged(line, "note"); s.logged(line, "attempts") != float64(n) || note != "client has left" && !strings.HasSuffix(verdicts, "client_gone") {
		s.t.Errorf("attempts %v, verdicts %s, note %q", s.logged(line, "attempts"), verdicts, note)
	}
}

func TestClientLeaves(t *testing.T) {
	t.Parallel()
	for name, leave := range waysToLeave {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)

			// Before the upstream has said anything.
			c := s.come(steps(upstream.Stall()))
			s.arrived(0)
			leave(c.conn)
			s.left(1, 1)
			// After its head.
			c = s.come(steps(upstream.Head(200, upstream.Chunked, "Content-Type", "text/event-stream"), upstream.Stall()))
			s.arrived(0)
			leave(c.conn)
			s.left(1, 2)
			// While it is silent in the middle of an answer.
			c = s.come(steps(upstream.Text(first), upstream.Stall()))
			c.reads(t, first)
			leave(c.conn)
			s.left(1, 3)
			// While data flows.
			c = s.come(steps(upstream.Text(first), upstream.Say(strings.Repeat("x", 1<<20), 1, time.Millisecond, "STOP")))
			c.reads(t, first)
			leave(c.conn)
			s.left(1, 4)
			// During a continuation.
			c = s.come(piece(first), steps(upstream.Stall()))
			c.reads(t, first)
			s.arrived(1)
			leave(c.conn)
			s.left(2, 5)
		})
	}
}

// A connection that has carried whole answers is left during a later one.
func TestClientLeavesLater(t *testing.T) {
	t.Parallel()
	for name, leave := range waysToLeave {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			whole, stalls := steps(upstream.Text(first), upstream.Finish("STOP")), steps(upstream.Text(first), upstream.Stall())
			c := s.come(whole, whole, stalls)
			for range 2 {
				c.reads(t, `"STOP"`)
				fmt.Fprintf(c.conn, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", streamPath, len(s.body), s.body)
			}
			c.reads(t, first)
			leave(c.conn)
			s.await("the upstream is left", s.arrived(2).Gone)
			s.idle()
			s.noted(1, 3)
		})
	}
}

// Of requests that a client sends together before it leaves, none is answered
// for nobody.
func TestClientLeavesRequestsBehind(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	stalls := steps(upstream.Text(first), upstream.Stall())
	c := s.come(stalls)
	fmt.Fprintf(c.conn, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", streamPath, len(s.body), s.body)
	c.reads(t, first)
	waysToLeave["half"](c.conn)
	s.left(1, 1)
}

func TestClientLeavesWhileTheProxyWaits(t *testing.T) {
	t.Parallel()
	for name, leave := range waysToLeave {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			later := steps(upstream.ErrorBody(503, "UNAVAILABLE", "later", 29*time.Second))
			waits := func(n int) {
				t.Helper()
				if !eventually(func() bool { return strings.Count(s.log.String(), `"msg":"retry"`) == n }) {
					t.Fatal("the proxy does not wait")
				}
			}
			c := s.come(later)
			waits(1)
			leave(c.conn)
			s.idle()
			s.noted(1, 1)
			c = s.come(piece(first), later)
			c.reads(t, first)
			waits(3)
			leave(c.conn)
			s.idle()
			s.noted(2, 2)
			if n := s.up.Count(); n != 2 {
				t.Errorf("%d attempts, want 2", n)
			}
		})
	}
}

// A client that stays and does not read is waited for as long as
// CLIENT_STALL_TIMEOUT says.
func TestClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(cfg *proxy.Config) { cfg.ClientStallTimeout = 300 * time.Millisecond })
	much := steps(upstream.Text(first), upstream.Say(strings.Repeat("x", 64<<20), 1<<20, 0, "STOP"))
	c := s.come(much)
	c.reads(t, first)
	s.await("the upstream is left", s.arrived(0).Gone)
	s.idle()
	if n, note := s.up.Count(), s.logged(1, "note"); n != 1 || note != "the client did not take what was written in time" {
		t.Errorf("%d attempts, note %q", n, note)
	}
	// One that leaves with much unread is left at once.
	c = s.come(much)
	c.reads(t, first)
	waysToLeave["RST"](c.conn)
	s.left(1, 2)
}
