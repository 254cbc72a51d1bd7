package proxy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// surface is a way to ask for a stream, and what its client makes of it.
type surface struct {
	target  string
	wrapped bool
	array   bool
}

const arrayPath = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"

var (
	nativeEvents  = surface{target: streamPath}
	nativeArray   = surface{target: arrayPath, array: true}
	wrappedEvents = surface{target: "/v1internal:streamGenerateContent?alt=sse", wrapped: true}
	wrappedArray  = surface{target: "/v1internal:streamGenerateContent", wrapped: true, array: true}
)

// request is the body that asks in contents.
func (f surface) request(body string) string {
	if !f.wrapped {
		return body
	}
	return `{"model":"gemini-9","project":"p","user_prompt_id":"u","request":` + body + `,"after":[]}`
}

// continued returns the text that a request asks to continue.
func (f surface) continued(original, body string) (string, error) {
	if f.wrapped {
		before, after, _ := strings.Cut(f.request("|"), "|")
		inner, begins := strings.CutPrefix(body, before)
		inner, ends := strings.CutSuffix(inner, after)
		if !begins || !ends {
			return "", fmt.Errorf("the wrapper is not in %s", body)
		}
		body = inner
	}
	return continued(original, body)
}

// read reads a body of the surface as its strictest client does.
func (f surface) read(body string) (reading, error) {
	if !f.array {
		if f.wrapped {
			body = unwrapped(body)
		}
		return read(body)
	}
	return f.readArray(body)
}

// readArray reads one JSON array with nothing around it: generated clients
// stumble over a line break behind it.
func (f surface) readArray(body string) (r reading, err error) {
	if body[:1] != "[" || body[len(body)-1:] != "]" {
		return r, fmt.Errorf("no array: %.80q", body)
	}
	var list []json.RawMessage
	if err = json.Unmarshal([]byte(body), &list); err != nil {
		return r, err
	}
	for _, e := range list {
		if r.failure != "" {
			return r, fmt.Errorf("%.80q follows the error", e)
		}
		var line bytes.Buffer
		if err = json.Compact(&line, e); err != nil {
			return r, err
		}
		p := line.String()
		if f.wrapped {
			p = unwrap(p)
		}
		for _, c := range []string{"\u2028", "\u2029", "\u0085", "\x7f"} {
			p = strings.ReplaceAll(p, c, fmt.Sprintf(`\u%04x`, []rune(c)[0])) // an array may hold these
		}
		if err = r.take(strings.Replace(p, `{"error":{"code":`, `{"error": {"code":`, 1)); err != nil {
			return r, fmt.Errorf("%w in %.200q", err, p)
		}
	}
	return r, nil
}

// unwrap returns the response in a payload; one without any, such as an
// error, stays as it is.
func unwrap(p string) string {
	var v struct {
		TraceID  string `json:"traceId"`
		Response json.RawMessage
	}
	if json.Unmarshal([]byte(p), &v) != nil || v.Response == nil {
		return p
	}
	return string(v.Response)
}

// unwrapped takes the wrappers out of a stream of events.
func unwrapped(body string) string {
	events := strings.Split(body, "\r\n\r\n")
	for i, e := range events {
		if p, ok := strings.CutPrefix(e, "data: "); ok {
			events[i] = "data: " + unwrap(p)
		}
	}
	return strings.Join(events, "\r\n\r\n")
}

// format is how an upstream writes its payloads.
type format struct {
	name         string
	contentType  string
	open, close  string
	front, after string // around each payload
	between      string
	pretty       bool
}

const jsonUTF8 = "application/json; charset=UTF-8"

var (
	asEvents = format{name: "events", contentType: "text/event-stream", front: "data: ", after: "\r\n\r\n"}
	asArray  = format{name: "array", contentType: jsonUTF8, open: "[", between: "\n,\r\n", close: "\n]\n"}
	asPretty = format{name: "pretty", contentType: jsonUTF8, open: " [ \r\n", between: "\r\n , \t\n\n\n", close: "\r\n\r\n]", pretty: true}
	asTight  = format{name: "tight", contentType: "application/json", open: "[", between: ",", close: "]"}
	asLines  = format{name: "lines", contentType: "application/x-ndjson", after: "\n"}
	asBare   = format{name: "concatenated", contentType: "text/event-stream"}
	formats  = []format{asEvents, asArray, asPretty, asTight, asLines, asBare}
)

// script writes items: a string is a payload, anything else a step.
func (w format) script(f surface, items ...any) upstream.Script {
	s := steps(upstream.Head(200, upstream.Chunked, "Content-Type", w.contentType))
	n, ended := 0, false
	for _, item := range items {
		p, ok := item.(string)
		if !ok {
			s = append(s, item.(upstream.Step))
			ended = true
			continue
		}
		if f.wrapped && !strings.HasPrefix(p, `{"error"`) {
			p = `{"traceId": "t","response": ` + p + `}`
		}
		if w.pretty {
			var b bytes.Buffer
			if err := json.Indent(&b, []byte(p), "", "  "); err == nil {
				p = b.String()
			}
		}
		lead := w.between
		if n++; n == 1 {
			lead = w.open
		}
		s = append(s, upstream.Send(lead+w.front+p+w.after))
	}
	if n == 0 {
		s = append(s, upstream.Send(w.open))
	}
	if !ended {
		s = append(s, upstream.Send(w.close))
	}
	return s
}

// Payloads of the stories.
func saying(text, more string) string {
	return fmt.Sprintf(`{"candidates": [{"content": {"parts": [{"text": %q}],"role": "model"}%s,"index": 0}],"modelVersion": "m"}`, text, more)
}

func thinking(text string) string {
	return fmt.Sprintf(`{"candidates": [{"content": {"parts": [{"text": %q,"thought": true}],"role": "model"},"index": 0}]}`, text)
}

func ending(reason string) string { return `,"finishReason": "` + reason + `"` }

func failing(code int) string {
	return fmt.Sprintf(`{"error": {"code": %d,"message": "}]\"","status": "UNAVAILABLE"}}`, code)
}

// surfaces runs test for each surface and each way in which an upstream may
// answer it. Its f plays attempts, each a list of items.
func surfaces(t *testing.T, change func(*proxy.Config), test func(t *testing.T, s *scene)) {
	t.Parallel()
	for _, f := range []surface{nativeEvents, nativeArray, wrappedEvents, wrappedArray} {
		for _, w := range formats {
			t.Run(f.target+"/"+w.name, func(t *testing.T) {
				t.Parallel()
				test(t, &scene{stage: newStage(t, change), f: f, w: w})
			})
		}
	}
}

// scene is a stage for one surface and one way of answering.
type scene struct {
	*stage
	f surface
	w format
}

// plays answers one request with attempts, the last one for all that follow.
func (s *scene) plays(attempts ...[]any) answer {
	var scripts []upstream.Script
	for _, items := range attempts {
		scripts = append(scripts, s.w.script(s.f, items...))
	}
	return s.acts(scripts...)
}

func (s *scene) acts(scripts ...upstream.Script) answer {
	s.up.SetHandler(upstream.InTurn(scripts...))
	s.up.Reset()
	return s.ask(s.f.target, s.f.request(s.body))
}

// said tells what the attempts asked for, as stage.attempts does.
func (s *scene) said() string {
	var all []string
	for _, r := range s.up.Requests() {
		text, err := s.f.continued(s.body, string(r.Body))
		if err != nil {
			text = fmt.Sprintf("(%v)", err)
		}
		all = append(all, text)
	}
	return strings.Join(all, "|")
}

// check reads an answer and compares it.
func (s *scene) check(text, attempts string, a answer, end func(r *reading) error) reading {
	s.t.Helper()
	r, err := reading{}, errors.New("no body")
	if a.body != "" {
		r, err = s.f.read(a.body)
	}
	if err == nil {
		err = end(&r)
	}
	want := "text/event-stream"
	if s.f.array {
		want = "application/json"
	}
	kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	if err != nil || a.err != nil || a.status != 200 || kind != want || r.text != text {
		s.t.Errorf("%d %v %q, %v %v, text %q, want %q in\n%.2000s", a.status, a.err, kind, err, r.finishes, r.text, text, a.body)
	}
	if got := s.said(); got != attempts {
		s.t.Errorf("attempts %q, want %q", got, attempts)
	}
	return r
}

// heals checks that an answer is whole.
func (s *scene) heals(text, finish, attempts string, a answer) reading {
	s.t.Helper()
	return s.check(text, attempts, a, func(r *reading) error { return r.whole(text, finish) })
}

// breaks checks that an answer ends with an error that clients see.
func (s *scene) breaks(text, failure, attempts string, a answer) {
	s.t.Helper()
	s.check(text, attempts, a, func(r *reading) error {
		compact := func(s string) string {
			var b bytes.Buffer
			json.Compact(&b, []byte(s))
			return b.String()
		}
		if compact(r.failure) != compact(failure) || !s.f.array && r.raw != failure || len(r.finishes) > 0 {
			return fmt.Errorf("failure %q, raw %q, finishes %q, want %q", r.failure, r.raw, r.finishes, failure)
		}
		return nil
	})
}

func items(all ...any) []any { return slices.Clone(all) }
