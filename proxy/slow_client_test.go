package proxy_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// TestClientThatNeverReads is cut off, and its upstream connection with it.
func TestClientThatNeverReads(t *testing.T) {
	f := func(name, request string, first, piece upstream.Step) {
		t.Helper()
		steps := upstream.Script{first}
		for range 400 {
			steps = append(steps, piece)
		}
		r := newRig(t, upstream.Always(steps), func(c *proxy.Config) { c.ClientStallTimeout = 200 * time.Millisecond })
		w := r.wire()
		w.send(request)
		r.await(name+": the upstream to be left", r.arrived(0).Gone)
		r.idle()
		if log := r.log.String(); !strings.Contains(log, "the client did not take what was written in time") {
			t.Errorf("%s: the log does not say why", name)
		}
		w.Close()
		r.stop()
	}
	body := ask("hi")
	bulk := strings.Repeat("x", 128<<10)
	f("relay", "GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n", upstream.Head(200, upstream.Chunked), upstream.Send(bulk))
	f("relay, length", "GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n", upstream.Head(200, upstream.Length(400<<17)), upstream.Send(bulk))
	f("heal", "POST "+streamPath+" HTTP/1.1\r\nHost: a\r\nContent-Length: "+itoa(len(body))+"\r\n\r\n"+body, upstream.Text("begin"), upstream.Text(bulk))
}

// TestSlowReader takes the bytes slowly but takes them: it gets all of them.
func TestSlowReader(t *testing.T) {
	piece := upstream.Send(make([]byte, 1<<20))
	r := newRig(t, upstream.Always(upstream.Script{upstream.Head(200, upstream.Length(12<<20)), piece, piece, piece, piece, piece, piece, piece, piece, piece, piece, piece, piece}),
		func(c *proxy.Config) { c.ClientStallTimeout = 400 * time.Millisecond })
	w := r.wire()
	w.SetReadBuffer(64 << 10)
	w.send("GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n")
	readHead(t, w)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for left := int64(12 << 20); left > 0; <-tick.C {
		n, err := io.CopyN(io.Discard, w.r, min(left, 128<<10))
		if left -= n; err != nil {
			t.Fatalf("%d bytes missing: %v", left, err)
		}
	}
}

// TestSlowHead gives a request head CLIENT_HEADER_TIMEOUT as a whole.
func TestSlowHead(t *testing.T) {
	r := newRig(t, plain, func(c *proxy.Config) { c.ClientHeaderTimeout = 150 * time.Millisecond })
	w := r.wire()
	w.send("GET /v1/x HTTP/1.1\r\nHo")
	w.wants("GET", 408)
	if !w.closed() {
		t.Error("still open")
	}
	w = r.wire()
	w.drip("GET /v1/x HTTP/1.1\r\nHost: a\r\nX-A: "+strings.Repeat("a", 10000), 1, 10*time.Millisecond)
	w.wants("GET", 408)
	// A connection without a request is closed, too.
	if b, err := io.ReadAll(r.wire()); isHang(err) {
		t.Errorf("silent connection: %q, %v", b, err)
	}
	if r.up.Count() != 0 {
		t.Error("a request arrived")
	}
}

// TestIdleIsNotSlow lets a connection be idle between two requests for longer
// than a head may take, and then judges the next head by its own time.
func TestIdleIsNotSlow(t *testing.T) {
	const patience = 150 * time.Millisecond
	r := newRig(t, plain, func(c *proxy.Config) { c.ClientHeaderTimeout = patience })
	w := r.wire()
	for range 3 {
		w.send("GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n")
		w.wants("GET", 200)
		<-time.After(2 * patience)
	}
	begun := time.Now()
	w.send("GET /v1/x HTTP/1.1\r\nHo")
	w.wants("GET", 408)
	if took := time.Since(begun); took < patience {
		t.Errorf("it had %v", took)
	}
	if !w.closed() {
		t.Error("still open")
	}
}

// drip sends s in pieces of n bytes, from another goroutine, until the peer
// takes no more.
func (w *wire) drip(s string, n int, every time.Duration) {
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for ; s != ""; <-tick.C {
			m := min(n, len(s))
			if _, err := io.WriteString(w.TCPConn, s[:m]); err != nil {
				return
			}
			s = s[m:]
		}
	}()
}

// TestSlowBody: a body must make progress, and then may take its time.
func TestSlowBody(t *testing.T) {
	m := &upstream.Model{Answer: "ok"}
	r := newRig(t, func(q *upstream.Request) upstream.Script {
		if strings.Contains(q.Target, "stream") {
			return m.Handle(q)
		}
		return plain(q)
	}, func(c *proxy.Config) { c.ClientStallTimeout = 300 * time.Millisecond })
	body := ask(strings.Repeat("x", 20<<10))
	const kind = " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
	length := "Content-Length: " + itoa(len(body)) + "\r\n\r\n"
	t.Run("all", func(t *testing.T) {
		f := func(name string, status, n int, every time.Duration, head, body string) {
			for _, target := range []string{streamPath, "/v1/m:countTokens"} {
				t.Run(name+" "+target, func(t *testing.T) {
					t.Parallel()
					w := r.wire()
					w.t = t
					w.send("POST " + target + kind + head)
					w.drip(body, n, every)
					w.wants("POST", status)
					if status != 200 && !w.closed() {
						t.Error("still open")
					}
				})
			}
		}
		const chunked = "Transfer-Encoding: chunked\r\n\r\n"
		f("a byte at a time", 408, 1, 10*time.Millisecond, length, body)
		f("silence in the middle", 408, 9000, time.Hour, length, body)
		f("silence from the start", 408, 1, time.Hour, length, "")
		f("chunked, a byte at a time", 408, 1, 10*time.Millisecond, chunked, "fff\r\n"+body)
		f("chunked, the end is missing", 408, 30000, time.Hour, chunked, "2\r\n{}\r\n")
		f("chunked, the last line is missing", 408, 30000, time.Hour, chunked, "2\r\n{}\r\n0\r\n")
		f("steps", 200, 1<<10, 20*time.Millisecond, length, body)
	})
	if n := r.up.Count(); n != 2 {
		t.Errorf("%d requests arrived, want the two that took their time", n)
	}
}

// TestSlowUpload stalls an upload that is already on its way upstream.
func TestSlowUpload(t *testing.T) {
	r := newRig(t, plain, func(c *proxy.Config) { c.ClientStallTimeout = 200 * time.Millisecond })
	w := r.wire()
	w.send(media + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	w.wants("POST", 408)
	if !w.closed() {
		t.Error("still open")
	}
	if q := r.arrived(0); q.BodyErr == nil {
		t.Error("the upload arrived as a whole one")
	}
}

// TestSilentUpstream ends a relayed request whose answer does not begin, and
// one whose answer does not go on.
func TestSilentUpstream(t *testing.T) {
	r := newRig(t, upstream.Always(upstream.Script{upstream.Stall()}), func(c *proxy.Config) {
		c.FirstEventTimeout, c.StallTimeout = 200*time.Millisecond, 200*time.Millisecond
	})
	resp, body, err := r.do("GET", "/v1/x?key=AIzaCANARY", "")
	if err != nil || resp.StatusCode != 504 || !strings.Contains(body, `group \"default\"`) {
		t.Errorf("%v %v %s", resp, err, body)
	}
	r.await("the upstream to be left", r.arrived(0).Gone)
	r.up.SetHandler(upstream.Always(upstream.Script{upstream.Head(200, upstream.Chunked), upstream.Send("abc"), upstream.Stall()}))
	if resp, body, err = r.do("GET", "/v1/x", ""); err == nil || body != "abc" {
		t.Errorf("%v %v %q", resp, err, body)
	}
}

// TestClientLeavesSilence leaves while nothing moves: the upstream connection
// must not live on.
func TestClientLeavesSilence(t *testing.T) {
	r := newRig(t, upstream.Always(upstream.Script{upstream.Stall()}), nil)
	body := ask("hi")
	for i, request := range []string{
		"GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /v1/m:countTokens HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
		"POST " + streamPath + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n" + body,
	} {
		w := r.wire()
		w.send(request)
		q := r.arrived(i)
		w.Close()
		r.await("the upstream to be left", q.Gone)
	}
	r.idle()
	if n := strings.Count(r.log.String(), `"note":"client has left"`); n != 3 {
		t.Errorf("the log says %d times that the client has left", n)
	}
}

// TestUnreachable names the group, but neither the URL nor the key.
func TestUnreachable(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	f := func(base string, status int) {
		t.Helper()
		r := newRig(t, plain, func(c *proxy.Config) {
			c.UpstreamURLBase = base + "/secret-path"
			c.GroupMapping = map[string]string{"default": "", "blue": "/blue-path"}
			c.ConnectTimeout = 200 * time.Millisecond
			c.MaxConsecutiveFailures = 1
		})
		for _, target := range []string{"/v1/x?key=blue:AIzaCANARY", streamPath + "&key=blue:AIzaCANARY"} {
			resp, body, err := r.post(target, ask("hi"))
			if err != nil || resp.StatusCode != status {
				t.Errorf("%s: %v %v", base, resp, err)
			}
			if !strings.Contains(body, `group \"blue\"`) || !strings.Contains(body, `"code": `+itoa(status)) || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
				t.Errorf("%s: %s", base, body)
			}
			for _, never := range []string{"AIzaCANARY", "secret-path", "blue-path", "127.0.0.1", "example", "http"} {
				if strings.Contains(body, never) {
					t.Errorf("%s: the body says %q: %s", base, never, body)
				}
			}
		}
		r.stop()
	}
	f("http://"+refusing(t), 502)
	f("https://"+mute.Addr().String(), 504)
	f("http://host.invalid", 502)
}
