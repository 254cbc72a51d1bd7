package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/proxy"
)

// TestTunnelIdle ends a tunnel that is silent in both directions, and none in
// which one side speaks.
func TestTunnelIdle(t *testing.T) {
	r, f := newTunnels(t, func(c *proxy.Config) { c.TunnelIdleTimeout = 300 * time.Millisecond })
	w, c := r.open(f)
	begun := time.Now()
	for time.Since(begun) < time.Second {
		w.send("x")
		wantBytes(t, c.r, "x")
		time.Sleep(5 * time.Millisecond)
	}
	wantEnd(t, w.r, "")
	wantEnd(t, c.r, "")
	r.idle()
	if log := r.log.String(); !strings.Contains(log, "silent for too long") {
		t.Errorf("the log:\n%s", log)
	}
}

// TestTunnelBackpressure holds the sender back when the other side reads
// nothing, ends the tunnel when that lasts, and leaves none of its memory.
func TestTunnelBackpressure(t *testing.T) {
	r, f := newTunnels(t, func(c *proxy.Config) {
		c.ClientStallTimeout, c.StallTimeout = time.Second, time.Second
	})
	for _, down := range []bool{true, false} {
		w, c := r.open(f)
		from := w.TCPConn
		if down {
			from = c.TCPConn
		}
		var before, during peak
		before.look()
		var err error
		for range 256 {
			from.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			if _, err = from.Write(make([]byte, 1<<20)); err != nil {
				break
			}
		}
		during.look()
		if err == nil {
			t.Error("nothing held the sender back")
		}
		during.since(t, before)
		r.idle()
	}
}

// TestTunnelDrain: tunnels go on while the drain lasts and are closed after it.
func TestTunnelDrain(t *testing.T) {
	r, f := newTunnels(t, nil)
	w, c := r.open(f)
	busy, busyFar := r.open(f)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.server.Drain(ctx)
	}()
	if !eventually(func() bool {
		conn, err := net.Dial("tcp", r.addr)
		if err == nil {
			conn.Close()
		}
		return err != nil
	}) {
		t.Fatal("the drain has not begun")
	}
	w.send("still here")
	wantBytes(t, c.r, "still here")
	io.WriteString(c, "so am I")
	wantBytes(t, w.r, "so am I")
	if n := r.server.Running(); n != 2 {
		t.Errorf("%d tunnels run", n)
	}
	busy.send("unread")
	wantBytes(t, busyFar.r, "unread")
	cancel()
	for _, end := range []io.Reader{w.r, c.r, busy.r, busyFar.r} {
		wantEnd(t, end, "")
	}
	w.Close()
	busy.Close()
	r.drained(done)
}

// TestTunnelBehindPipelining: an answer that is still in the server's buffer
// reaches the client before the tunnel's, and a client that breaks off before
// its tunnel begins leaves nothing behind.
func TestTunnelBehindPipelining(t *testing.T) {
	r, f := newTunnels(t, nil)
	w := r.wire()
	w.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" + handshake(livePath) + "early")
	c := f.next()
	io.WriteString(c, agreed)
	w.wants("GET", 200)
	if head := readHead(t, w); !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		t.Errorf("got %s", head)
	}
	wantBytes(t, c.r, "early")
	w.Close()
	wantEnd(t, c.r, "")
	c.Close()
	for range 50 {
		w := r.wire()
		w.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" + handshake(livePath))
		c := f.next()
		w.SetLinger(0)
		w.Close()
		io.WriteString(c, agreed)
		if _, err := io.ReadAll(c.r); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		c.Close()
	}
	r.idle()
}

// TestTunnelCounts looks at the metrics and the log line.
func TestTunnelCounts(t *testing.T) {
	r, f := newTunnels(t, nil)
	w, c := r.open(f)
	io.WriteString(c, "12345")
	wantBytes(t, w.r, "12345")
	c.Close()
	wantEnd(t, w.r, "")
	w.Close()
	r.idle()
	if log := r.log.String(); !strings.Contains(log, `"kind":"tunnel"`) || !strings.Contains(log, `"status":101`) ||
		!strings.Contains(log, `"bytes":5,`) || !strings.Contains(log, `"verdicts":"natural"`) {
		t.Errorf("the log:\n%s", log)
	}
	_, text := r.admin("GET", "/metrics")
	if want := `gemini_proxy_requests_total{code="1xx",group="default",kind="tunnel"} 1`; !strings.Contains(text, want) {
		t.Errorf("no %s in the metrics", want)
	}
}

// TestTunnelLeavesNothing looks for goroutines and connections after all kinds
// of ends.
func TestTunnelLeavesNothing(t *testing.T) {
	before := ours()
	r, f := newTunnels(t, nil)
	for i := range 40 {
		w, c := r.open(f)
		w.send("hello")
		wantBytes(t, c.r, "hello")
		switch i % 4 {
		case 0:
			w.Close()
			wantEnd(t, c.r, "")
			c.Close()
		case 1:
			c.Close()
			wantEnd(t, w.r, "")
			w.Close()
		case 2:
			w.SetLinger(0)
			w.Close()
			wantEnd(t, c.r, "")
		case 3:
			c.SetLinger(0)
			c.Close()
			wantEnd(t, w.r, "")
			w.Close()
		}
	}
	r.idle()
	if got := r.series()["gemini_proxy_open_requests"]; got != "0" {
		t.Errorf("%s requests are open", got)
	}
	r.stop()
	f.l.Close()
	if !eventually(func() bool { return len(ours()) <= len(before) }) {
		t.Errorf("%d goroutines, then %d:\n%s", len(before), len(ours()), strings.Join(ours(), "\n\n"))
	}
}
