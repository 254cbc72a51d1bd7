package proxy_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// guest is a request that runs until its upstream is let go.
type guest struct {
	t    testing.TB
	resp *http.Response
}

// held answers with a beginning and the rest when free is closed.
func held(free <-chan struct{}) upstream.Handler {
	return upstream.Always(upstream.Script{upstream.Text(first), upstream.Hold(free), upstream.TextFinish(second, "STOP")})
}

// sit begins a request and returns once its answer has begun.
func (s *stage) sit(header ...string) guest {
	s.t.Helper()
	req, _ := http.NewRequest("POST", "http://"+s.addr+streamPath, strings.NewReader(s.body))
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.client.RoundTrip(req)
	if err != nil || resp.StatusCode != 200 {
		s.t.Fatalf("%v, %v", resp, err)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	return guest{s.t, resp}
}

// leaves waits for the end of the answer, which is whole.
func (g guest) leaves() {
	g.t.Helper()
	b, err := io.ReadAll(g.resp.Body)
	if got, _ := read(string(b)); err != nil || got.text != first+second {
		g.t.Errorf("a running stream was harmed: %v %q", err, b)
	}
}

// Over the limit, a request is refused at once, and those that run go on.
func TestMaxStreams(t *testing.T) {
	s := newStage(t, func(c *proxy.Config) { c.MaxStreams, c.MaxQueue = 3, 0 })
	free := make(chan struct{})
	s.up.SetHandler(held(free))
	var guests []guest
	for range 3 {
		guests = append(guests, s.sit())
	}
	for range 5 {
		a := s.ask(streamPath, s.body)
		if n, err := strconv.Atoi(a.header.Get("Retry-After")); a.status != 503 || err != nil || n < 1 || !strings.Contains(a.body, "UNAVAILABLE") {
			t.Errorf("%d %v %q", a.status, a.header, a.body)
		}
	}
	// Requests that are relayed count too.
	if a := s.ask("/v1beta/models/x:countTokens", "{}"); a.status != 503 {
		t.Errorf("a relayed request: %d", a.status)
	}
	if got := s.metric(`gemini_proxy_refused_total{reason="streams"}`); got != "6" || s.up.Count() != 3 {
		t.Errorf("%s refused, %d arrived", got, s.up.Count())
	}
	close(free)
	for _, g := range guests {
		g.leaves()
	}
	s.idle()
	if a := s.ask(streamPath, s.body); a.status != 200 {
		t.Errorf("afterwards: %d", a.status)
	}
}

// Who waits is let in when a place is free; who has waited long enough is told.
func TestQueue(t *testing.T) {
	s := newStage(t, func(c *proxy.Config) { c.MaxStreams, c.MaxQueue, c.QueueTimeout = 1, 1, patience })
	free := make(chan struct{})
	s.up.SetHandler(held(free))
	g := s.sit()
	waited := make(chan answer)
	go func() { waited <- s.ask(streamPath, s.body) }()
	if !eventually(func() bool { return s.metric("gemini_proxy_waiting_requests") == "1" }) {
		t.Fatal("nobody waits")
	}
	if a := s.ask(streamPath, s.body); a.status != 503 {
		t.Errorf("the queue is full: %d", a.status)
	}
	// A client that does not wait that long is told in time.
	close(free)
	g.leaves()
	if a := <-waited; a.status != 200 || textOf(t, a.body) != first+second {
		t.Errorf("%d %q", a.status, a.body)
	}
}

func TestQueueTimeout(t *testing.T) {
	s := newStage(t, func(c *proxy.Config) { c.MaxStreams, c.QueueTimeout = 1, time.Hour })
	free := make(chan struct{})
	s.up.SetHandler(held(free))
	g := s.sit()
	// Its own time is shorter than the queue's.
	if a := s.ask(streamPath, s.body, "X-Server-Timeout", "0.05"); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %v", a.status, a.header)
	}
	// One that leaves gives its place in the queue up.
	c := s.dial()
	io.WriteString(c, "POST "+streamPath+" HTTP/1.1\r\nHost: a\r\nContent-Length: "+strconv.Itoa(len(s.body))+"\r\n\r\n"+s.body)
	if !eventually(func() bool { return s.metric("gemini_proxy_waiting_requests") == "1" }) {
		t.Fatal("nobody waits")
	}
	c.Close()
	if !eventually(func() bool { return s.metric("gemini_proxy_waiting_requests") == "0" }) {
		t.Error("who has left still waits")
	}
	close(free)
	g.leaves()
	if s.up.Count() != 1 {
		t.Errorf("%d requests arrived", s.up.Count())
	}
}

func TestLimitsOfClientsAndGroups(t *testing.T) {
	f := keyed(t, 1, func(c *proxy.Config, g *proxy.GroupConfig) {
		c.MaxQueue = 0
		g.Settings = map[string]string{"max_streams": "3"}
		c.Groups = []proxy.GroupConfig{{Name: "other", Targets: g.Targets}}
		c.Clients = []proxy.ClientConfig{
			tokenOf("anna", func(c *proxy.ClientConfig) { c.Streams = 2 }),
			tokenOf("bob", nil),
		}
	})
	free := make(chan struct{})
	f.up.SetHandler(held(free))
	guests := []guest{f.sit("x-goog-api-key", "anna"), f.sit("x-goog-api-key", "anna")}
	if a := f.ask(streamPath, f.body, "x-goog-api-key", "anna"); a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("the client's limit: %d", a.status)
	}
	guests = append(guests, f.sit("x-goog-api-key", "bob"))
	if a := f.ask(streamPath, f.body, "x-goog-api-key", "bob"); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("the group's limit: %d", a.status)
	}
	guests = append(guests, f.sit("x-goog-api-key", "other:own"))
	close(free)
	for _, g := range guests {
		g.leaves()
	}
	if f.metric(`gemini_proxy_refused_total{reason="client_streams"}`) != "1" || f.metric(`gemini_proxy_refused_total{reason="group_streams"}`) != "1" {
		t.Error("not counted")
	}
}
