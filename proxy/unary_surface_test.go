package proxy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

func TestUnaryPathsThatAreHealed(t *testing.T) {
	t.Parallel()
	for _, via := range []bool{false, true} {
		s := newStage(t, func(c *proxy.Config) { c.UnaryViaStream = via })
		for _, target := range []string{
			"/v1/models/m:generateContent",
			"/v1beta/models/gemini-2.5-flash:generateContent?alt=json",
			"/v1beta/models/m%3AgenerateContent",
			"/v1beta/models/m:%67enerate%43onten%74",
			"/v1beta/tunedModels/t:generateContent?prettyPrint=false",
			"/v1/projects/p/locations/l/publishers/google/models/m:generateContent",
			"/v1beta1/projects/p/locations/l/endpoints/1:generateContent",
			"/v1beta1/publishers/google/models/m:generateContent?%24alt=json;enum-encoding=int",
			"/any/prefix/v9/models/m:generateContent",
		} {
			scripts := []upstream.Script{begun(), restDocument}
			if via {
				scripts = []upstream.Script{piece(first), rest}
			}
			s.up.SetHandler(upstream.InTurn(scripts...))
			s.up.Reset()
			s.isWhole(s.ask(target, s.body), first+second, "STOP", "|"+first)
			for _, q := range s.up.Requests() {
				if strings.Contains(q.Target, "streamGenerateContent?alt=sse") != via || !strings.HasPrefix(q.Target, target[:len("/v1/")-1]) {
					t.Errorf("%s asked for %s", target, q.Target)
				}
			}
		}
	}
}

// v1internal puts requests and answers into objects of its own.
func TestUnaryOfTheWrapper(t *testing.T) {
	t.Parallel()
	wrapped := func(doc string) string {
		return `{"traceId": "t","response": ` + strings.TrimSpace(doc) + `,"credits": [1]}`
	}
	body := `{"model":"gemini-2.5-flash","request":` + ask("hi") + `,"project":"p"}`
	const target = "/v1internal:generateContent"
	for _, via := range []bool{false, true} {
		s := newStage(t, func(c *proxy.Config) { c.UnaryViaStream = via })
		f := func(fault, then upstream.Script, prefix string) {
			t.Helper()
			s.up.SetHandler(upstream.InTurn(fault, then))
			s.up.Reset()
			a := s.ask(target, body)
			var got struct {
				TraceID  string
				Response json.RawMessage
			}
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 || got.TraceID != "t" {
				t.Fatalf("%d %v %s", a.status, err, a.body)
			}
			r, err := parsed(string(got.Response))
			if err != nil || r.text() != first+second || strings.Count(a.body, `"finishReason":`) != 1 || r.Candidates[0].FinishReason != "STOP" {
				t.Errorf("%v %s", err, a.body)
			}
			q := s.up.Requests()[1]
			var asked struct {
				Model, Project string
				Request        struct {
					Contents []struct{ Parts []struct{ Text string } }
				}
			}
			if err := json.Unmarshal(q.Body, &asked); err != nil || asked.Model != "gemini-2.5-flash" || asked.Project != "p" || len(asked.Request.Contents) != 3 || asked.Request.Contents[1].Parts[0].Text != prefix {
				t.Errorf("%v %s", err, q.Body)
			}
			if want := target; via && q.Target != "/v1internal:streamGenerateContent?alt=sse" || !via && q.Target != want {
				t.Errorf("asked for %s", q.Target)
			}
		}
		whole := wrapped(docOf(first+second, "STOP"))
		if via {
			event := func(text, end string) upstream.Script {
				return steps(upstream.Send(sse(wrapped(`{"candidates": [{"content": {"parts": [` + textPart(text) + `],"role": "model"},"index": 0` + end + `}]}`))))
			}
			f(event(first, ""), event(second, `,"finishReason": "STOP"`), first)
			f(append(event(first, ""), upstream.Send("data: {\"response\": {\"cand"), upstream.Cut()), event(second, `,"finishReason": "STOP"`), first)
			continue
		}
		if a := s.playUnaryAt(target, body, steps(json200(whole))); a.body != whole {
			t.Errorf("%s", a.body)
		}
		rest := steps(json200(wrapped(docOf(second, "STOP"))))
		f(append(steps(upstream.LimitBody(strings.Index(whole, second), upstream.FIN)), json200(whole)), rest, first)
		f(steps(json200(wrapped(docOf(first, "SAFETY")))), rest, first)
	}
}

func (s *stage) playUnaryAt(target, body string, script upstream.Script) answer {
	s.up.SetHandler(upstream.Always(script))
	s.up.Reset()
	return s.ask(target, body)
}

// An upstream that answers in another framing than asked for is understood.
func TestUnaryInAnotherFraming(t *testing.T) {
	t.Parallel()
	for _, via := range []bool{false, true} {
		s := newStage(t, func(c *proxy.Config) { c.UnaryViaStream = via })
		one := `{"candidates": [{"content": {"parts": [` + textPart(first) + `],"role": "model"},"index": 0}]}`
		two := `{"candidates": [{"content": {"parts": [` + textPart(second) + `],"role": "model"},"finishReason": "STOP","index": 0}]}`
		array := "[" + one + "\n,\r\n" + two + "\n]"
		s.isWhole(s.playUnary(nil, steps(json200(array))), first+second, "STOP", "")
		s.isWhole(s.playUnary(nil, append(steps(upstream.LimitBody(len(one)+9, upstream.FIN)), chunked200(array, 5)...), steps(json200("["+two+"]"))), first+second, "STOP", "|"+first)
		s.isWhole(s.playUnary(nil, whole), first+second, "STOP", "")
		s.isWhole(s.playUnary(nil, piece(first), rest), first+second, "STOP", "|"+first)
		s.isWhole(s.playUnary(nil, begun(), rest), first+second, "STOP", "|"+first)
		s.isWhole(s.playUnary(nil, piece(first), restDocument), first+second, "STOP", "|"+first)
		s.isWhole(s.playUnary(nil, steps(json200(`[{"error": {"code": 503,"message": "x","status": "UNAVAILABLE"}}]`)), wholeDocument), first+second, "STOP", "|")
	}
}

// What clients keep of the first attempt, and what is summed.
func TestUnaryIsOneResponse(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	r := s.isWhole(s.playUnary(nil, steps(json200(docOf(first, "SAFETY"))), restDocument), first+second, "STOP", "|"+first)
	if r.ResponseID != "id-10" || r.ModelVersion != "gemini-2.5-flash" || len(r.Candidates[0].Content.Parts) != 1 || r.Candidates[0].Content.Role != "model" {
		t.Errorf("%+v", r)
	}
	if u := r.UsageMetadata; u.PromptTokenCount != 7 || u.CandidatesTokenCount != len(first+second) || u.TotalTokenCount != 7+len(first+second) {
		t.Errorf("%+v", u)
	}
	if s.logged(1, "healed") != true || s.logged(1, "kind") != "heal" || s.logged(1, "verdicts") != "finish,natural" || s.logged(1, "action") != "generateContent" {
		t.Errorf("%s", s.log.String())
	}
	// The budget of the continuation is what is left.
	s.body = `{"generationConfig":{"maxOutputTokens":20},` + s.body[1:]
	s.playUnary(nil, steps(json200(docOf(first, "SAFETY"))), restDocument)
	if got := string(s.up.Requests()[1].Body); !strings.Contains(got, `"maxOutputTokens":10}`) {
		t.Errorf("%s", got)
	}
	s.body = strings.Replace(s.body, "20", "10", 1)
	s.up.Reset()
	s.up.SetHandler(upstream.Always(steps(json200(docOf(first, "SAFETY")))))
	a := s.ask(unaryPath, s.body)
	if r, err := parsed(a.body); err != nil || r.text() != first || r.Candidates[0].FinishReason != "MAX_TOKENS" || s.up.Count() != 1 {
		t.Errorf("%v %d attempts %s", err, s.up.Count(), a.body)
	}
	// A JSON document must be one at the end.
	s.body = `{"generationConfig":{"responseMimeType":"application/json"},` + ask("tell me a story")[1:]
	s.up.Reset()
	s.up.SetHandler(upstream.InTurn(steps(json200(docOf(`{"a": "b`, "SAFETY"))), steps(json200(docOf(` c"}`, "STOP")))))
	if r, err := parsed(s.ask(unaryPath, s.body).body); err != nil || r.text() != `{"a": "b c"}` {
		t.Errorf("%v %+v", err, r)
	}
}

// An error that comes wrapped in an array as the first event is told without it
// to those who asked for no array.
func TestFirstEventIsAnErrorInAnArray(t *testing.T) {
	t.Parallel()
	const alone = `{"error": {"code": 400,"message": "x","status": "INVALID_ARGUMENT"}}`
	s := newStage(t, func(c *proxy.Config) { c.UnaryViaStream = true })
	failing := steps(upstream.Send("data: ["+alone+"]\r\n\r\n"), upstream.End())
	a := s.playUnary(nil, failing)
	if a.status != 400 || a.body != alone {
		t.Errorf("a document: %d %q", a.status, a.body)
	}
	a = s.playUnaryAt(nativeEvents.target, s.body, failing)
	if a.status != 400 || a.body != alone {
		t.Errorf("events: %d %q", a.status, a.body)
	}
	a = s.playUnaryAt(nativeArray.target, s.body, failing)
	if a.status != 400 || a.body != "["+alone+"]" {
		t.Errorf("an array: %d %q", a.status, a.body)
	}
}
