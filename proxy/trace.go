package proxy

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"
)

// tracer makes the traces of requests, for those that are sampled. A Server
// that is not told where to send them has none.
type tracer struct {
	sampler sampler
	spans   otel.Tracer
	export  *exporter
}

// newTracer returns nil when there are to be no traces.
func newTracer(c *TraceConfig, m *metrics, log *slog.Logger) (*tracer, error) {
	target := c.url()
	if target == "" {
		return nil, nil
	}
	export, err := newExporter(target, c, m, log)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	provider := sdk.NewTracerProvider(
		// The decision is made before there is a span: what is not traced is
		// to cost nothing.
		sdk.WithSampler(sdk.AlwaysSample()),
		sdk.WithIDGenerator(identities{}),
		sdk.WithResource(resourceOf(c)),
		sdk.WithSpanProcessor(export))
	return &tracer{newSampler(c), provider.Tracer("gemini-resilient-proxy"), export}, nil
}

// resourceOf tells who sends the traces.
func resourceOf(c *TraceConfig) *resource.Resource {
	attrs := []attribute.KeyValue{
		attribute.String("service.instance.id", hex.EncodeToString(binary.BigEndian.AppendUint64(nil, rand.Uint64()))),
	}
	if host, err := os.Hostname(); err == nil {
		attrs = append(attrs, attribute.String("host.name", valid(host)))
	}
	name := c.ServiceName
	pairs(c.ResourceAttributes, func(key, value string) bool {
		if key == "service.name" && name == defaultServiceName {
			name = value
		}
		attrs = append(attrs, attribute.String(valid(key), value))
		return true
	})
	own := resource.NewSchemaless(append(attrs, attribute.String("service.name", name))...)
	all, err := resource.Merge(resource.Default(), own)
	if err != nil {
		return own
	}
	return all
}

// identities are drawn at random, but for that of a trace, which was drawn for
// the sampler.
type identities struct{}

type traceKey struct{}

func (identities) NewIDs(ctx context.Context) (otel.TraceID, otel.SpanID) {
	id, _ := ctx.Value(traceKey{}).(otel.TraceID)
	return id, newSpanID()
}

func (identities) NewSpanID(context.Context, otel.TraceID) otel.SpanID { return newSpanID() }

func newSpanID() (id otel.SpanID) {
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

func newTraceID() (id otel.TraceID) {
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:8], rand.Uint64())
		binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}

// samples tells whether the request is traced whose trace has this identity.
func (s *sampler) samples(id otel.TraceID, p parent, hasParent bool) bool {
	if hasParent && s.asksParent {
		return p.flags&flagSampled != 0
	}
	return binary.BigEndian.Uint64(id[8:])>>1 < s.bound
}

// trace is what a sampled request tells of itself: a span for the request, and
// one for each attempt. It belongs to its exchange; one that is not sampled has
// none, so whoever has something to tell looks first.
type trace struct {
	t        *tracer
	ctx      context.Context // of the request's span
	request  otel.Span
	attempt  otel.Span // nil between attempts
	attempts int
	verdicts int       // there were before the attempt
	joined   time.Time // when a continuation's first bytes went to the client

	described bool // the request's span says what was asked for
}

// begin makes the trace of a request whose head was read, nil when it is not
// sampled. The identity of the trace, if there is one, is the log's in any case.
func (t *tracer) begin(e *exchange) *trace {
	p, ok := clientTrace(e.head.fields)
	id := otel.TraceID(p.trace)
	if ok {
		e.traceID = id
	} else {
		id = newTraceID()
	}
	if !t.sampler.samples(id, p, ok) {
		return nil
	}
	e.traceID = id
	ctx := context.Background()
	if ok {
		ctx = otel.ContextWithRemoteSpanContext(ctx, otel.NewSpanContext(otel.SpanContextConfig{
			TraceID: id, SpanID: p.span, TraceFlags: otel.TraceFlags(p.flags), Remote: true,
		}))
	} else {
		ctx = context.WithValue(ctx, traceKey{}, id)
	}
	tr := &trace{t: t}
	tr.ctx, tr.request = t.spans.Start(ctx, e.spanName(),
		otel.WithSpanKind(otel.SpanKindServer), otel.WithTimestamp(e.started))
	return tr
}

// try begins the span of an attempt. Its target is known.
func (t *trace) try(e *exchange) {
	t.attempts++
	t.verdicts = len(e.record.verdicts)
	t.joined = time.Time{}
	_, t.attempt = t.t.spans.Start(t.ctx, spanMethod(e.method), otel.WithSpanKind(otel.SpanKindClient))
	t.attempt.SetAttributes(e.attemptAttributes(t.attempts)...)
}

// appendHeaders appends the fields that tell the upstream which trace, and which
// span of it, its request is part of.
func (t *trace) appendHeaders(dst []byte, fields []field) []byte {
	c := t.attempt.SpanContext()
	dst = append(dst, "traceparent: "...)
	dst = appendTraceparent(dst, c.TraceID(), c.SpanID(), byte(c.TraceFlags()))
	dst = append(dst, "\r\n"...)
	if _, ok := clientTrace(fields); !ok {
		// A state without its parent means nothing.
		return dst
	}
	before := len(dst)
	dst = append(dst, "tracestate: "...)
	name := len(dst)
	if dst = appendTracestate(dst, fields); len(dst) == name {
		return dst[:before]
	}
	return append(dst, "\r\n"...)
}

// exemplar ties an observation to the trace.
func (t *trace) exemplar() prometheus.Labels {
	c := t.request.SpanContext()
	return prometheus.Labels{"trace_id": c.TraceID().String(), "span_id": c.SpanID().String()}
}

// observe is o.Observe, with the trace, if there is one, as the exemplar.
func observe(o prometheus.Observer, seconds float64, t *trace) {
	if x, ok := o.(prometheus.ExemplarObserver); ok && t != nil {
		x.ObserveWithExemplar(seconds, t.exemplar())
		return
	}
	o.Observe(seconds)
}
