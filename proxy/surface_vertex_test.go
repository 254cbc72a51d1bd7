package proxy_test

import (
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// Every path on which a model streams is healed, and goes upstream as it came,
// with the credentials that it came with.
func TestPathsOfVertexAndOthers(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	const project = "/projects/my-project-1/locations/us-central1/"
	f := func(path, model string, header ...string) {
		t.Helper()
		for _, query := range []string{"?alt=sse", "", "?alt=sse&key=default:EXPRESS", "?key=EXPRESS"} {
			sc := &scene{stage: s, f: surface{target: path + query, array: !strings.Contains(query, "sse")}, w: asArray}
			if !sc.f.array {
				sc.w = asEvents
			}
			// Vertex numbers no candidates, and counts in the last event only.
			vertex := func(text, more string) string {
				return strings.Replace(saying(text, more), `,"index": 0}],`, `}],"usageMetadata": {"trafficType": "ON_DEMAND"},"createTime": "2026-01-01T00:00:00Z",`, 1)
			}
			s.up.SetHandler(upstream.InTurn(sc.w.script(sc.f, vertex(first, ""), upstream.Cut()), sc.w.script(sc.f, vertex(second, ending("STOP")))))
			s.up.Reset()
			a := s.ask(path+query, s.body, header...)
			sc.heals(first+second, "STOP", "|"+first, a)
			for _, r := range s.up.Requests() {
				want := path + map[bool]string{true: "?alt=sse"}[!sc.f.array]
				if r.Target != want {
					t.Errorf("%s became %s", path, r.Target)
				}
				for i := 0; i < len(header); i += 2 {
					if got := r.Header.Get(header[i]); got != header[i+1] {
						t.Errorf("%s: %q became %q", header[i], header[i+1], got)
					}
				}
				if key := r.Header.Get("x-goog-api-key"); (key == "EXPRESS") != strings.Contains(query, "key=") {
					t.Errorf("key %q of %q", key, query)
				}
			}
		}
		if got := s.logged(1, "model"); got != model {
			t.Errorf("model %v, want %q", got, model)
		}
	}
	oauth := []string{"Authorization", "Bearer ya29.a0:AfH-_~+/=x", "X-Goog-User-Project", "quota"}
	const gemini = "publishers/google/models/gemini-2.5-flash:streamGenerateContent"
	for _, version := range []string{"/v1", "/v1beta1"} {
		f(version+project+gemini, "gemini-2.5-flash", oauth...)
		f(version+"/"+gemini, "gemini-2.5-flash")
		f(version+project+"endpoints/1234567890:streamGenerateContent", "1234567890", oauth...)
		f(version+project+"publishers/google/models/gemini-2.0-flash%40001:streamGenerateContent", "gemini-2.0-flash%40001", oauth...)
	}
	f("/v1beta/tunedModels/my-model-abc:streamGenerateContent", "my-model-abc", oauth...)
	f("/v1alpha/models/gemini-2.5-flash%3AstreamGenerateContent", "gemini-2.5-flash")
	f("/v1%62eta/%6Dodels/gemini%2d2.5-flas%68:stream%47enerate%43ontent", "gemini-2.5-flash")
	f("/gateway/v1/models/ft:gemini:streamGenerateContent", "ft:gemini")
}

// gemini-cli with a Google login names the model in the body.
func TestWrappedRequestNamesItsModel(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(cfg *proxy.Config) { cfg.ContinueMode = "auto" })
	for model, prefilled := range map[string]bool{"gemini-2.5-pro": true, "gemini-9": false} {
		f := surface{target: wrappedEvents.target, wrapped: true}
		s.up.SetHandler(upstream.InTurn(asEvents.script(f, firstItem, upstream.Cut()), asEvents.script(f, saying(second, ending("STOP")))))
		s.up.Reset()
		body := `{ "model" : "` + model + `", "request": ` + s.body + `, "project": "p"}`
		a := s.ask(f.target, body, "Authorization", "Bearer ya29.x")
		if r, err := f.read(a.body); err != nil || r.whole(first+second, "STOP") != nil {
			t.Fatalf("%v in %s", err, a.body)
		}
		got := string(s.up.Requests()[1].Body)
		turn := `,{"role":"model","parts":[{"text":"` + first + `"}]}`
		want := strings.Replace(body, "]}]}, ", "]}"+turn+"]}, ", 1)
		if prefilled && got != want || !prefilled && strings.Count(got, `"role":"user"`) != 2 {
			t.Errorf("%s: continued by %s, want %s", model, got, want)
		}
	}
	if got := s.logged(2, "model"); got != "gemini-2.5-pro" && got != "gemini-9" {
		t.Errorf("logged model %v", got)
	}
}

// What stands beside the response stays, and what is merged is merged inside.
func TestWrapperStays(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	event := func(trace, id, text, more string) string {
		return "data: " + `{"traceId": "` + trace + `","response": {"candidates": [{"content": {"parts": [{"text": "` + text + `"}],"role": "model"}` + more +
			`}],"usageMetadata": {"promptTokenCount": 5,"candidatesTokenCount": 2,"totalTokenCount": 7},"responseId": "` + id + `"},"remainingCredits": []}` + "\r\n\r\n"
	}
	f := surface{target: wrappedEvents.target, wrapped: true}
	s.up.SetHandler(upstream.InTurn(steps(upstream.Send(event("t1", "r1", first, "")), upstream.Cut()), steps(upstream.Send(event("t2", "r2", second, ending("STOP"))))))
	a := s.ask(f.target, f.request(s.body))
	merged := strings.NewReplacer(`"candidatesTokenCount": 2`, `"candidatesTokenCount": 4`, `"totalTokenCount": 7`, `"totalTokenCount": 9`)
	if want := event("t1", "r1", first, "") + merged.Replace(event("t2", "r1", second, ending("STOP"))); a.err != nil || a.body != want {
		t.Errorf("%v\n%s\nwant\n%s", a.err, a.body, want)
	}
}

// A long decode is resumed by a token inside the wrapped request.
func TestWrappedRequestIsResumed(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	f := surface{target: wrappedEvents.target, wrapped: true}
	s.up.SetHandler(upstream.InTurn(
		asEvents.script(f, saying(first, `,"continuationToken": "T1"`), upstream.Cut()),
		asEvents.script(f, saying(second, ending("STOP")))))
	a := s.ask(f.target, f.request(s.body))
	if r, err := f.read(a.body); err != nil || r.whole(first+second, "STOP") != nil {
		t.Errorf("%v in %s", err, a.body)
	}
	want := strings.Replace(f.request(s.body), `"request":{`, `"request":{"continuationToken":"T1",`, 1)
	if got := string(s.up.Requests()[1].Body); got != want {
		t.Errorf("resumed by %s\nwant %s", got, want)
	}
}
