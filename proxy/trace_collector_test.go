package proxy_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"gemini-resilient-proxy/proxy"
)

// collector takes traces as an OpenTelemetry collector does.
type collector struct {
	t      testing.TB
	server *httptest.Server
	// answer, if not nil, answers in place of 200. It is called with the
	// number of the request, from 0 on.
	answer func(n int, w http.ResponseWriter)

	mu       sync.Mutex
	requests int
	header   http.Header // of the last request
	raw      []byte      // all bodies
	resource map[string]string
	spans    []*tracepb.Span
}

func newCollector(t testing.TB) *collector {
	c := &collector{t: t}
	c.server = httptest.NewServer(c)
	t.Cleanup(c.server.Close)
	return c
}

// ServeHTTP takes one batch.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.requests
	c.requests++
	c.header = r.Header
	if err != nil || r.Method != "POST" || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.t.Errorf("the collector gets %s %s of %q: %v", r.Method, r.URL, r.Header.Get("Content-Type"), err)
	}
	if c.answer != nil {
		c.answer(n, w)
		return
	}
	c.raw = append(c.raw, body...)
	var data tracepb.TracesData
	if err := proto.Unmarshal(body, &data); err != nil {
		c.t.Errorf("the collector cannot read what it gets: %v", err)
	}
	for _, rs := range data.ResourceSpans {
		c.resource = attributes(rs.GetResource().GetAttributes())
		for _, ss := range rs.ScopeSpans {
			c.spans = append(c.spans, ss.Spans...)
		}
	}
}

// tracing makes a proxy send its traces there.
func (c *collector) tracing(cfg *proxy.Config) { cfg.Trace.Endpoint = c.server.URL }

// attributes returns attributes as text.
func attributes(list []*commonpb.KeyValue) map[string]string {
	m := map[string]string{}
	for _, kv := range list {
		text := fmt.Sprint(kv.Value.GetValue())
		switch v := kv.Value.GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			text = v.StringValue
		case *commonpb.AnyValue_IntValue:
			text = fmt.Sprint(v.IntValue)
		case *commonpb.AnyValue_BoolValue:
			text = fmt.Sprint(v.BoolValue)
		case *commonpb.AnyValue_DoubleValue:
			text = fmt.Sprint(v.DoubleValue)
		}
		m[kv.Key] = text
	}
	return m
}

// all returns the spans so far, in the order in which they began.
func (c *collector) all() []*tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Clone(c.spans)
	slices.SortStableFunc(all, func(a, b *tracepb.Span) int { return int(a.StartTimeUnixNano) - int(b.StartTimeUnixNano) })
	return all
}

// tree prints the spans, each below its parent, with what tells how they went.
func (c *collector) tree() string {
	all := c.all()
	known := map[string]bool{}
	for _, s := range all {
		known[string(s.SpanId)] = true
	}
	var b strings.Builder
	var print func(s *tracepb.Span, indent string)
	print = func(s *tracepb.Span, indent string) {
		c.check(s)
		a := attributes(s.Attributes)
		fmt.Fprintf(&b, "%s%s %s", indent, strings.ToLower(strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_")), s.Name)
		for _, name := range []string{"http.response.status_code", "gemini_proxy.kind", "gemini_proxy.attempts", "gemini_proxy.healed",
			"gemini_proxy.attempt", "gemini_proxy.continuation", "gemini_proxy.outcome", "error.type"} {
			if v, ok := a[name]; ok {
				fmt.Fprintf(&b, " %s=%s", name[strings.LastIndexByte(name, '.')+1:], v)
			}
		}
		b.WriteByte('\n')
		for _, e := range s.Events {
			a := attributes(e.Attributes)
			fmt.Fprintf(&b, "%s  * %s", indent, e.Name)
			for _, name := range []string{"cause", "seam", "overlap_bytes", "finish_reason", "reason"} {
				if v, ok := a["gemini_proxy."+name]; ok {
					fmt.Fprintf(&b, " %s=%s", name, v)
				}
			}
			b.WriteByte('\n')
		}
		for _, child := range all {
			if string(child.ParentSpanId) == string(s.SpanId) {
				print(child, indent+"  ")
			}
		}
	}
	for _, s := range all {
		if !known[string(s.ParentSpanId)] {
			print(s, "")
		}
	}
	return b.String()
}

// check finds what no span may be.
func (c *collector) check(s *tracepb.Span) {
	failed := s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR
	if len(s.TraceId) != 16 || len(s.SpanId) != 8 || s.EndTimeUnixNano < s.StartTimeUnixNano ||
		failed != (attributes(s.Attributes)["error.type"] != "") {
		c.t.Errorf("a bad span: %v", s)
	}
	for _, e := range s.Events {
		if e.TimeUnixNano < s.StartTimeUnixNano || e.TimeUnixNano > s.EndTimeUnixNano {
			c.t.Errorf("%s happens outside of its span: %v", e.Name, s)
		}
	}
}

// traceparents returns what the upstream was told, a request each.
func (s *stage) traceparents() (all []string) {
	for _, q := range s.up.Requests() {
		all = append(all, q.Header.Get("Traceparent"))
	}
	return all
}

// parentOf is a traceparent that names s.
func parentOf(s *tracepb.Span) string {
	return "00-" + hex.EncodeToString(s.TraceId) + "-" + hex.EncodeToString(s.SpanId) + "-01"
}
