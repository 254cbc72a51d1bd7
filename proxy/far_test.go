package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/proxy"
)

// far is a raw upstream that answers each connection's request by hand.
type far struct {
	t     testing.TB
	l     net.Listener
	conns chan *farConn
}

// farConn is a connection to it, its request's head read.
type farConn struct {
	*net.TCPConn
	r   *bufio.Reader
	req *http.Request
}

func newFar(t testing.TB) *far {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &far{t, l, make(chan *farConn, 100)}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(c)
			if req, err := http.ReadRequest(r); err == nil {
				f.conns <- &farConn{c.(*net.TCPConn), r, req}
			}
		}
	}()
	return f
}

// next waits for the next request.
func (f *far) next() *farConn {
	f.t.Helper()
	select {
	case c := <-f.conns:
		c.SetDeadline(time.Now().Add(patience))
		f.t.Cleanup(func() { c.Close() })
		return c
	case <-time.After(patience):
		f.t.Fatal("no request came")
		return nil
	}
}

const (
	livePath = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
	agreed   = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)

func handshake(target string, header ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" + strings.Join(header, "") + "\r\n"
}

// newTunnels is a rig in front of a far upstream.
func newTunnels(t testing.TB, change func(*proxy.Config)) (*rig, *far) {
	t.Helper()
	f := newFar(t)
	return newRig(t, plain, func(c *proxy.Config) {
		c.UpstreamURLBase = "http://" + f.l.Addr().String()
		if change != nil {
			change(c)
		}
	}), f
}

// open opens a tunnel and returns both its ends.
func (r *rig) open(f *far) (*wire, *farConn) {
	r.t.Helper()
	w := r.wire()
	w.send(handshake(livePath))
	c := f.next()
	io.WriteString(c, agreed)
	if head := string(readHead(r.t, w)); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		r.t.Fatalf("no tunnel:\n%s", head)
	}
	return w, c
}

func wantBytes(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got[:n], err, want)
	}
}

// wantEnd reads to the end, which must be a clean one.
func wantEnd(t *testing.T, r io.Reader, want string) {
	t.Helper()
	if got, err := io.ReadAll(r); err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q and the end", got, err, want)
	}
}
