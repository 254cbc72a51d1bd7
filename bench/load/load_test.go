package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startUpstream serves with the load upstream, or with the given answer to
// everything.
func startUpstream(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if answer == "" {
		go serve(l)
		return "http://" + l.Addr().String()
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 4096))
			io.WriteString(c, answer)
			c.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

// load runs the program with short durations.
func load(t *testing.T, url string, args ...string) *report {
	t.Helper()
	c, err := parseConfig(append([]string{"-url", url, "-warmup", "50ms", "-ramp", "20ms", "-duration", "200ms"}, args...), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return runLoad(c, nil)
}

func TestStreams(t *testing.T) {
	r := load(t, startUpstream(t, ""), "-streams", "10", "-events", "20", "-rate", "200")
	if r.Errors != 0 || r.Events < 50 || r.Streams == 0 || r.Open == 0 {
		t.Errorf("%+v", r)
	}
	for _, name := range []string{"latency", "transit", "late", "first", "gap"} {
		p := r.Timings[name]
		if p.Count == 0 || p.P50 > p.P99 || p.P99 > p.Max || p.Max > 1e6 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if p50 := r.Timings["gap"].P50; p50 < 2500 || p50 > 20000 {
		t.Errorf("events every 5 ms come every %.1f µs", p50)
	}
}

func TestArrivals(t *testing.T) {
	r := load(t, startUpstream(t, ""), "-streams", "50", "-arrivals", "100", "-events", "2", "-rate", "100")
	if r.Errors != 0 || r.Streams < 5 || r.Streams > 25 {
		t.Errorf("%+v", r)
	}
	r = load(t, startUpstream(t, ""), "-streams", "1", "-arrivals", "100", "-events", "10", "-rate", "10")
	if r.Faults["overdue"] == 0 {
		t.Errorf("a stream that is not over is no free one: %+v", r)
	}
}

func TestSaturate(t *testing.T) {
	r := load(t, startUpstream(t, ""), "-mode", "saturate", "-streams", "2", "-events", "100")
	if r.Errors != 0 || r.Events < 200 {
		t.Errorf("%+v", r)
	}
}

func TestShort(t *testing.T) {
	r := load(t, startUpstream(t, ""), "-mode", "short", "-streams", "2")
	if r.Errors != 0 || r.Requests < 10 || r.Bytes != 1024*r.Requests || r.Timings["answer"].Count != r.Requests {
		t.Errorf("%+v", r)
	}
}

func TestIdle(t *testing.T) {
	r := load(t, startUpstream(t, ""), "-mode", "idle", "-streams", "30")
	if r.Errors != 0 || r.Open != 30 {
		t.Errorf("%+v", r)
	}
}

func TestStreamsOverTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	ca := filepath.Join(t.TempDir(), "ca.pem")
	secure, err := secured(l, ca)
	if err != nil {
		t.Fatal(err)
	}
	go serve(secure)
	r := load(t, "https://"+l.Addr().String(), "-ca", ca, "-streams", "4", "-events", "10", "-rate", "200")
	if r.Errors != 0 || r.Streams == 0 {
		t.Errorf("%+v", r)
	}
}

func TestACutStreamIsUnfinished(t *testing.T) {
	r := load(t, startUpstream(t, ""), "-cut", "-streams", "1", "-events", "4", "-rate", "200")
	if r.Faults["broken"] == 0 || r.Streams != 0 {
		t.Errorf("%+v", r)
	}
}

func TestAContinuationIsTheOtherHalf(t *testing.T) {
	const body = `{"contents":[{"role":"user","parts":[]},{ "role" : "model","parts":[{"text":"x"}]}]}`
	c, err := parseConfig([]string{"-url", startUpstream(t, ""), "-cut", "-events", "5", "-rate", "0", "-body", body}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	cc, err := dial(c.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.c.Close()
	s := newStats()
	s.end.Store(1 << 62)
	b, err := cc.ask(c.request)
	if err != nil {
		t.Fatal(err)
	}
	rd := reader{stats: s, order: c.order, ours: true}
	if err := rd.read(&b, 0); err != nil || rd.events != 2 || rd.want != 5 {
		t.Errorf("%v, %d events up to %d", err, rd.events, rd.want)
	}
}

// handmade is an answer with events of the given numbers.
func handmade(end string, seq ...int) string {
	out := []byte(streamHead)
	for _, n := range seq {
		out = appendChunk(out, appendEvent(nil, mark{n, time.Now().UnixNano(), 0}, 350))
	}
	return string(out) + end
}

func TestTheSequenceIsChecked(t *testing.T) {
	whole := string(appendChunk(nil, []byte(finishEvent))) + "0\r\n\r\n"
	failed := string(appendChunk(nil, []byte("data: {\"error\":{}}\n\n"))) + "0\r\n\r\n"
	f := func(answer, want string) {
		t.Helper()
		r := load(t, startUpstream(t, answer), "-streams", "1", "-events", "4", "-duration", "50ms", "-warmup", "0s")
		if want == "" && r.Errors > 0 || want != "" && r.Faults[want] == 0 {
			t.Errorf("faults %v, want %q", r.Faults, want)
		}
	}
	f(handmade(whole, 0, 1, 2, 3), "")
	f(handmade(whole, 0, 1, 3), "lost")
	f(handmade(whole, 0, 1, 2), "lost")
	f(handmade(whole), "lost")
	f(handmade(whole, 0, 1, 1, 2, 3), "doubled")
	f(handmade(whole, 0, 2, 1, 3), "lost")
	f(handmade("0\r\n\r\n", 0, 1, 2, 3), "unfinished")
	f(handmade(failed, 0, 1), "unfinished")
	f(handmade("", 0, 1), "broken")
	f("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "status")
}

func TestOtherEndpointsAreCounted(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\ndata: {}\n\ndata: {\"finishReason\":1}\n\n"
	r := load(t, startUpstream(t, answer), "-ask=false", "-streams", "1")
	if r.Errors != 0 || r.Events == 0 || r.Events != r.Streams {
		t.Errorf("%+v", r)
	}
}

// A long question is asked in the mode's own body, as JSON.
func TestPrompt(t *testing.T) {
	c, err := parseConfig([]string{"-prompt", "300000"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(c.request, []byte("\r\n\r\n"))
	if n := len(body) - len(streamBody); n != 300_000 || !json.Valid(body) {
		t.Errorf("%d bytes more than without: %.100q…", n, body)
	}
}

func TestReports(t *testing.T) {
	r := load(t, startUpstream(t, ""), "-streams", "2", "-events", "4", "-rate", "100")
	var text, line bytes.Buffer
	r.writeText(&text)
	if err := r.writeJSON(&line); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"events/s", "0 errors", "latency", "first"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	var back report
	if err := json.Unmarshal(line.Bytes(), &back); err != nil || fmt.Sprint(back) != fmt.Sprint(*r) {
		t.Errorf("%v: %+v, want %+v", err, back, *r)
	}
}

func TestArguments(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		var stderr strings.Builder
		c, err := parseConfig(args, &stderr)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", args, err)
		case want == "":
			if !bytes.HasSuffix(c.request, []byte("}")) {
				t.Errorf("%q: %q", args, c.request)
			}
		case err == nil || !strings.Contains(stderr.String(), want):
			t.Errorf("%q: %v %q, want %q", args, err, stderr.String(), want)
		}
	}
	f("")
	f("", "-mode", "short", "-url", "https://localhost/x?y=z", "-header", "A: b", "-header", "Content-Type: c")
	f("", "-prompt", "300000")
	f("-prompt", "-prompt", "-1")
	f("-body-file", "-prompt", "1", "-body", "{}")
	f("-mode", "-mode", "x")
	f("-url", "-url", "ftp://x")
	f("must be positive", "-streams", "0")
	f("at most", "-size", "1000000")
	f("Name: value", "-header", "x")
	f("unexpected argument", "x")
	f("no such file", "-body-file", filepath.Join(os.TempDir(), "none", "none"))
	f("no such file", "-url", "https://x", "-ca", filepath.Join(os.TempDir(), "none", "none"))
}
