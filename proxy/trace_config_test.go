package proxy

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	otel "go.opentelemetry.io/otel/trace"
)

func TestTraceSettings(t *testing.T) {
	const (
		collector = "must be an http or https URL such as http://localhost:4318"
		user      = "must not hold a user or a password; headers can be set with OTEL_EXPORTER_OTLP_HEADERS"
		list      = "must be a list of name=value, joined by commas, with the values percent-encoded"
		share     = "must be a number from 0 to 1"
	)
	f := func(want, name, value string) {
		t.Helper()
		_, err := LoadConfig("", envOf(name, value))
		got := ""
		if err != nil {
			got = err.Error()
			got = got[strings.LastIndex(got, ": ")+2:]
			if strings.Contains(err.Error(), "hidden") {
				t.Errorf("%v shows a secret", err)
			}
		}
		if got != want {
			t.Errorf("%s=%q: %s, want %s", name, value, err, want)
		}
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		f("", name, "")
		f("", name, "http://localhost:4318")
		f("", name, "https://[::1]:4318/base/?a=hidden")
		f(collector, name, "localhost:4318")
		f(collector, name, "grpc://localhost:4317")
		f(collector, name, "http://")
		f(collector, name, "unix:/run/otel")
		f(user, name, "https://me:hidden@collector")
	}
	f("", "OTEL_EXPORTER_OTLP_HEADERS", "")
	f("", "OTEL_EXPORTER_OTLP_HEADERS", " api-key = se%20cret , x=y=z,")
	f(list, "OTEL_EXPORTER_OTLP_HEADERS", "hidden")
	f(list, "OTEL_EXPORTER_OTLP_HEADERS", "=hidden")
	f(list, "OTEL_EXPORTER_OTLP_HEADERS", "a b=hidden")
	f(list, "OTEL_EXPORTER_OTLP_HEADERS", "a=hidden%0d%0ab")
	f(list, "OTEL_EXPORTER_OTLP_HEADERS", "a=hidden%zz")
	f("must be http/protobuf", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	f("", "OTEL_TRACES_SAMPLER", "")
	f("must be one of otlp, none", "OTEL_TRACES_EXPORTER", "console")
	f("must be one of parentbased_always_on, parentbased_always_off, parentbased_traceidratio, always_on, always_off, traceidratio", "OTEL_TRACES_SAMPLER", "jaeger_remote")
	f("", "OTEL_TRACES_SAMPLER_ARG", "1e-3")
	f("", "OTEL_TRACES_SAMPLER_ARG", "")
	f(share, "OTEL_TRACES_SAMPLER_ARG", "1.1")
	f(share, "OTEL_TRACES_SAMPLER_ARG", "-1")
	f(share, "OTEL_TRACES_SAMPLER_ARG", "NaN")
	f("must be a name of at most 255 bytes", "OTEL_SERVICE_NAME", "a\nb")
	f(list, "OTEL_RESOURCE_ATTRIBUTES", "a=b,c")
	f("must be true, false, 1 or 0", "OTEL_SDK_DISABLED", "yes")
	f("must be an absolute path", "LOG_FILE", "proxy.log")
}

// The settings are never printed with what is secret in them.
func TestTraceHeadersAreNotPrinted(t *testing.T) {
	c, err := LoadConfig("", envOf("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hidden"))
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%v %+v %#v", c, c, c.Trace); strings.Contains(text, "hidden") {
		t.Error(text)
	}
}

func TestTraceURL(t *testing.T) {
	f := func(want string, c TraceConfig) {
		t.Helper()
		if got := c.url(); got != want {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
	f("", TraceConfig{})
	f("http://c:4318/v1/traces", TraceConfig{Endpoint: "http://c:4318"})
	f("http://c:4318/v1/traces", TraceConfig{Endpoint: "http://c:4318/"})
	f("http://c/otlp/v1/traces?a=b", TraceConfig{Endpoint: "http://c/otlp?a=b"})
	f("http://d/x", TraceConfig{Endpoint: "http://c:4318", TracesEndpoint: "http://d/x"})
	f("", TraceConfig{Endpoint: "http://c:4318", Exporter: "none"})
	f("", TraceConfig{TracesEndpoint: "http://c:4318", Disabled: true})
}

func TestSampler(t *testing.T) {
	id := func(low uint64) (id otel.TraceID) {
		id[0] = 1
		binary.BigEndian.PutUint64(id[8:], low)
		return id
	}
	f := func(name string, share float64, low uint64, flags int, want bool) {
		t.Helper()
		s := newSampler(&TraceConfig{Sampler: name, SamplerArg: share})
		if got := s.samples(id(low), parent{flags: byte(max(flags, 0))}, flags >= 0); got != want {
			t.Errorf("%s %v of %x under %d: %v", name, share, low, flags, got)
		}
	}
	const none, not, sampled = -1, 0, 1
	all := ^uint64(0)
	for _, parent := range []int{none, not, sampled} {
		f("always_on", 0, all, parent, true)
		f("always_off", 1, 0, parent, false)
		f("traceidratio", 0.5, 0, parent, true)
		f("traceidratio", 0.5, 1<<63-1, parent, true)
		f("traceidratio", 0.5, 1<<63, parent, false)
		f("traceidratio", 1, all, parent, true)
		f("traceidratio", 0, 0, parent, false)
		for _, name := range []string{"always_on", "always_off", "traceidratio"} {
			f("parentbased_"+name, 0.5, all, parent, parent == sampled || parent == none && name == "always_on")
		}
	}
}
