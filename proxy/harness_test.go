package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// rig is a proxy in front of a scripted upstream, both on loopback.
type rig struct {
	t      testing.TB
	up     *upstream.Upstream
	server *proxy.Server
	addr   string
	log    *lockedBuffer
	served chan error
	once   sync.Once
}

// lockedBuffer is a log that tests can read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newRig starts both; change may adjust the settings, which are quick by
// default.
func newRig(t testing.TB, h upstream.Handler, change func(*proxy.Config)) *rig {
	t.Helper()
	return newRigLogging(t, h, func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, debugLevel) }, change)
}

var debugLevel = &slog.HandlerOptions{Level: slog.LevelDebug}

// newRigLogging is newRig with a log of another form.
func newRigLogging(t testing.TB, h upstream.Handler, log func(io.Writer) slog.Handler, change func(*proxy.Config)) *rig {
	t.Helper()
	up, err := upstream.New(h)
	if err != nil {
		t.Fatal(err)
	}
	cfg := proxy.DefaultConfig()
	cfg.UpstreamURLBase = up.URL()
	cfg.RetryBaseDelay, cfg.RetryMaxDelay = time.Millisecond, 5*time.Millisecond
	// The scripted model goes on directly from a prompt.
	cfg.ContinueMode, cfg.ContinuePrompt = "prompt", "Go on."
	cfg.DebugMode = true
	if change != nil {
		change(&cfg)
	}
	r := &rig{t: t, up: up, log: &lockedBuffer{}, served: make(chan error, 1)}
	if r.server, err = proxy.New(cfg, slog.New(log(r.log))); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	go func() { r.served <- r.server.Serve(l) }()
	t.Cleanup(r.stop)
	return r
}

// stop drains the proxy and ends the upstream.
func (r *rig) stop() {
	r.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		r.server.Drain(ctx)
		if err := <-r.served; err != nil {
			r.t.Errorf("Serve: %v", err)
		}
		r.up.Close()
		if r.t.Failed() {
			r.t.Logf("log of the proxy:\n%s", tail(r.log.String(), 4000))
		}
	})
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

const streamPath = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"

// ask is the body of a request with one question.
func ask(question string) string {
	return fmt.Sprintf(`{"contents":[{"role":"user","parts":[{"text":%q}]}]}`, question)
}

// post sends a request and returns the response with its body read.
func (r *rig) post(target, body string, header ...string) (*http.Response, string, error) {
	return r.do("POST", target, body, header...)
}

func (r *rig) do(method, target, body string, header ...string) (*http.Response, string, error) {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.addr+target, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	tr := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// dial opens a raw connection to the proxy.
func (r *rig) dial() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

// raw writes bytes to a fresh connection and returns what comes back until
// the peer closes or is silent for a while.
func (r *rig) raw(request string) string {
	r.t.Helper()
	c := r.dial()
	defer c.Close()
	io.WriteString(c, request)
	var out bytes.Buffer
	buf := make([]byte, 4096)
	for {
		c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		n, err := c.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			return out.String()
		}
	}
}

// refusing returns an address at which nobody listens, and nobody will: it is this
// end of a connection to somewhere else.
func refusing(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}

func reader(c net.Conn) *bufio.Reader { return bufio.NewReader(c) }
