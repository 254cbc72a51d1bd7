package proxy_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

func TestRelayAnyMethod(t *testing.T) {
	r := newRig(t, plain, nil)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND", "X"} {
		r.up.Reset()
		w := r.wire()
		w.send(method + " /v1beta/files/x HTTP/1.1\r\nHost: a\r\n\r\n")
		w.wants(method, 200)
		if q := r.arrived(0); q.Method != method || q.Target != "/v1beta/files/x" {
			t.Errorf("%s arrived as %s %s", method, q.Method, q.Target)
		}
	}
}

func TestRelayAnyStatus(t *testing.T) {
	r := newRig(t, plain, nil)
	f := func(code int, header map[string]string, body string) {
		t.Helper()
		r.up.Reset()
		r.up.SetHandler(upstream.Always(upstream.Script{upstream.Status(code, header, body)}))
		resp, got, err := r.do("GET", "/v1/x", "")
		if err != nil {
			t.Errorf("%d: %v", code, err)
			return
		}
		if resp.StatusCode != code || got != body || r.up.Count() != 1 {
			t.Errorf("%d %q: got %d %q, %d requests", code, body, resp.StatusCode, got, r.up.Count())
		}
		for name, value := range header {
			if resp.Header.Get(name) != value {
				t.Errorf("%d: %s: %q, want %q", code, name, resp.Header.Get(name), value)
			}
		}
	}
	for _, code := range []int{200, 201, 202, 203, 400, 401, 403, 404, 409, 412, 416, 418, 429, 451, 500, 501, 502, 503, 504, 599} {
		f(code, nil, fmt.Sprintf(`{"error":{"code":%d}}`, code))
	}
	f(200, nil, "")
	f(204, map[string]string{"ETag": "x"}, "")
	f(304, map[string]string{"ETag": "x"}, "")
	f(206, map[string]string{"Content-Range": "bytes 0-2/10", "Content-Type": "text/plain"}, "abc")
	for _, code := range []int{300, 301, 302, 303, 307, 308} {
		f(code, map[string]string{"Location": "http://" + r.up.Addr() + "/elsewhere"}, "moved")
	}
	f(429, map[string]string{"Retry-After": "1"}, "{}")
}

// TestRelayHead answers HEAD: the length is that of the body which is not
// there, and the connections on both sides can go on.
func TestRelayHead(t *testing.T) {
	r := newRig(t, upstream.Always(upstream.Script{upstream.Status(200, map[string]string{"X-A": "b"}, strings.Repeat("x", 1234))}), nil)
	w := r.wire()
	for range 3 {
		w.send("HEAD /v1/x HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, body := w.wants("HEAD", 200)
		if resp.ContentLength != 1234 || body != "" || resp.Header.Get("X-A") != "b" || resp.TransferEncoding != nil {
			t.Errorf("length %d, body %q, %v", resp.ContentLength, body, resp.Header)
		}
	}
	if q := r.up.Requests(); len(q) != 3 || q[2].Conn != q[0].Conn {
		t.Error("the upstream connection was not used again")
	}
}

// TestRelayBody checks all ways to frame a body, whole and cut. What was cut
// must not look whole to the client.
func TestRelayBody(t *testing.T) {
	r := newRig(t, plain, nil)
	f := func(name, want string, whole bool, steps ...upstream.Step) {
		t.Helper()
		r.up.SetHandler(upstream.Always(upstream.Script(steps)))
		resp, got, err := r.do("GET", "/v1/x", "")
		if resp == nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if got != want || (err == nil) != whole || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: got %d bytes and %v, want %d bytes, whole %v", name, len(got), err, len(want), whole)
		}
	}
	long := strings.Repeat("0123456789", 30_000)
	chunked, closing := upstream.Head(200, upstream.Chunked), upstream.Head(200, upstream.UntilClose)
	length := func(n int) upstream.Step { return upstream.Head(200, upstream.Length(int64(n))) }
	for _, body := range []string{"x", "hello", long} {
		f("length", body, true, length(len(body)), upstream.Send(body))
		f("length in two", body, true, length(len(body)), upstream.Send(body[:len(body)/2]), upstream.Send(body[len(body)/2:]))
		f("length sliced", body, true, length(len(body)), upstream.Sliced(1000, upstream.Send(body)))
		f("chunked", body, true, chunked, upstream.Send(body))
		f("chunked sliced", body, true, chunked, upstream.Sliced(997, upstream.Send(body)))
		f("until close", body, true, closing, upstream.Send(body))
		f("chunked, cut between chunks", body, false, chunked, upstream.Send(body), upstream.Cut())
		f("chunked, reset between chunks", body, false, chunked, upstream.Send(body), upstream.Reset())
		f("chunked, cut before the last line", body, false, chunked, upstream.Send(body), upstream.Wire("0\r\n"), upstream.Cut())
		f("chunked, cut in a size line", body, false, chunked, upstream.Send(body), upstream.Wire("1"), upstream.Cut())
		f("chunked, malformed", body, false, chunked, upstream.Send(body), upstream.Wire("zz\r\n\r\n"))
		f("length, cut", body, false, length(len(body)+1), upstream.Send(body), upstream.Cut())
		f("length, reset", body, false, length(len(body)+1), upstream.Send(body), upstream.Reset())
	}
	f("chunked, empty", "", true, chunked)
	f("length zero", "", true, length(0))
	f("until close, empty", "", true, closing)
	f("chunked, cut in data", "abc", false, chunked, upstream.Wire("5\r\nabc"), upstream.Cut())
	f("chunked, cut at once", "", false, chunked, upstream.Cut())
	f("chunked with trailer", "abc", true, chunked, upstream.Wire("3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"), upstream.Cut())
}

// TestRelayFirstChunk: a response of which nothing can be read but its head is
// none, on any surface that relays it. The head leaves at once where something may
// still come.
func TestRelayFirstChunk(t *testing.T) {
	r := newRig(t, nil, nil)
	head := func(code int) string {
		return fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", code)
	}
	for _, bad := range []string{"zz\r\n\r\n", "\r\n", "-1\r\nx", "5\nhello\r\n0\r\n\r\n", "0\r\nX: y\n\r\n", "5;a\rb\r\nhello", strings.Repeat("0", 100) + "1\r\nx", "5;" + strings.Repeat("x", 8000)} {
		r.up.SetHandler(func(q *upstream.Request) upstream.Script {
			return upstream.Script{upstream.Wire(head(map[bool]int{true: 200, false: 400}[strings.HasPrefix(q.Target, "/v1/")]) + bad)}
		})
		for _, target := range []string{"/v1/x", streamPath, "/v1beta/models/m:generateContent", "/v1beta/openai/chat/completions", interPath} {
			resp, got, err := r.post(target, `{"contents":[{"parts":[{"text":"x"}]}],"messages":[{"role":"user","content":"x"}],"stream":true}`)
			if err != nil || resp.StatusCode != 502 || !strings.Contains(got, `"status": "UNAVAILABLE"`) || !strings.Contains(got, "cannot be read") {
				t.Errorf("%.20q, %s: %v, %q, %v", bad, target, resp, got, err)
			}
		}
	}
	r.idle()
	for begun, want := range map[string]string{"5": "", "5;a=b": "", "5\r\n": "", "5\r\nhe": "he", "5\r\nhellozz": "hello"} {
		r.up.SetHandler(upstream.Always(upstream.Script{upstream.Wire(head(200) + begun), upstream.Cut()}))
		resp, got, err := r.post("/v1/x", "{}")
		if resp == nil || resp.StatusCode != 200 || got != want || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v, %q, %v", begun, resp, got, err)
		}
	}
}

// TestRelayKeepsCoding passes a coded body on untouched.
func TestRelayKeepsCoding(t *testing.T) {
	r := newRig(t, upstream.Always(upstream.Script{upstream.Gzip(), upstream.Head(200, upstream.Chunked), upstream.Send("hello hello hello")}), nil)
	resp, got, err := r.do("GET", "/v1/x", "", "Accept-Encoding", "gzip")
	if err != nil || resp.Header.Get("Content-Encoding") != "gzip" {
		t.Fatal(resp, err)
	}
	zr, err := gzip.NewReader(strings.NewReader(got))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(zr); string(plain) != "hello hello hello" || err != nil {
		t.Errorf("%q, %v", plain, err)
	}
}

// TestRelayTrailingBytes: what comes behind a body is nobody's answer, and the
// connection on which it came serves no other request.
func TestRelayTrailingBytes(t *testing.T) {
	evil := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
	r := newRig(t, plain, nil)
	f := func(name string, first ...upstream.Step) {
		t.Helper()
		r.up.Reset()
		sent := make(chan struct{})
		first = append(first, upstream.Do(func(*upstream.Request) { close(sent) }), upstream.Stall())
		r.up.SetHandler(upstream.InTurn(upstream.Script(first), upstream.Script{upstream.Status(200, nil, "good")}))
		w := r.wire()
		for i, want := range []string{"abc", "good", "good"} {
			w.send("GET /v1/" + itoa(i) + " HTTP/1.1\r\nHost: a\r\n\r\n")
			if _, body := w.wants("GET", 200); body != want {
				t.Errorf("%s, answer %d: %q, want %q", name, i, body, want)
			}
			// What comes behind the next request is an answer to that.
			r.await("all is sent", sent)
		}
		if q := r.up.Requests(); q[0].Conn == q[1].Conn {
			t.Errorf("%s: the connection was used again", name)
		}
	}
	f("length", upstream.Wire("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"+evil))
	f("chunked", upstream.Wire("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"+evil))
	f("length, later", upstream.Wire("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), upstream.Wire(evil))
}

// TestRelayInterim skips interim responses and refuses a switch of protocols,
// a flood, and heads that cannot be read.
func TestRelayInterim(t *testing.T) {
	r := newRig(t, plain, nil)
	f := func(name string, status int, steps ...upstream.Step) {
		t.Helper()
		r.up.SetHandler(upstream.Always(upstream.Script(steps)))
		resp, body, err := r.do("GET", "/v1/x", "")
		if err != nil || resp.StatusCode != status {
			t.Errorf("%s: %v %v %q, want %d", name, resp, err, body, status)
		}
	}
	done := upstream.Status(200, nil, "{}")
	interim := upstream.Wire("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
	whole := upstream.Wire("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	f("100", 200, upstream.Head(100, upstream.Chunked), done)
	f("103 twice", 200, interim, interim, whole)
	flood := make([]upstream.Step, 0, 101)
	for range 100 {
		flood = append(flood, interim)
	}
	f("flood", 502, append(flood, whole)...)
	f("101", 502, upstream.Wire("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"), upstream.Stall())
	f("garbage", 502, upstream.Wire("\x16\x03\x01garbage\r\n\r\n"))
	f("no head", 502, upstream.Cut())
	f("reset", 502, upstream.Reset())
	f("half a head", 502, upstream.Wire("HTTP/1.1 200 OK\r\nContent-"), upstream.Cut())
	f("huge head", 502, upstream.Wire("HTTP/1.1 200 OK\r\nX-A: "+strings.Repeat("a", 40<<10)+"\r\n\r\n"))
	f("large head", 200, upstream.Wire("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: "+strings.Repeat("a", 30<<10)+"\r\n\r\n{}"))
	f("two lengths", 502, upstream.Wire("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), upstream.Stall())
	f("204 with body", 204, upstream.Wire("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"))
	f("both framings", 200, upstream.Wire("HTTP/1.1 200 OK\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"))
}

// TestRelayStreamsBothWays talks like a telephone: each side speaks only after
// it has heard the other.
func TestRelayStreamsBothWays(t *testing.T) {
	r := newRig(t, plain, nil)
	heard, said := make(chan string, 10), make(chan struct{})
	r.up.SetStreamer(func(q *upstream.Request, body io.Reader) upstream.Script {
		buf := make([]byte, 5)
		for range 3 {
			if _, err := io.ReadFull(body, buf); err != nil {
				heard <- err.Error()
				return upstream.Script{upstream.Cut()}
			}
			heard <- string(buf)
		}
		return upstream.Script{
			upstream.Head(200, upstream.Chunked), upstream.Send("first"), upstream.Hold(said), upstream.Send("second"),
		}
	})
	w := r.wire()
	w.send("POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	for _, word := range []string{"one  ", "two  ", "three"} {
		w.send("5\r\n" + word + "\r\n")
		if got := <-heard; got != word {
			t.Fatalf("the upstream heard %q, want %q", got, word)
		}
	}
	w.send("0\r\n\r\n")
	head := readHead(t, w)
	buf := make([]byte, len("5\r\nfirst\r\n"))
	if _, err := io.ReadFull(w.r, buf); err != nil || string(buf) != "5\r\nfirst\r\n" {
		t.Fatalf("%q %v after %q", buf, err, head)
	}
	close(said)
	rest := make([]byte, len("6\r\nsecond\r\n0\r\n\r\n"))
	if _, err := io.ReadFull(w.r, rest); err != nil || !bytes.HasPrefix(rest, []byte("6\r\nsecond")) {
		t.Fatalf("%q %v", rest, err)
	}
}

// TestRelayOff relays what would be healed when healing is switched off.
func TestRelayOff(t *testing.T) {
	r := newRig(t, upstream.Always(upstream.Script{upstream.Text("half "), upstream.Cut()}), func(c *proxy.Config) { c.MaxConsecutiveFailures = 0 })
	_, body, err := r.post(streamPath, ask("hi"))
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(body, "half ") || r.up.Count() != 1 {
		t.Errorf("%v, %d requests, %q", err, r.up.Count(), body)
	}
}

// The head of a response may come slowly, as long as it comes in time.
func TestSlowResponseHeadIsWaitedFor(t *testing.T) {
	first, second := make(chan struct{}), make(chan struct{})
	r := newRig(t, upstream.Always(upstream.Script{
		upstream.Wire("HTTP/1.1 200 O"), upstream.Do(func(*upstream.Request) { close(first) }), upstream.Hold(second),
		upstream.Wire("K\r\nContent-Length: 2\r\n\r\nhi"), upstream.Close(),
	}), nil)
	go func() {
		<-first
		// Longer than a client is left unwatched.
		<-time.After(120 * time.Millisecond)
		close(second)
	}()
	if _, body, err := r.do("GET", "/v1beta/models", ""); err != nil || body != "hi" {
		t.Errorf("%q, %v", body, err)
	}
}

// TestRelayEverySize: a response has no size at which some of it is kept back,
// or comes twice, on a connection that is used again and on one that is not.
func TestRelayEverySize(t *testing.T) {
	var size int
	r := newRig(t, func(*upstream.Request) upstream.Script {
		return upstream.Script{upstream.Status(200, nil, strings.Repeat("x", size))}
	}, nil)
	c := r.dial()
	in := reader(c)
	for size = range 1300 {
		io.WriteString(c, "GET /v1beta/models HTTP/1.1\r\nHost: x\r\n\r\n")
		c.SetReadDeadline(time.Now().Add(patience))
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(size, err)
		}
		if b, err := io.ReadAll(resp.Body); len(b) != size || err != nil {
			t.Fatal(size, len(b), err)
		}
		if size%7 == 0 {
			if _, body, err := r.do("GET", "/v1beta/models", ""); err != nil || len(body) != size {
				t.Fatal(size, len(body), err)
			}
		}
	}
}
