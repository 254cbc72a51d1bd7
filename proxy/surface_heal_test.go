package proxy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// What a whole answer, its first part and its second part are.
var (
	wholeItems  = items(saying(first, ""), saying(second, ending("STOP")))
	firstItem   = saying(first, "")
	secondItems = items(saying(second, ending("STOP")))
)

// beginning is a whole answer's first part, and then a step.
func beginning(more ...any) []any { return append(items(firstItem), more...) }

func TestSurfacesAreHealed(t *testing.T) {
	surfaces(t, nil, func(t *testing.T, s *scene) {
		f := func(attempts string, all ...[]any) {
			t.Helper()
			s.heals(first+second, "STOP", attempts, s.plays(all...))
		}
		f("", wholeItems)
		for _, end := range []upstream.Step{upstream.Cut(), upstream.Reset(), upstream.End(), upstream.Close()} {
			f("|"+first, beginning(end), secondItems)
			f("|"+first, beginning(upstream.Send(`,{"candidates": [{"content": {"parts": [{"text": "lost`), end), secondItems)
			f("|", items(end), wholeItems)
			f("|", items(thinking("hm"), end), wholeItems)
			f("||"+first, items(end), beginning(end), secondItems)
			// The finish is enough.
			f("", append(wholeItems[:2:2], end))
		}
		// Ended in good form, without a finish.
		f("|"+first, beginning(), secondItems)
		f("|", items(), wholeItems)
		// Finishes.
		f("|", items(saying("", ending("STOP"))), wholeItems)
		f("|"+first, beginning(saying("", ending("SAFETY"))), secondItems)
		f("|"+first, beginning(saying("lost", ending("RECITATION"))), secondItems)
		f("|"+first, beginning(`{"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]}`), secondItems)
		// Errors.
		for _, code := range []int{408, 429, 500, 502, 503, 504} {
			f("|"+first, beginning(failing(code)), secondItems)
			f("|", items(failing(code)), wholeItems)
		}
		f("|"+first, beginning(upstream.Send("\n"+failing(503)+"\n")), secondItems)
		// Framing.
		f("|"+first, beginning(upstream.Wire("zz\r\n"), upstream.Cut()), secondItems)
	})
}

func TestSurfacesInBytesAndGzip(t *testing.T) {
	surfaces(t, nil, func(t *testing.T, s *scene) {
		head := upstream.Head(200, upstream.Chunked, "Content-Type", s.w.contentType)
		for _, coding := range []upstream.Script{steps(head), steps(upstream.Header("Content-Type", s.w.contentType), upstream.Gzip())} {
			var scripts []upstream.Script
			for _, all := range [][]any{beginning(upstream.Send(`{"candid`), upstream.Cut()), secondItems} {
				script := s.w.script(s.f, all...)
				scripts = append(scripts, append(coding[:len(coding):len(coding)], upstream.Sliced(1, script[1:]...)))
			}
			s.heals(first+second, "STOP", "|"+first, s.acts(scripts...))
		}
	})
}

func TestSurfacesStall(t *testing.T) {
	quick := func(cfg *proxy.Config) {
		cfg.StallTimeout, cfg.FirstEventTimeout = 300*time.Millisecond, 400*time.Millisecond
	}
	surfaces(t, quick, func(t *testing.T, s *scene) {
		s.heals(first+second, "STOP", "|"+first, s.plays(beginning(upstream.Stall()), secondItems))
		s.heals(first+second, "STOP", "|", s.plays(items(upstream.Stall()), wholeItems))
		s.heals(first+second, "STOP", "", s.plays(append(wholeItems[:2:2], upstream.Stall())))
	})
}

func TestSurfacesGiveUp(t *testing.T) {
	once := func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures = 1 }
	surfaces(t, once, func(t *testing.T, s *scene) {
		// After the first byte.
		s.breaks(first, interrupted("cut", "failures", 2), "|"+first, s.plays(beginning(upstream.Cut()), items(upstream.Send(" "), upstream.Cut())))
		s.breaks(first, interrupted("stream_error", "failures", 2), "|"+first, s.plays(beginning(failing(503)), items(failing(503))))
		s.breaks(first, failing(400), "", s.plays(beginning(failing(400))))
		// A held event ends it as it came.
		s.heals(first, "SAFETY", "|"+first, s.plays(beginning(saying("", ending("SAFETY"))), items(upstream.Cut())))
		s.heals("", "SAFETY", "|", s.plays(items(saying("", ending("SAFETY")))))
		// Before it: the upstream's own words, in the framing asked for.
		a := s.plays(items(failing(503)))
		want := failing(503)
		if s.f.array {
			want = "[" + want + "\n]"
		}
		var got, wanted any
		if json.Unmarshal([]byte(a.body), &got) != nil || json.Unmarshal([]byte(want), &wanted) != nil || fmt.Sprint(got) != fmt.Sprint(wanted) ||
			a.status != 503 || a.header.Get("Content-Type") != jsonUTF8 {
			t.Errorf("%d %q, want %q", a.status, a.body, want)
		}
		// Or the proxy's.
		a = s.acts(steps(upstream.Cut()))
		if text := strings.HasPrefix(a.body, `[{"error": {"code": 502,`) && strings.HasSuffix(a.body, "}}\n]"); a.status != 502 || text != s.f.array || !json.Valid([]byte(a.body)) {
			t.Errorf("%d %q", a.status, a.body)
		}
	})
}

func TestSurfacesFinal(t *testing.T) {
	surfaces(t, nil, func(t *testing.T, s *scene) {
		for _, reason := range []string{"MAX_TOKENS", "PROHIBITED_CONTENT", "BRAND_NEW"} {
			s.heals(first, reason, "", s.plays(beginning(saying("", ending(reason)))))
			s.heals(first+second, reason, "|"+first, s.plays(beginning(upstream.Cut()), items(saying(second, ending(reason)))))
		}
		a := s.plays(items(`{"promptFeedback": {"blockReason": "SAFETY"}}`))
		if r, err := s.f.read(a.body); err != nil || len(r.payloads) != 1 || s.up.Count() != 1 {
			t.Errorf("%v %q", err, a.body)
		}
		// A delivered call is an answer.
		call := `{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f","args": {}}}],"role": "model"}}]}`
		s.heals("", "STOP", "", s.plays(items(call, upstream.Cut())))
		// Statuses pass as they came.
		const body = "[{\n  \"error\": {\n    \"code\": 400\n  }\n}\n]"
		a = s.acts(steps(upstream.Status(400, map[string]string{"Content-Type": jsonUTF8}, body)))
		if a.status != 400 || a.body != body || s.up.Count() != 1 {
			t.Errorf("%d %q", a.status, a.body)
		}
		s.heals(first+second, "STOP", "|", s.acts(steps(upstream.Status(503, nil, body)), s.w.script(s.f, wholeItems...)))
	})
}

func TestSurfacesSpeakAsOneResponse(t *testing.T) {
	surfaces(t, nil, func(t *testing.T, s *scene) {
		named := func(text, end, id string, prompt, spent int) string {
			return fmt.Sprintf(`{"candidates": [{"content": {"parts": [{"text": %q}],"role": "model"}%s}],"usageMetadata": {"promptTokenCount": %d,"candidatesTokenCount": %d,"totalTokenCount": %d},"modelVersion": "m%s","responseId": "%s"}`,
				text, end, prompt, spent, prompt+spent, id, id)
		}
		s.body = `{"generationConfig":{"maxOutputTokens":20},` + strings.TrimPrefix(ask("hi"), "{")
		a := s.plays(items(named(first, "", "1", 10, 4), upstream.Cut()), items(thinking("hm"), named(second, ending("STOP"), "2", 30, 5)))
		r, err := s.f.read(a.body)
		if err != nil || r.whole(first+second, "STOP") != nil || r.thoughts != "" || r.usage != (usage{10, 9, 0, 19}) ||
			strings.Join(r.ids, " ") != "1" || strings.Join(r.versions, " ") != "m1" {
			t.Errorf("%v %+v in\n%s", err, r, a.body)
		}
		if got := string(s.up.Requests()[1].Body); !strings.Contains(got, `"maxOutputTokens":16`) {
			t.Errorf("continued by %s", got)
		}
		// Used up.
		s.body = strings.Replace(s.body, "20", "4", 1)
		r = s.heals(first, "MAX_TOKENS", "", s.plays(items(named(first, "", "1", 10, 4), upstream.Cut())))
		if r.usage != (usage{10, 4, 0, 14}) || len(r.ids) != 1 {
			t.Errorf("%+v", r)
		}
	})
}

func TestEachElementComesAtOnce(t *testing.T) {
	surfaces(t, nil, func(t *testing.T, s *scene) {
		goOn := make(chan struct{})
		s.up.SetHandler(upstream.Always(s.w.script(s.f, firstItem, upstream.Hold(goOn), upstream.Cut())))
		c := s.dial()
		body := s.f.request(s.body)
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", s.f.target, len(body), body)
		got, buf := "", make([]byte, 4096)
		for !strings.Contains(got, first) {
			n, err := c.Read(buf)
			if got += string(buf[:n]); err != nil {
				t.Fatalf("%v after %q", err, got)
			}
		}
		close(goOn)
	})
}
