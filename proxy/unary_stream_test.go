package proxy_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

func viaStream(c *proxy.Config) { c.UnaryViaStream = true }

// same compares two JSON texts by what they say.
func same(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

func event(payload string) upstream.Step { return upstream.Send(sse(payload)) }

func TestUnaryViaStreamAsksTheStreamingEndpoint(t *testing.T) {
	t.Parallel()
	s := newStage(t, viaStream)
	f := func(target, want string) {
		t.Helper()
		s.up.SetHandler(upstream.Always(whole))
		s.up.Reset()
		s.isWhole(s.ask(target, s.body), first+second, "STOP", "")
		if got := s.up.Requests()[0].Target; got != want {
			t.Errorf("%s became %s, want %s", target, got, want)
		}
	}
	f(unaryPath, streamPath)
	f(unaryPath+"?alt=json&x=a%20b&&y", streamPath+"&x=a%20b&&y")
	f(unaryPath+"?%24alt=json&key=K&prettyPrint=false", streamPath+"&prettyPrint=false")
	f("/v1/projects/p/locations/l/publishers/google/models/m%3Ax:generateContent", "/v1/projects/p/locations/l/publishers/google/models/m%3Ax:streamGenerateContent?alt=sse")
	f("/v1%62eta/models/m:generate%43ontent", "/v1%62eta/models/m:streamGenerateContent?alt=sse")
	f("/v1beta/tunedModels/t:generateContent", "/v1beta/tunedModels/t:streamGenerateContent?alt=sse")
}

func TestUnaryViaStreamFoldsTheEvents(t *testing.T) {
	t.Parallel()
	s := newStage(t, viaStream)
	f := func(want string, payloads ...string) {
		t.Helper()
		a := s.playUnary(nil, steps(upstream.Send(sse(payloads...))))
		if a.err != nil || a.status != 200 || !same(a.body, want) || a.header.Get("Content-Type") != "application/json; charset=UTF-8" {
			t.Errorf("%d %v %v\n%s\nwant\n%s", a.status, a.header, a.err, a.body, want)
		}
	}
	names := `"modelVersion": "m","responseId": "r"`
	part := func(p, rest string) string {
		return `{"candidates": [{"content": {"parts": [` + p + `],"role": "model"},"index": 0` + rest + `}],` + names
	}
	f(part(`{"text": "hm so","thought": true},{"text": "one two"},{"text": "","thoughtSignature": "QUJD"}`, `,"finishReason": "STOP","finishMessage": "x"`)+
		`,"usageMetadata": {"promptTokenCount": 3,"candidatesTokenCount": 2,"totalTokenCount": 5}}`,
		part(`{"text": "hm ","thought": true}`, "")+`,"usageMetadata": {"promptTokenCount": 3,"totalTokenCount": 3}}`,
		part(`{"text": "so","thought": true}`, "")+"}", part(`{"text": "one "}`, "")+"}", part(`{"text": "two"}`, "")+"}",
		part(`{"text": "","thoughtSignature": "QUJD"}`, `,"finishReason": "STOP","finishMessage": "x"`)+`,"usageMetadata": {"promptTokenCount": 3,"candidatesTokenCount": 2,"totalTokenCount": 5}}`)
	call := func(n string) string {
		return `{"functionCall": {"name": "` + n + `","args": {"a": 1.50}},"thoughtSignature": "QUJD"}`
	}
	f(part(`{"text": "I call"},`+call("f")+","+call("g"), `,"finishReason": "STOP"`)+"}",
		part(`{"text": "I "}`, "")+"}", part(`{"text": "call"}`, "")+"}", part(call("f"), "")+"}", part(call("g"), "")+"}", part(`{"text": ""}`, `,"finishReason": "STOP"`)+"}")
	f(part(`{"text": "ab"}`, `,"finishReason": "STOP","groundingMetadata": {"groundingChunks": [1]},"citationMetadata": {"citationSources": [{"endIndex": 1},{"endIndex": 2}]}`)+"}",
		part(`{"text": "a"}`, `,"citationMetadata": {"citationSources": [{"endIndex": 1}]}`)+"}", part(`{"text": "b"}`, `,"finishReason": "STOP","groundingMetadata": {"groundingChunks": [1]},"citationMetadata": {"citationSources": [{"endIndex": 2}]}`)+"}")
	blocked := `{"promptFeedback": {"blockReason": "SAFETY"},` + names + `}`
	f(blocked, blocked)
	f(part(`{"text": "a"}`, `,"finishReason": "MAX_TOKENS"`)+"}", part(`{"text": "a"}`, `,"finishReason": "MAX_TOKENS"`)+"}")
}

func TestUnaryViaStreamFaultsAreHealed(t *testing.T) {
	t.Parallel()
	s := newStage(t, viaStream)
	f := func(attempts string, fault ...upstream.Step) {
		t.Helper()
		then := whole
		if attempts != "|" {
			then = rest
		}
		r := s.isWhole(s.playUnary(nil, fault, then), first+second, "STOP", attempts)
		if n := len(r.Candidates[0].Content.Parts); n != 1 {
			t.Errorf("%d parts", n)
		}
	}
	for _, end := range []upstream.Step{upstream.Cut(), upstream.Reset(), upstream.End(), upstream.Send(half), upstream.ErrorRaw(503, "UNAVAILABLE", "x"), upstream.ErrorEvent(500, "INTERNAL", "x"), upstream.Finish("SAFETY")} {
		f("|", end)
		f("|"+first, upstream.Text(first), end)
	}
	f("|", upstream.Finish("STOP"))
	f("|", upstream.ErrorBody(503, "UNAVAILABLE", "x", 0))
	// Of the thoughts of two attempts only the first are told.
	r := s.isWhole(s.playUnary(nil, steps(upstream.Thought("hm"), upstream.Text(first), upstream.Cut()), steps(upstream.Thought("no"), upstream.TextFinish(second, "STOP"))), first+second, "STOP", "|"+first)
	if p := r.Candidates[0].Content.Parts; len(p) != 2 || !p[0].Thought || p[0].Text != "hm" {
		t.Errorf("%+v", p)
	}
	// A call is an answer.
	a := s.playUnary(nil, steps(upstream.Call("f", "{}"), upstream.Cut()))
	if r, err := parsed(a.body); err != nil || a.status != 200 || len(r.Candidates) != 1 || r.Candidates[0].FinishReason != "STOP" || len(r.Candidates[0].Content.Parts) != 1 || r.Candidates[0].Content.Parts[0].FunctionCall == nil {
		t.Errorf("%d %v %s", a.status, err, a.body)
	}
}

// Upstreams answer with events although they say that it is JSON: as a stream, as an
// array, as one object after another.
func TestUnaryReadsEventsThatAreSaidToBeJSON(t *testing.T) {
	t.Parallel()
	for _, via := range []bool{false, true} {
		s := newStage(t, func(c *proxy.Config) { c.UnaryViaStream = via })
		one, two := docOf(first, ""), docOf(second, "STOP")
		short := func(payload string) string { return strings.ReplaceAll(payload, "\n", "") }
		for _, body := range []string{one + "\n" + two + "\n", one + two, "\r\n" + one + "\r\n\r\n" + two, "[" + one + ",\n" + two + "]", sse(short(one), short(two)), lines(short(one), short(two))} {
			s.isWhole(s.playUnary(nil, steps(json200(body))), first+second, "STOP", "")
			n := strings.Index(body, second) - len(`{"text": `)
			s.isWhole(s.playUnary(nil, chunked200(body[:n], 40), rest), first+second, "STOP", "|"+first)
		}
		s.isWhole(s.playUnary(nil, steps(json200(docOf("", "STOP")+"\n"+docOf("", "STOP"))), whole), first+second, "STOP", "|")
	}
}

// What text cannot stand in for is asked for again: nobody has seen it.
func TestUnaryBeginsAnewWhatCannotBeContinued(t *testing.T) {
	t.Parallel()
	s := newStage(t, viaStream)
	image := event(`{"candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png","data": "AAAA"}}],"role": "model"},"index": 0}]}`)
	s.isWhole(s.playUnary(nil, steps(upstream.Text("Look: "), image, upstream.Cut()), whole), first+second, "STOP", "|")
	// So is a text with which the model does not go on.
	refused := steps(upstream.ErrorBody(400, "INVALID_ARGUMENT", "no", 0))
	s.isWhole(s.playUnary(nil, piece(first), refused, whole), first+second, "STOP", "|"+first+"|")
	s = newStage(t, nil)
	s.isWhole(s.playUnary(nil, steps(json200(docOf(first, "SAFETY"))), refused, wholeDocument), first+second, "STOP", "|"+first+"|")
	// And what did not come whole with something else than text in it.
	call := document(textPart(first)+`,{"functionCall": {"name": "f","args": {}}}`, "STOP", 1)
	s.isWhole(s.playUnary(nil, steps(upstream.LimitBody(strings.Index(call, `"finishReason"`), upstream.FIN), json200(call)), wholeDocument), first+second, "STOP", "|")
	s.isWhole(s.playUnary(nil, steps(upstream.LimitBody(strings.Index(call, `"args"`), upstream.FIN), json200(call)), wholeDocument), first+second, "STOP", "|")
}

func TestUnaryViaStreamFallsBack(t *testing.T) {
	t.Parallel()
	s := newStage(t, viaStream)
	for _, code := range []int{404, 405, 501} {
		a := s.playUnary(nil, status(code, "{}"), wholeDocument)
		if want := docOf(first+second, "STOP"); a.status != 200 || a.body != want {
			t.Errorf("%d %s", a.status, a.body)
		}
		if q := s.up.Requests(); q[0].Target != streamPath || q[1].Target != unaryPath {
			t.Errorf("%s, %s", q[0].Target, q[1].Target)
		}
	}
	// What there is not at all is said by the endpoint that was asked for.
	want := func() answer {
		s.up.SetHandler(upstream.Always(status(404, "no such model")))
		return s.send(s.up.URL()+unaryPath, s.body)
	}()
	s.passes(s.playUnary(nil, status(404, "no such stream"), status(404, "no such model")), want, 2)
	// One that answers with a document all the same is understood.
	s.isWhole(s.playUnary(nil, steps(json200(docOf(first, "SAFETY"))), restDocument), first+second, "STOP", "|"+first)
	s.passes(s.playUnary(nil, status(400, "{}")), func() answer {
		return s.send(s.up.URL()+unaryPath, s.body)
	}(), 2)
}

// An answer that outgrows what is held is given as it comes.
func TestUnaryViaStreamOfALargeAnswer(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c *proxy.Config) { c.UnaryViaStream, c.MaxTranscriptBytes = true, 1000 })
	long := strings.Repeat("0123456789", 1000)
	a := s.playUnary(nil, steps(upstream.Say(long, 100, 0, "STOP")))
	if r, err := parsed(a.body); err != nil || a.err != nil || r.text() != long || len(r.Candidates[0].Content.Parts) != 1 || r.Candidates[0].FinishReason != "STOP" {
		t.Errorf("%v %v %s", err, a.err, tail(a.body, 500))
	}
	// It is still healed as long as it can be.
	a = s.playUnary(nil, steps(upstream.Thought(long), upstream.Text(first), upstream.Cut()), rest)
	if r, err := parsed(a.body); err != nil || a.err != nil || r.text() != first+second {
		t.Errorf("%v %v %s", err, a.err, tail(a.body, 500))
	}
	// A part of it never looks whole.
	a = s.playUnary(nil, steps(upstream.Say(long, 100, 0, ""), upstream.Cut()))
	if _, err := parsed(a.body); err == nil || a.err == nil {
		t.Errorf("%v %v %s", err, a.err, tail(a.body, 500))
	}
}
