package proxy_test

import (
	"fmt"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// What is no stream is passed on as it is, whatever pieces it comes in.
func TestWhatIsNoStreamPassesAsItIs(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	f := func(target, contentType, body string) {
		t.Helper()
		for _, framing := range []upstream.Framing{upstream.Chunked, upstream.Length(int64(len(body))), upstream.UntilClose} {
			head := upstream.Head(200, framing, "Content-Type", contentType, "X-Test", "1")
			for _, send := range []upstream.Step{upstream.Send(body), upstream.Sliced(1, upstream.Send(body[:min(len(body), 400)]), upstream.Sliced(4096, upstream.Send(body[min(len(body), 400):])))} {
				s.up.SetHandler(upstream.Always(steps(head, send)))
				s.up.Reset()
				a := s.ask(target, s.body)
				if a.err != nil || a.status != 200 || a.body != body || a.header.Get("Content-Type") != contentType || a.header.Get("X-Test") != "1" || s.up.Count() != 1 {
					t.Errorf("%s: %d %v %v, %d attempts, %.200q, want %.200q", target, a.status, a.err, a.header, s.up.Count(), a.body, body)
				}
			}
		}
	}
	for _, target := range []string{streamPath, arrayPath, wrappedEvents.target} {
		f(target, "text/html; charset=utf-8", "<html>{\"a\": 1} data: x\n\n</html>")
		f(target, "image/png", "\x89PNG\r\n\x1a\n"+strings.Repeat("\x00[{data", 50_000))
		f(target, "text/plain", "data: {}\n\n")
		f(target, "application/octet-stream", "[{}]")
		f(target, jsonUTF8, `["a", "b"]`)
		f(target, jsonUTF8, `"data: x"`)
		f(target, jsonUTF8, " \n null ")
		f(target, "application/json", "[[1]]")
	}
	// One object is an answer of its own where events were asked for.
	one := "\r\n {\n  \"candidates\": []\n}\n"
	f(streamPath, jsonUTF8, one)
	f(wrappedEvents.target, "application/json", one)
	f(streamPath, "Application/JSON", `{"long": "`+strings.Repeat("x", 200_000)+`"}`)
	// Where an array was, it is the first of its elements.
	s.up.SetHandler(upstream.Always(steps(upstream.Status(200, map[string]string{"Content-Type": jsonUTF8}, saying(first, ending("STOP"))))))
	a := s.ask(arrayPath, s.body)
	if r, err := nativeArray.read(a.body); err != nil || r.whole(first, "STOP") != nil {
		t.Errorf("%v %q", err, a.body)
	}
}

// An answer of which a client wants a part never says that it is whole.
func TestPartOfAnAnswerPasses(t *testing.T) {
	t.Parallel()
	const part = `{"candidates": [{"content": {"parts": [{"text": "Hello"}]}}]}`
	for _, mode := range []string{"on", "shadow"} {
		s := newStage(t, func(c *proxy.Config) { c.Heal = mode })
		f := func(target, contentType, body string, header ...string) {
			t.Helper()
			s.up.SetHandler(upstream.Always(steps(upstream.Head(200, upstream.Chunked, "Content-Type", contentType), upstream.Send(body))))
			s.up.Reset()
			a := s.ask(target, s.body, header...)
			if a.err != nil || a.status != 200 || a.body != body || s.up.Count() != 1 {
				t.Errorf("%s %v: %d %v, %d attempts, %q", target, header, a.status, a.err, s.up.Count(), a.body)
			}
		}
		for _, name := range []string{"fields", "$fields", "%24fields"} {
			f(streamPath+"&"+name+"=candidates.content", "text/event-stream", sse(part))
			f(arrayPath+"?"+name+"=candidates.content", jsonUTF8, "["+part+"]")
			f(unaryPath+"?"+name+"=candidates.content", jsonUTF8, part)
		}
		mask := []string{"X-Goog-FieldMask", "candidates.content"}
		f(streamPath, "text/event-stream", sse(part), mask...)
		f(arrayPath, jsonUTF8, "["+part+"]", mask...)
		f(unaryPath, jsonUTF8, part, mask...)
		f(arrayPath+"?callback=f", "text/javascript", "f(["+part+"]);")
		f("/v1beta/interactions", "text/event-stream", sse(part), mask...)
		s.stop()
		for _, line := range strings.Split(scrape(s.rig), "\n") {
			if strings.Contains(line, "interruptions_total{") && !strings.HasSuffix(line, " 0") {
				t.Errorf("%s: %s", mode, line)
			}
		}
	}
	s := newStage(t, nil)
	s.heals(first+second, "STOP", "|"+first, s.play([]string{"X-Goog-FieldMask", "*"}, piece(first), rest))
}

func TestCompressedJSONPassesDecoded(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	body := `{"long": "` + strings.Repeat("x", 100_000) + `"}`
	s.up.SetHandler(upstream.Always(steps(upstream.Header("Content-Type", jsonUTF8), upstream.Gzip(), upstream.Send(body))))
	a := s.ask(streamPath, s.body)
	if a.err != nil || a.body != body || a.header.Get("Content-Encoding") != "" || a.header.Get("Content-Type") != jsonUTF8 {
		t.Errorf("%v %v %d bytes of %d", a.err, a.header, len(a.body), len(body))
	}
}

// A continuation that is answered by something else is not the client's.
func TestContinuationThatIsNoStreamIsNotTheClients(t *testing.T) {
	surfaces(t, nil, func(t *testing.T, s *scene) {
		for _, no := range []upstream.Step{
			upstream.Status(200, map[string]string{"Content-Type": "text/html"}, "<html>"),
			upstream.Status(200, map[string]string{"Content-Type": jsonUTF8}, `["a"]`),
		} {
			a := s.acts(s.w.script(s.f, beginning(upstream.Cut())...), steps(no), s.w.script(s.f, secondItems...))
			s.breaks(first, interrupted("refused", "refused", 2), "|"+first, a)
		}
	})
}

// An empty JSON body is an answer that did not come.
func TestEmptyBodyIsAskedForAgain(t *testing.T) {
	surfaces(t, nil, func(t *testing.T, s *scene) {
		for _, empty := range []string{"", " \n", "[]", "[\n]\n"} {
			no := steps(upstream.Status(200, map[string]string{"Content-Type": jsonUTF8}, empty))
			s.heals(first+second, "STOP", "|", s.acts(no, s.w.script(s.f, wholeItems...)))
		}
	})
}

func TestFramingIsThatOfTheQuery(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	s.up.SetHandler(upstream.Always(asArray.script(nativeArray, wholeItems...)))
	f := func(query, contentType string) {
		t.Helper()
		a := s.ask(arrayPath+query, s.body)
		if kind := a.header.Get("Content-Type"); a.status != 200 || !strings.HasPrefix(kind, contentType) {
			t.Errorf("%q: %d %q", query, a.status, kind)
		}
	}
	f("", "application/json")
	f("?", "application/json")
	f("?alt=", "application/json")
	f("?alt=json", "application/json")
	f("?prettyPrint=false&alt=json", "application/json")
	f("?$alt=json%3Benum-encoding%3Dint", "application/json")
	f("?%24alt=json;enum-encoding=int", "application/json")
	f("?alt=sse", "text/event-stream")
	f("?alt=%73se", "text/event-stream")
	f("?$alt=sse", "text/event-stream")
	f("?alt=json&alt=sse", "text/event-stream")
	// Others cannot be read.
	s.up.SetHandler(upstream.Always(asArray.script(nativeArray, firstItem, upstream.Cut())))
	s.up.Reset()
	if a := s.ask(arrayPath+"?alt=proto", s.body); a.err == nil || s.up.Count() != 1 {
		t.Errorf("%v after %d attempts: %q", a.err, s.up.Count(), a.body)
	}
}

// Generated clients ask for numbers in place of names.
func TestEnumerationsAsNumbers(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	f := func(attempts int, finish string, scripts ...upstream.Script) {
		t.Helper()
		s.up.SetHandler(upstream.InTurn(scripts...))
		s.up.Reset()
		a := s.ask(arrayPath+"?$alt=json;enum-encoding=int", s.body)
		if a.err != nil || s.up.Count() != attempts || !strings.HasSuffix(a.body, finish+`,"index": 0}],"modelVersion": "m"}`+"\n]") {
			t.Errorf("%v after %d attempts: %q", a.err, s.up.Count(), a.body)
		}
	}
	number := func(n int) string { return fmt.Sprintf(`,"finishReason": %d`, n) }
	of := func(items ...any) upstream.Script { return asArray.script(nativeArray, items...) }
	f(1, number(1), of(saying(first, number(1))))
	f(1, number(2), of(saying(first, number(2))))
	f(2, number(1), of(firstItem, saying("", number(3))), of(saying(second, number(1))))
	f(1, number(12), of(saying(first, number(12))))
}

// HEAL=shadow counts on every surface, and touches nothing.
func TestShadowSeesEverySurface(t *testing.T) {
	quiet := func(cfg *proxy.Config) { cfg.Heal = "shadow" }
	surfaces(t, quiet, func(t *testing.T, s *scene) {
		script := s.w.script(s.f, beginning(saying("", ending("SAFETY")))...)
		s.up.SetHandler(upstream.Always(script))
		want := s.send(s.up.URL()+s.f.target, s.f.request(s.body))
		s.up.Reset()
		a := s.ask(s.f.target, s.f.request(s.body))
		if a.err != nil || a.body != want.body || s.up.Count() != 1 {
			t.Errorf("%v %q, want %q", a.err, a.body, want.body)
		}
		if got := s.logged(1, "verdicts"); got != "finish,natural" {
			t.Errorf("verdicts %v", got)
		}
	})
}
