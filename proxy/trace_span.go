package proxy

import (
	"bytes"
	"net"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"

	"gemini-resilient-proxy/routing"
)

// Names of attributes for which OpenTelemetry has none. Values are numbers,
// names of the settings, and words of fixed lists: nothing of a prompt, an
// answer or a key.
const (
	attrKind         = attribute.Key("gemini_proxy.kind")
	attrGroup        = attribute.Key("gemini_proxy.group")
	attrClient       = attribute.Key("gemini_proxy.client")
	attrAttempts     = attribute.Key("gemini_proxy.attempts")
	attrHealed       = attribute.Key("gemini_proxy.healed")
	attrWasted       = attribute.Key("gemini_proxy.wasted_tokens")
	attrFirstByte    = attribute.Key("gemini_proxy.time_to_first_byte_ms")
	attrBytes        = attribute.Key("http.response.body.size")
	attrAttempt      = attribute.Key("gemini_proxy.attempt")
	attrOutcome      = attribute.Key("gemini_proxy.outcome")
	attrZone         = attribute.Key("gemini_proxy.zone")
	attrReason       = attribute.Key("gemini_proxy.reason")
	attrCause        = attribute.Key("gemini_proxy.cause")
	attrEvents       = attribute.Key("gemini_proxy.events")
	attrDelivered    = attribute.Key("gemini_proxy.delivered_bytes")
	attrSeam         = attribute.Key("gemini_proxy.seam")
	attrOverlap      = attribute.Key("gemini_proxy.overlap_bytes")
	attrPrefill      = attribute.Key("gemini_proxy.prefill")
	attrFinish       = attribute.Key("gemini_proxy.finish_reason")
	attrContinuation = attribute.Key("gemini_proxy.continuation")
)

// operations are the actions that paths ask for, by what OpenTelemetry calls
// them. Only what is listed here becomes part of a span's name: a path may end
// in anything.
var operations = map[string]string{
	"streamGenerateContent": "generate_content",
	"generateContent":       "generate_content",
	"chat/completions":      "chat",
	"interactions":          "interactions",
	"embedContent":          "embeddings",
	"batchEmbedContents":    "embeddings",
	"countTokens":           "count_tokens",
	"predict":               "predict",
	"rawPredict":            "predict",
	"streamRawPredict":      "predict",
}

// action returns what the path asks for, "" when it is nothing known.
func (e *exchange) action() string {
	_, action := e.model()
	switch {
	case e.isChat():
		return "chat/completions"
	case e.isInteraction():
		return "interactions"
	case operations[string(action)] != "":
		return string(action)
	}
	return ""
}

// spanMethod returns the method as OpenTelemetry has it in names of spans: what
// is no method of the standard is "HTTP".
func spanMethod(method []byte) string {
	switch m := string(method); m {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH":
		return m
	}
	return "HTTP"
}

// spanName returns the name of a request's span.
func (e *exchange) spanName() string {
	if action := e.action(); action != "" {
		return spanMethod(e.method) + " " + action
	}
	return spanMethod(e.method)
}

func methodAttribute(method []byte) attribute.KeyValue {
	m := spanMethod(method)
	if m == "HTTP" {
		m = "_OTHER"
	}
	return semconv.HTTPRequestMethodKey.String(m)
}

// valid returns s as a span can hold it: bounded, and of whole characters.
func valid(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxLogged)], "\uFFFD")
}

// cleanPath returns a path as a span can hold it. One that holds the request's
// key, where it has no place, is not shown.
func (e *exchange) cleanPath(path []byte) string {
	if len(e.key) > 0 && bytes.Contains(path, e.key) {
		return "/REDACTED"
	}
	return valid(string(path))
}

// attemptAttributes describe the attempt that begins.
func (e *exchange) attemptAttributes(n int) []attribute.KeyValue {
	l := &e.lease
	t := l.target()
	scheme, port := "http", 80
	if t.base.TLS {
		scheme, port = "https", 443
	}
	host := string(t.base.Host)
	if h, p, err := net.SplitHostPort(host); err == nil {
		host = h
		if n, err := strconv.Atoi(p); err == nil {
			port = n
		}
	}
	target, _, _ := bytes.Cut(e.target, []byte("?"))
	attrs := []attribute.KeyValue{
		methodAttribute(e.method),
		semconv.ServerAddress(valid(host)),
		semconv.ServerPort(port),
		semconv.URLFull(scheme + "://" + valid(string(t.base.Host)) + e.cleanPath(target)),
		attrAttempt.Int(n),
		attrGroup.String(l.group.Name),
	}
	if n > 1 {
		attrs = append(attrs, semconv.HTTPRequestResendCount(n-1))
	}
	if t.Zone != "" {
		attrs = append(attrs, attrZone.String(t.Zone))
	}
	return e.appendModel(attrs, e.modelFor(l.group))
}

// appendModel adds what is asked of which model, where that is known.
func (e *exchange) appendModel(attrs []attribute.KeyValue, model []byte) []attribute.KeyValue {
	action := e.action()
	if action == "" {
		return attrs
	}
	provider := semconv.GenAIProviderNameGCPGemini
	if bytes.Contains(e.path, []byte("/projects/")) || bytes.Contains(e.path, []byte("/publishers/")) {
		provider = semconv.GenAIProviderNameGCPVertexAI
	}
	attrs = append(attrs, semconv.GenAIOperationNameKey.String(operations[action]), provider)
	if len(model) > 0 && (len(e.key) == 0 || !bytes.Contains(model, e.key)) {
		attrs = append(attrs, semconv.GenAIRequestModel(valid(string(model))))
	}
	return attrs
}

// answered notes the status of the attempt's response.
func (t *trace) answered(status int) {
	t.attempt.SetAttributes(semconv.HTTPResponseStatusCode(status))
	if status >= 400 {
		t.fail(strconv.Itoa(status))
	}
}

// fail marks the attempt as failed.
func (t *trace) fail(why string) {
	t.attempt.SetAttributes(semconv.ErrorTypeKey.String(why))
	t.attempt.SetStatus(codes.Error, why)
}

// tried ends the span of the attempt. o is how it ended, if nobody has said so
// better.
func (t *trace) tried(e *exchange, o routing.Outcome, status int) {
	if t.attempt == nil {
		return
	}
	if n := len(e.record.verdicts); n > t.verdicts {
		o = e.record.verdicts[n-1]
	}
	if o != 0 {
		t.attempt.SetAttributes(attrOutcome.String(o.String()))
	}
	switch o {
	case 0, routing.Natural, routing.Final:
	case routing.Status, routing.Refused:
		// Its status has said so.
	case routing.StreamError:
		t.fail(strconv.Itoa(status))
	default:
		t.fail(o.String())
	}
	t.attempt.End()
	t.attempt = nil
}

// describe says what was asked for. It is called once, while the request's bytes
// are there.
func (t *trace) describe(e *exchange) {
	t.described = true
	group, path, scheme := "", "", "http"
	if bytes.EqualFold(e.head.forwardedProto, []byte("https")) {
		scheme = "https"
	}
	if e.group != nil {
		group = e.group.Name
		path = e.cleanPath(e.path)
	}
	attrs := []attribute.KeyValue{
		methodAttribute(e.method),
		semconv.URLScheme(scheme),
		semconv.URLPath(path),
		semconv.NetworkProtocolVersion("1.1"),
		attrKind.String(kindNames[e.record.kind]),
		attrGroup.String(group),
	}
	if name := e.place.name(); name != "" {
		attrs = append(attrs, attrClient.String(valid(name)))
	}
	if e.group != nil {
		model := e.askedModel()
		if e.record.model != "" {
			model = []byte(e.record.model)
		}
		attrs = e.appendModel(attrs, model)
	}
	t.request.SetAttributes(attrs...)
}

// end ends the span of the request.
func (t *trace) end(e *exchange) {
	if !t.described {
		t.describe(e)
	}
	r := &e.record
	attrs := []attribute.KeyValue{
		attrAttempts.Int(r.attempts),
		attrHealed.Bool(r.healed),
		attrBytes.Int64(r.bytes),
	}
	if r.status > 0 {
		attrs = append(attrs, semconv.HTTPResponseStatusCode(r.status))
	}
	if r.toFirst > 0 {
		attrs = append(attrs, attrFirstByte.Float64(millis(r.toFirst)))
	}
	if r.wasted > 0 {
		attrs = append(attrs, attrWasted.Int64(r.wasted))
	}
	failure := ""
	switch {
	case r.gaveUp != "":
		failure = r.gaveUp
	case r.status >= 500:
		failure = strconv.Itoa(r.status)
	}
	if failure != "" {
		attrs = append(attrs, semconv.ErrorTypeKey.String(failure))
		t.request.SetStatus(codes.Error, failure)
	}
	t.request.SetAttributes(attrs...)
	t.request.End()
}
