package proxy_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// drain begins a drain that ends what still runs after grace. done is closed
// when it is over.
func (r *rig) drain(grace time.Duration) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		r.server.Drain(ctx)
	}()
	return done
}

// drained waits for the end of a drain and of Serve.
func (r *rig) drained(done chan struct{}) {
	r.t.Helper()
	r.await("the drain", done)
	if err := <-r.served; err != nil {
		r.t.Errorf("Serve: %v", err)
	}
	if n := r.server.Running(); n != 0 {
		r.t.Errorf("%d requests still run", n)
	}
	r.once.Do(r.up.Close)
}

// begin sends a request of the given kind on a connection of its own.
func (r *rig) begin(request string) *wire {
	r.t.Helper()
	n := r.up.Count()
	w := r.wire()
	w.send(request)
	r.arrived(n)
	return w
}

const getRequest = "GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n"

func streamRequest(body string) string {
	return "POST " + streamPath + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n" + body
}

// TestDrainLetsFinish: what runs when the drain begins comes to its end, and
// nothing new is accepted.
func TestDrainLetsFinish(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, func(q *upstream.Request) upstream.Script {
		if q.Method == "GET" {
			return upstream.Script{upstream.Head(200, upstream.Chunked), upstream.Send("one "), upstream.Hold(release), upstream.Send("two")}
		}
		return upstream.Script{upstream.Text("one "), upstream.Hold(release), upstream.TextFinish("two", "STOP")}
	}, nil)
	var relays, streams []*wire
	for range 10 {
		relays = append(relays, r.begin(getRequest))
		streams = append(streams, r.begin(streamRequest(ask("hi"))))
	}
	silent := r.wire() // connected, and has said nothing
	done := r.drain(time.Hour)
	refused := func() bool {
		c, err := net.Dial("tcp", r.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	}
	if !eventually(refused) {
		t.Error("new connections are still accepted")
	}
	close(release)
	for i := range relays {
		if _, body := relays[i].wants("GET", 200); body != "one two" {
			t.Errorf("relayed: %q", body)
		}
		if _, body := streams[i].wants("POST", 200); !strings.Contains(body, "two") || !strings.Contains(body, "STOP") {
			t.Errorf("healed: %q", body)
		}
		// Their connections serve no other request.
		if !relays[i].closed() || !streams[i].closed() {
			t.Error("a connection outlives the drain")
		}
	}
	r.drained(done)
	if !silent.closed() {
		t.Error("a silent connection outlives the drain")
	}
}

// TestDrainClosesIdle ends connections that wait for another request, and says
// close in answers that are given while it lasts.
func TestDrainClosesIdle(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, func(q *upstream.Request) upstream.Script {
		if strings.Contains(q.Target, "wait") {
			return upstream.Script{upstream.Hold(release), upstream.Status(200, nil, "{}")}
		}
		return plain(q)
	}, nil)
	idle := r.wire()
	idle.send(getRequest)
	idle.wants("GET", 200)
	busy := r.begin("GET /v1/wait HTTP/1.1\r\nHost: a\r\n\r\n" + getRequest)
	done := r.drain(time.Hour)
	if !idle.closed() {
		t.Error("the idle connection stays open")
	}
	close(release)
	if resp, _ := busy.wants("GET", 200); !resp.Close {
		t.Error("no close in an answer given while draining")
	}
	if !busy.closed() {
		t.Error("another request was served while draining")
	}
	r.drained(done)
	if n := r.up.Count(); n != 2 {
		t.Errorf("%d requests arrived", n)
	}
}

// TestDrainEndsTheRest: after the grace, streams end as broken ones do and what
// has not begun is refused.
func TestDrainEndsTheRest(t *testing.T) {
	r := newRig(t, func(q *upstream.Request) upstream.Script {
		switch {
		case strings.Contains(q.Target, "silent"):
			return upstream.Script{upstream.Stall()}
		case q.Method == "GET":
			return upstream.Script{upstream.Head(200, upstream.Chunked), upstream.Send("half"), upstream.Stall()}
		}
		return upstream.Script{upstream.Text("half an answer"), upstream.Stall()}
	}, func(c *proxy.Config) { c.RetryBaseDelay, c.RetryMaxDelay = time.Hour, time.Hour })
	relay, stream := r.begin(getRequest), r.begin(streamRequest(ask("hi")))
	silent := r.begin("GET /v1/silent HTTP/1.1\r\nHost: a\r\n\r\n")
	mute := r.begin(strings.Replace(streamRequest(ask("hi")), "gemini-2.5-flash", "silent", 1))
	upload := r.wire()
	upload.send(media + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	body := r.wire()
	body.send(strings.Replace(streamRequest(ask("hi")), "\r\n\r\n", "\r\nX-Last: 1\r\n\r\n", 1)[:200])
	if !eventually(func() bool { return r.server.Running() == 6 }) {
		t.Fatalf("%d requests run", r.server.Running())
	}
	readHead(t, relay)
	head := readHead(t, stream)
	done := r.drain(50 * time.Millisecond)
	rest, err := io.ReadAll(stream.r)
	text := string(rest)
	if err != nil || !strings.Contains(text, "half an answer") || strings.Contains(text, "STOP") ||
		strings.Count(text, "shutting down") != 2 || !strings.HasSuffix(text, "0\r\n\r\n") {
		t.Errorf("%v %s%s", err, head, text)
	}
	if rest, _ := io.ReadAll(relay.r); strings.HasSuffix(string(rest), "0\r\n\r\n") {
		t.Errorf("a relayed answer ended as if it were whole: %q", rest)
	}
	for name, w := range map[string]*wire{"silent relay": silent, "silent stream": mute, "upload": upload, "body": body} {
		w.t = t
		if resp, got, err := w.reply("POST"); err != nil || resp.StatusCode != 503 || !strings.Contains(got, "shutting down") {
			t.Errorf("%s: %v %v %q", name, resp, err, got)
		}
	}
	r.drained(done)
}

// TestNothingIsLeft looks for goroutines and connections after all kinds of
// ends.
func TestNothingIsLeft(t *testing.T) {
	before := ours()
	r := newRig(t, func(q *upstream.Request) upstream.Script {
		switch {
		case strings.Contains(q.Target, "cut"):
			return upstream.Script{upstream.Head(200, upstream.Chunked), upstream.Send("x"), upstream.Cut()}
		case strings.Contains(q.Target, "stall"):
			return upstream.Script{upstream.Head(200, upstream.Chunked), upstream.Send("x"), upstream.Stall()}
		case q.Method == "POST":
			return upstream.Script{upstream.Text("a"), upstream.Reset()}
		}
		return plain(q)
	}, func(c *proxy.Config) { c.MaxConsecutiveFailures = 1 })
	for range 20 {
		r.do("GET", "/v1/x", "")
		r.do("GET", "/v1/cut", "")
		r.post(streamPath, ask("hi"))
		r.refusal("GET /v1/%2e%2e/ HTTP/1.1\r\nHost: a\r\n\r\n")
		w := r.begin("GET /v1/stall HTTP/1.1\r\nHost: a\r\n\r\n")
		readHead(t, w)
		w.Close()
		w = r.wire()
		w.send(media + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		w.SetLinger(0)
		w.Close()
	}
	r.idle()
	if !r.up.Await(patience, func() bool { return r.up.Live() == 0 }) {
		t.Errorf("%d requests live on upstream", r.up.Live())
	}
	r.stop()
	if r.up.OpenConns() != 0 {
		t.Errorf("%d upstream connections are open", r.up.OpenConns())
	}
	if !eventually(func() bool { return len(ours()) <= len(before) }) {
		t.Errorf("%d goroutines, then %d:\n%s", len(before), len(ours()), strings.Join(ours(), "\n\n"))
	}
}

// ours returns the stacks of goroutines that serve somebody. Those that
// fasthttp keeps for itself are not among them, nor are tests.
func ours() (stacks []string) {
	buf := make([]byte, 4<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if !strings.Contains(stack, "testing.tRunner") && (strings.Contains(stack, "gemini-resilient-proxy/") || strings.Contains(stack, "serveConn")) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// refusal sends a request that is refused and waits for the end.
func (r *rig) refusal(request string) {
	w := r.wire()
	w.send(request)
	io.Copy(io.Discard, w.r)
	w.Close()
}

// TestDrainWaitsForHeads: a request that has begun to arrive when the drain begins is
// served, however slowly its head comes within the drain's time; one of which there is
// nothing yet does not hold the drain up.
func TestDrainWaitsForHeads(t *testing.T) {
	r := newRig(t, plain, nil)
	fresh, second, piped, silent := r.wire(), r.wire(), r.wire(), r.wire()
	second.send(getRequest)
	second.wants("GET", 200)
	// The rest is in the proxy's buffer, behind a request that is answered.
	piped.send(getRequest + getRequest[:1])
	piped.wants("GET", 200)
	slow := map[string]*wire{"first": fresh, "second": second, "piped": piped}
	for _, w := range slow {
		if w != piped {
			w.send(getRequest[:1])
		}
	}
	n := r.up.Count()
	done := r.drain(time.Hour)
	// They need longer than the drain takes for what is idle.
	tick := time.NewTicker(3 * time.Second / time.Duration(len(getRequest)))
	defer tick.Stop()
	for i := 1; i < len(getRequest); i++ {
		<-tick.C
		for _, w := range slow {
			w.send(getRequest[i : i+1])
		}
	}
	for name, w := range slow {
		if resp, body, err := w.reply("GET"); err != nil || resp.StatusCode != 200 || !resp.Close {
			t.Errorf("%s: %v %q %v", name, resp, body, err)
		}
	}
	r.drained(done)
	if !silent.closed() {
		t.Error("a silent connection outlives the drain")
	}
	if got := r.up.Count() - n; got != len(slow) {
		t.Errorf("%d requests arrived, want %d", got, len(slow))
	}
}

// TestDrainAtRest drains a proxy that never served anything.
func TestDrainAtRest(t *testing.T) {
	r := newRig(t, plain, nil)
	r.drained(r.drain(time.Hour))
}
