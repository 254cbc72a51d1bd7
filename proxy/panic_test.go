package proxy

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
)

// fuse makes connections to the upstream panic at one of their calls, whatever
// it is. It holds how many are left until then; below one it is out.
type fuse struct{ left atomic.Int64 }

// canaryPanic is what a panic says that holds a part of a request.
var canaryPanic = errors.New("AIzaCANARY in a panic")

func (f *fuse) burn() {
	if f.left.Add(-1) == 0 {
		panic(canaryPanic)
	}
}

// burning is a connection with a fuse.
type burning struct {
	net.Conn
	*fuse
}

func (c burning) Read(p []byte) (int, error)         { c.burn(); return c.Conn.Read(p) }
func (c burning) Write(p []byte) (int, error)        { c.burn(); return c.Conn.Write(p) }
func (c burning) SetDeadline(t time.Time) error      { c.burn(); return c.Conn.SetDeadline(t) }
func (c burning) SetReadDeadline(t time.Time) error  { c.burn(); return c.Conn.SetReadDeadline(t) }
func (c burning) SetWriteDeadline(t time.Time) error { c.burn(); return c.Conn.SetWriteDeadline(t) }

// failing is a server whose one connection to the upstream has a fuse.
type failing struct {
	*Server
	t    *testing.T
	fuse fuse
	dial func(addr string) (net.Conn, error)
	addr string
	log  *syncBuffer

	whole *watcher // what the server's was before a test took it away
}

// syncBuffer is a log.
type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// newFailing starts one; change is called before it serves.
func newFailing(t *testing.T, h upstream.Handler, handler func(io.Writer) slog.Handler, change func(*failing)) *failing {
	t.Helper()
	up, err := upstream.New(h)
	if err != nil {
		t.Fatal(err)
	}
	f := &failing{t: t, log: &syncBuffer{}}
	cfg := DefaultConfig()
	cfg.UpstreamURLBase, cfg.DebugMode, cfg.MaxConsecutiveFailures = up.URL(), true, 1
	cfg.RetryBaseDelay, cfg.MaxStreams = time.Millisecond, 1
	if f.Server, err = New(cfg, slog.New(handler(f.log))); err != nil {
		t.Fatal(err)
	}
	hc := f.state.Load().groups["default"].targets[0].conn.hc
	hc.MaxConns = 1
	f.dial = func(addr string) (net.Conn, error) {
		u := &upstreamConn{dial: func() (conn, below net.Conn, err error) {
			c, err := net.Dial("tcp", addr)
			b := burning{c, &f.fuse}
			return b, b, err
		}}
		return u, u.connect()
	}
	if change != nil {
		change(f)
	}
	hc.DialTimeout = func(addr string, _ time.Duration) (net.Conn, error) { return f.dial(addr) }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = l.Addr().String()
	go f.Serve(l)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		f.settled()
		f.watcher = cmp.Or(f.watcher, f.whole)
		f.Drain(ctx)
		if n := f.Running(); n != 0 {
			t.Errorf("%d requests run after the drain", n)
		}
		up.Close()
	})
	return f
}

// send sends a request on a connection of its own and returns the status, 0
// for none, the whole reply, and whether it came to its framed end.
func (f *failing) send(request string) (status int, reply string, whole bool) {
	f.t.Helper()
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	go io.WriteString(c, request)
	raw, err := io.ReadAll(c)
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() {
		f.t.Fatalf("hangs: %.80q, got %q", request, raw)
	}
	fmt.Sscanf(string(raw), "HTTP/1.1 %d", &status)
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	return status, string(raw), err == nil
}

// settled waits until no request runs.
func (f *failing) settled() {
	f.t.Helper()
	for end := time.Now().Add(20 * time.Second); f.Running() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("%d requests still run", f.Running())
		}
	}
}

func (f *failing) panicCount() (n int) {
	w := httptest.NewRecorder()
	f.Admin().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	_, after, _ := strings.Cut(w.Body.String(), "\ngemini_proxy_panics_total ")
	fmt.Sscan(after, &n)
	return n
}

func jsonLog(w io.Writer) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
}

// forms are requests that take different ways through the proxy.
var forms = map[string]string{
	"relay":        "GET /v1/models?alt=json HTTP/1.1\r\nHost: a\r\nx-goog-api-key: AIzaCANARY\r\nConnection: close\r\n\r\n",
	"unary":        post("/v1beta/models/m:generateContent", `{"contents":[{"role":"user","parts":[{"text":"CANARY"}]}]}`),
	"events":       post("/v1beta/models/m:streamGenerateContent?alt=sse", `{"contents":[{"role":"user","parts":[{"text":"CANARY"}]}]}`),
	"array":        post("/v1beta/models/m:streamGenerateContent", `{"contents":[{"role":"user","parts":[{"text":"CANARY"}]}]}`),
	"several":      post("/v1beta/models/m:streamGenerateContent?alt=sse", `{"contents":[],"generationConfig":{"candidateCount":2},"a":"CANARY"}`),
	"chat":         post("/v1beta/openai/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"CANARY"}]}`),
	"interactions": post("/v1beta/interactions", `{"model":"m","input":"CANARY","stream":true}`),
	"interaction":  post("/v1beta/interactions", `{"model":"m","input":"CANARY"}`),
	"upload": "POST /upload/v1beta/files HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" +
		"7d00\r\n" + strings.Repeat("CANARY--", 4000) + "\r\n0\r\n\r\n",
	"tunnel": "GET /ws/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
}

func post(target, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", target, len(body), body)
}

// answers answers all forms.
func answers(q *upstream.Request) upstream.Script {
	switch {
	case strings.HasPrefix(q.Target, "/ws/"):
		return upstream.Script{upstream.Wire("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nCANARY"), upstream.Cut()}
	case q.Method == "GET" || strings.HasPrefix(q.Target, "/upload/"):
		return upstream.Script{upstream.Send("CANARY "), upstream.Send("and more")}
	case strings.HasSuffix(q.Target, "/interactions"):
		return upstream.Script{upstream.Send("event: interaction.created\ndata: {\"interaction\":{\"id\":\"v1_a\",\"status\":\"in_progress\"},\"event_type\":\"interaction.created\"}\n\n"),
			upstream.Send("event: interaction.completed\ndata: {\"interaction\":{\"id\":\"v1_a\",\"status\":\"completed\"},\"event_type\":\"interaction.completed\",\"event_id\":\"e\"}\n\n" +
				"event: done\ndata: [DONE]\n\n")}
	}
	return upstream.Script{upstream.As(q.Surface()), upstream.Text("CANARY "), upstream.Text("and "), upstream.TextFinish("more", "STOP")}
}

// TestPanicAtEveryCall has the upstream's connection panic at its first call,
// then at its second, until a request gets through without. Each panic is one
// request's: its client is told or cut off, the one connection and the one
// place that there are come back, and what the panic says is logged nowhere.
func TestPanicAtEveryCall(t *testing.T) {
	for name, request := range forms {
		t.Run(name, func(t *testing.T) {
			f := newFailing(t, answers, jsonLog, nil)
			for call := int64(1); ; call++ {
				before := f.panicCount()
				f.fuse.left.Store(call)
				status, reply, whole := f.send(request)
				f.settled()
				burnt := f.fuse.left.Swap(0) <= 0
				if !burnt {
					if call < 3 { // a write and a read
						t.Errorf("only %d calls", call-1)
					}
					break
				}
				if got := f.panicCount() - before; got != 1 {
					t.Errorf("call %d: %d panics were counted", call, got)
				}
				if whole && status == 500 && strings.Contains(reply, "CANARY") {
					t.Errorf("call %d: %s", call, reply)
				}
				// The connection and the place are there for the next one.
				if status, reply, _ := f.send(forms["relay"]); status != 200 {
					t.Fatalf("call %d: afterwards %s", call, reply)
				}
				f.settled()
			}
			if log := f.log.String(); strings.Contains(log, "CANARY") || !strings.Contains(log, `"msg":"panic"`) {
				t.Errorf("the log:\n%s", log[:min(len(log), 4000)])
			}
		})
	}
}

// panicLog is a log whose every line panics.
type panicLog struct{ slog.Handler }

func (panicLog) Handle(context.Context, slog.Record) error { panic(canaryPanic) }

// TestPanicInLog loses lines, and nothing else.
func TestPanicInLog(t *testing.T) {
	f := newFailing(t, answers, func(w io.Writer) slog.Handler { return panicLog{jsonLog(w)} }, nil)
	for range 3 {
		for name, request := range forms {
			before := f.panicCount()
			want := 200
			if name == "tunnel" {
				want = 101
			}
			if status, reply, whole := f.send(request); status != want || !whole && want == 200 {
				t.Fatalf("%s: %v %s", name, whole, reply)
			}
			f.settled()
			if f.panicCount() == before {
				t.Errorf("%s: the panic was not counted", name)
			}
		}
		if status, reply, _ := f.send("garbage\r\n\r\n"); status != 400 {
			t.Errorf("garbage: %s", reply)
		}
	}
}

// TestPanicInDial is an upstream that could not be connected.
func TestPanicInDial(t *testing.T) {
	var good atomic.Bool
	f := newFailing(t, answers, jsonLog, func(f *failing) {
		dial := f.dial
		f.dial = func(addr string) (net.Conn, error) {
			if good.Load() {
				return dial(addr)
			}
			return &upstreamConn{dial: func() (net.Conn, net.Conn, error) { panic(canaryPanic) }}, nil
		}
	})
	for name, request := range forms {
		if status, reply, whole := f.send(request); status != 500 || !whole || strings.Contains(reply, "CANARY") {
			t.Errorf("%s: %s", name, reply)
		}
	}
	f.settled()
	good.Store(true)
	if status, reply, _ := f.send(forms["relay"]); status != 200 {
		t.Errorf("afterwards %s", reply)
	}
	if log := f.log.String(); strings.Contains(log, "CANARY") {
		t.Error("the log holds what the panic said")
	}
}

// TestPanicWhileDialing panics where the connection is waited for: its place, the
// only one, is not lost.
func TestPanicWhileDialing(t *testing.T) {
	var good atomic.Bool
	f := newFailing(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}), jsonLog, func(f *failing) {
		f.whole, f.watcher = f.watcher, nil
		dial := f.dial
		f.dial = func(addr string) (net.Conn, error) {
			if good.Load() {
				return dial(addr)
			}
			return &upstreamConn{dial: func() (conn, below net.Conn, err error) {
				conn, err = dial(addr)
				return conn, conn, err
			}}, nil
		}
	})
	if status, reply, _ := f.send(forms["relay"]); status != 500 {
		t.Fatal(reply)
	}
	f.settled()
	good.Store(true)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		status, reply, _ := f.send("GET /v1/size HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if status == 200 {
			break
		} else if time.Now().After(end) {
			t.Fatal(reply)
		}
	}
}

// TestPanicBehindTheBody panics between a response's being handed to fasthttp and the
// handler's end: whoever closes the body has ended the request.
func TestPanicBehindTheBody(t *testing.T) {
	const size = "GET /v1/size HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	f := newFailing(t, func(q *upstream.Request) upstream.Script {
		if q.Target == "/v1/size" {
			return upstream.Script{upstream.Status(200, nil, "{}")}
		}
		return answers(q)
	}, jsonLog, func(f *failing) {
		// Watching is what is done there, for an answer of unknown size.
		f.whole, f.watcher = f.watcher, nil
	})
	status, reply, whole := f.send(forms["relay"])
	f.settled()
	if status != 500 || !whole || f.panicCount() != 1 {
		t.Errorf("%d panics, %s", f.panicCount(), reply)
	}
	for range 3 {
		if status, reply, _ := f.send(size); status != 200 {
			t.Fatalf("afterwards %s", reply)
		}
	}
	f.settled()
	if n := strings.Count(f.log.String(), `"msg":"request"`); n != 4 {
		t.Errorf("%d lines for 4 requests", n)
	}
}
