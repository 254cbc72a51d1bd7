package proxy_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

const (
	spansExported = `gemini_proxy_trace_spans_exported_total`
	spansFailed   = `gemini_proxy_trace_spans_dropped_total{reason="failed"}`
	spansRejected = `gemini_proxy_trace_spans_dropped_total{reason="rejected"}`
	spansQueue    = `gemini_proxy_trace_spans_dropped_total{reason="queue_full"}`
)

// complaints counts the log's lines about traces.
func (r *rig) complaints() int { return strings.Count(r.log.String(), "traces cannot be exported") }

func TestExportSendsTheHeaders(t *testing.T) {
	t.Parallel()
	c, _ := traced(t, func(cfg *proxy.Config) {
		cfg.Trace.Headers = []byte("api-key=se%20cret,X-Team=a")
		cfg.Trace.ServiceName, cfg.Trace.ResourceAttributes = "mine", "service.name=other,deployment.environment.name=t%C3%A9st"
	}, func(s *stage) {
		s.play(nil, whole)
		s.stop()
		if n := s.counted(spansExported); n != 2 {
			t.Errorf("%v spans exported", n)
		}
	})
	if c.header.Get("api-key") != "se cret" || c.header.Get("X-Team") != "a" {
		t.Errorf("%v", c.header)
	}
	if c.resource["service.name"] != "mine" || c.resource["deployment.environment.name"] != "tést" {
		t.Errorf("%v", c.resource)
	}
	if strings.Contains(string(c.raw), "se cret") {
		t.Error("a span holds a header")
	}
}

// A collector that is not there costs a line of the log and nothing else.
func TestCollectorIsGone(t *testing.T) {
	t.Parallel()
	dead := refusing(t)
	s := newStage(t, func(cfg *proxy.Config) { cfg.Trace.Endpoint = "http://" + dead })
	for range 20 {
		if a := s.play(nil, whole); a.status != 200 || a.err != nil {
			t.Fatalf("%+v", a)
		}
	}
	s.client.CloseIdleConnections()
	s.stop()
	if lost, lines := s.counted(spansFailed), s.complaints(); lost != 40 || lines != 1 {
		t.Errorf("%v spans lost, %d lines", lost, lines)
	}
}

// A collector that says no is asked again only where that is of use.
func TestCollectorRefuses(t *testing.T) {
	t.Parallel()
	f := func(requests int, lost float64, answer func(n int, w http.ResponseWriter)) {
		t.Helper()
		c := newCollector(t)
		c.answer = answer
		s := newStage(t, c.tracing)
		s.play(nil, whole)
		if !eventually(func() bool { return s.counted(spansExported)+s.counted(spansFailed) == 2 }) {
			t.Fatal("the spans are neither sent nor dropped")
		}
		s.client.CloseIdleConnections()
		s.stop()
		c.mu.Lock()
		defer c.mu.Unlock()
		if got := s.counted(spansFailed); c.requests != requests || got != lost || (lost > 0) != (s.complaints() == 1) {
			t.Errorf("%d requests, %v spans lost, want %d and %v", c.requests, got, requests, lost)
		}
	}
	f(1, 2, func(_ int, w http.ResponseWriter) { w.WriteHeader(401) })
	f(2, 0, func(n int, w http.ResponseWriter) {
		if n == 0 {
			w.WriteHeader(503)
		}
	})
	f(1, 2, func(_ int, w http.ResponseWriter) { w.Header().Set("Retry-After", "3600"); w.WriteHeader(429) })
	// A redirect would take the headers somewhere else.
	f(1, 2, func(_ int, w http.ResponseWriter) { w.Header().Set("Location", "/v1/traces"); w.WriteHeader(307) })
}

// A collector may take a batch and reject some of it.
func TestCollectorRejectsSome(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	c.answer = func(_ int, w http.ResponseWriter) {
		partial := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)
		partial = protowire.AppendString(protowire.AppendTag(partial, 2, protowire.BytesType), "too many")
		w.Write(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), partial))
	}
	s := newStage(t, c.tracing)
	s.play(nil, whole)
	s.client.CloseIdleConnections()
	s.stop()
	if ok, rejected := s.counted(spansExported), s.counted(spansRejected); ok != 1 || rejected != 1 || s.complaints() != 1 {
		t.Errorf("%v exported, %v rejected", ok, rejected)
	}
}

// A collector that never answers holds up neither requests nor the end of the
// program, and what cannot wait is dropped and counted.
func TestCollectorHangs(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(hang) })
	s := newStage(t, func(cfg *proxy.Config) { cfg.Trace.Endpoint, cfg.AccessLog = server.URL, "off" })
	s.up.SetHandler(upstream.Always(steps(json200(`{"totalTokens":3}`))))
	const batch, queue = 512, 2048
	for range (batch+queue)/2 + 50 {
		if a := s.ask("/v1beta/models/m:countTokens", s.body); a.status != 200 {
			t.Fatalf("%+v", a)
		}
	}
	s.client.CloseIdleConnections()
	begin := time.Now()
	s.stop()
	t.Logf("ended after %v", time.Since(begin))
	if dropped, failed := s.counted(spansQueue), s.counted(spansFailed); dropped == 0 || dropped+failed != batch+queue+100 {
		t.Errorf("%v dropped, %v failed", dropped, failed)
	}
}

// The answer of a collector is foreign bytes.
func FuzzCollectorAnswer(f *testing.F) {
	f.Add([]byte{0x0a, 0x02, 0x08, 0x01})
	f.Add(bytes.Repeat([]byte{0xff}, 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := proxy.RejectedSpans(b); n < 0 || n > 2048 {
			t.Error(n)
		}
	})
}

func TestCollectorAnswer(t *testing.T) {
	f := func(want int, b ...byte) {
		t.Helper()
		if got := proxy.RejectedSpans(b); got != want {
			t.Errorf("% x: %d, want %d", b, got, want)
		}
	}
	f(0)
	f(0, 0x0a, 0x00)
	f(5, 0x0a, 0x02, 0x08, 0x05)
	f(300, 0x0a, 0x06, 0x12, 0x01, 'x', 0x08, 0xac, 0x02)
	f(5, 0x10, 0x01, 0x0a, 0x02, 0x08, 0x05)
	f(0, 0x08, 0x05)
	f(0, 0x0a, 0x0b, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)
	whole := []byte{0x0a, 0x06, 0x12, 0x01, 'x', 0x08, 0xac, 0x02}
	for i := range whole {
		f(0, whole[:i]...)
	}
}
