package proxy

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	otel "go.opentelemetry.io/otel/trace"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// event adds an event to the attempt's span.
func (t *trace) event(name string, attrs ...attribute.KeyValue) {
	if t.attempt != nil {
		t.attempt.AddEvent(name, otel.WithAttributes(attrs...))
	}
}

// traceCut tells that the attempt was interrupted.
func (h *healer) traceCut(o routing.Outcome) {
	if t := h.e.trace; t != nil && o.Interruption() {
		t.event("cut", attrCause.String(o.String()), attrEvents.Int(h.splice.Events()),
			attrDelivered.Int(h.splice.Transcript().Len()))
	}
}

// traceHeld tells that an event is held back for its finish.
func (h *healer) traceHeld() {
	if t := h.e.trace; t != nil {
		t.event("held", attrFinish.String(valid(h.splice.Finish())))
	}
}

// traceSeam tells how a continuation has joined. The event's time is that of
// the first bytes that the client got of it.
func (h *healer) traceSeam(kind stream.SeamKind, dropped int) {
	t := h.e.trace
	if t == nil || t.attempt == nil || kind == stream.SeamNone {
		return
	}
	at := t.joined
	if at.IsZero() {
		at = time.Now()
	}
	t.attempt.AddEvent("seam", otel.WithTimestamp(at), otel.WithAttributes(
		attrSeam.String(kind.String()), attrOverlap.Int(dropped), attrPrefill.Bool(h.prefilled)))
}

// traceUsage tells what the whole answer has cost.
func (h *healer) traceUsage() {
	t := h.e.trace
	if t == nil {
		return
	}
	if in, out, known := h.splice.Usage(); known {
		t.request.SetAttributes(semconv.GenAIUsageInputTokens(int(in)), semconv.GenAIUsageOutputTokens(int(out)))
	}
}

// traceCut tells that the attempt was interrupted.
func (r *resumer) traceCut(o routing.Outcome) {
	t := r.e.trace
	if t == nil || !o.Interruption() {
		return
	}
	if o == routing.StreamError {
		t.event("held", attrCause.String(o.String()))
	}
	t.event("cut", attrCause.String(o.String()), attrEvents.Int(r.flow.Events()))
}

// traceSeam tells that an attempt went on behind the last event.
func (r *resumer) traceSeam() {
	if t := r.e.trace; t != nil && r.resuming {
		t.event("seam", attrSeam.String("event_id"))
	}
}

// gaveUp tells why the answer is not completed.
func (t *trace) gaveUp(why string) {
	if why != "" {
		t.request.AddEvent("gave_up", otel.WithAttributes(attrReason.String(why), attrAttempts.Int(t.attempts)))
	}
}

// traceStart tells whether the attempt goes on from what was delivered.
func (h *healer) traceStart() {
	if t := h.e.trace; t != nil && t.attempt != nil {
		t.attempt.SetAttributes(attrContinuation.Bool(h.continuing))
	}
}
