package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// TestUnaryOfAHugeAnswer takes 128 MiB in constant memory: more than is held is
// given as it comes.
func TestUnaryOfAHugeAnswer(t *testing.T) {
	const piece, pieces = 1 << 20, 128
	text := strings.Repeat("x", piece)
	begin := `{"candidates": [{"content": {"parts": [{"text": "`
	end := `"}],"role": "model"},"finishReason": "STOP","index": 0}]}`
	f := func(via bool, steps upstream.Script) {
		t.Helper()
		r := newRig(t, upstream.Always(steps), func(c *proxy.Config) { c.UnaryViaStream = via })
		var before, during peak
		before.look()
		req, _ := http.NewRequest("POST", "http://"+r.addr+unaryPath, strings.NewReader(ask("hi")))
		resp, err := new(http.Transport).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		n := int64(0)
		for err == nil {
			var m int64
			m, err = io.CopyN(io.Discard, resp.Body, 16<<20)
			n += m
			during.look()
		}
		resp.Body.Close()
		if n < piece*pieces || err != io.EOF || resp.StatusCode != 200 {
			t.Errorf("%d %d bytes, %v", resp.StatusCode, n, err)
		}
		during.since(t, before)
		r.stop()
	}
	body := upstream.Send(text)
	for _, framing := range []upstream.Framing{upstream.Length(int64(len(begin) + len(end) + piece*pieces)), upstream.Chunked} {
		script := steps(upstream.Head(200, framing, "Content-Type", "application/json"), upstream.Send(begin))
		for range pieces {
			script = append(script, body)
		}
		f(false, append(script, upstream.Send(end)))
	}
	event := upstream.Send(sse(begin + text + `"}],"role": "model"},"index": 0}]}`))
	var script upstream.Script
	for range pieces {
		script = append(script, event)
	}
	f(true, append(script, upstream.Send(sse(begin+end))))
}

// TestUnaryClientThatNeverReads does not hold its answer for ever.
func TestUnaryClientThatNeverReads(t *testing.T) {
	r := newRig(t, upstream.Always(steps(json200(docOf(strings.Repeat("x", 3<<20), "STOP")))), func(c *proxy.Config) { c.ClientStallTimeout = 200 * time.Millisecond })
	w := r.wire()
	w.SetReadBuffer(4 << 10)
	body := ask("hi")
	w.send("POST " + unaryPath + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n" + body)
	r.arrived(0)
	r.idle()
	if log := r.log.String(); r.server.Running() > 0 || !strings.Contains(log, `"msg":"request"`) {
		t.Error("the request still runs")
	}
}

// TestUnaryDrain ends what waits for an answer with a status.
func TestUnaryDrain(t *testing.T) {
	r := newRig(t, upstream.Always(append(chunked200(docOf(first, "STOP")[:80], 0), upstream.Stall())), nil)
	body := ask("hi")
	w := r.begin("POST " + unaryPath + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n" + body)
	done := r.drain(50 * time.Millisecond)
	if _, got := w.wants("POST", 503); !strings.Contains(got, "the proxy is shutting down") {
		t.Errorf("%s", got)
	}
	r.drained(done)
}
