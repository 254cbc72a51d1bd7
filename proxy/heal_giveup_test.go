package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// chunks asks for an answer and returns the chunks of its body as they stand
// on the wire, the last one with its trailer section included.
func (s *stage) chunks(t *testing.T) (chunks []string) {
	t.Helper()
	c := s.dial()
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", streamPath, len(s.body), s.body)
	br := bufio.NewReader(c)
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = br.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	for {
		line, err := br.ReadString('\n')
		n, numErr := strconv.ParseInt(strings.TrimSuffix(line, "\r\n"), 16, 64)
		if err != nil || numErr != nil {
			t.Fatalf("chunk size %q, %v", line, err)
		}
		data := make([]byte, n+2)
		if _, err := io.ReadFull(br, data); err != nil || string(data[n:]) != "\r\n" {
			t.Fatalf("chunk %q, %v", data, err)
		}
		chunks = append(chunks, string(data[:n]))
		if n == 0 {
			return chunks
		}
	}
}

func TestErrorSequenceToTheByte(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures = 1 })
	delivered := s.direct(upstream.Text(first)).body
	s.up.SetHandler(upstream.InTurn(piece(first), steps(upstream.Cut())))
	s.up.Reset()
	failure := interrupted("connect_failed", "failures", 2)
	want := []string{delivered, "data: " + failure + "\r\n\r\n", failure, ""}
	if got := s.chunks(t); !slices.Equal(got, want) {
		t.Errorf("chunks\n%q\nwant\n%q", got, want)
	}
	if why := s.logged(1, "gave_up"); why != "failures" {
		t.Errorf("gave_up %v", why)
	}
}

// The connection stays good for another request.
func TestErrorSequenceIsAWellFramedEnd(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures = 1 })
	c := s.dial()
	br := bufio.NewReader(c)
	for range 3 {
		s.up.SetHandler(upstream.InTurn(piece(first), steps(upstream.Cut())))
		s.up.Reset()
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", streamPath, len(s.body), s.body)
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		s.breaks(first, interrupted("connect_failed", "failures", 2), "|"+first, answer{resp.StatusCode, resp.Header, string(body), err})
	}
}

func TestWhatTextCannotContinueIsGivenUp(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(cfg *proxy.Config) { cfg.MaxTranscriptBytes = 64 })
	part := func(p string) upstream.Step {
		return upstream.Send(sse(`{"candidates": [{"content": {"parts": [` + p + `],"role": "model"},"index": 0}]}`))
	}
	f := func(text, why string, delivered ...upstream.Step) {
		t.Helper()
		want := s.direct(delivered...).body
		for _, end := range []upstream.Step{upstream.Cut(), upstream.Reset(), upstream.End(), upstream.Send(half)} {
			a := s.play(nil, append(slices.Clone(delivered), end), whole)
			s.breaks(text, interrupted("cut", why, 1), "", a)
			if !strings.HasPrefix(a.body, want) {
				t.Errorf("%s\nwant\n%s", a.body, want)
			}
		}
	}
	f("", "call", part(`{"functionCall": {"name": "f","willContinue": true}}`))
	// Words that break off are no end, whatever call stands in front of them.
	f(first, "call", upstream.Call("f", `{}`), upstream.Text(first))
	f("ab", "call", upstream.Call("f", `{}`), upstream.Text("a"), upstream.Text("b"))
	f("ab", "call", upstream.Text("a"), upstream.Call("f", `{}`), upstream.Thought("hm"), upstream.Text("b"))
	f("a", "call", part(`{"functionCall": {"name": "f"}},{"text": "a"}`))
	f(first, "not_text", upstream.Text(first), part(`{"inlineData": {"mimeType": "image/png","data": "AA=="}}`))
	f("", "not_text", part(`{"fileData": {"fileUri": "x"}}`))
	f("", "not_text", part(`{"executableCode": {"language": "PYTHON","code": "1"}}`))
	f("", "not_text", part(`{"codeExecutionResult": {"outcome": "OUTCOME_OK"}}`))
	f("", "not_text", part(`{"brandNewPart": {}}`))
	long := strings.Repeat("0123456789", 10)
	f(long, "transcript_full", upstream.Say(long, 10, 0, ""))
	s.heals(long, "STOP", "", s.play(nil, steps(upstream.Say(long, 10, 0, "STOP"))))
	for _, config := range []string{`{"responseMimeType":"text/x.enum"}`, `{"responseMimeType":"text/x.enum","responseSchema":{"type":"STRING"}}`} {
		s.body = `{"generationConfig":` + config + `,` + strings.TrimPrefix(ask("hi"), "{")
		f(first, "constrained", upstream.Text(first))
		// Before the first text the request itself can be sent again.
		s.heals(first+second, "STOP", "|", s.play(nil, steps(upstream.Thought("hm"), upstream.Cut()), whole))
	}
}

func TestRefusedContinuationIsNotTheClients(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	for _, code := range []int{400, 401, 403, 404, 422, 501} {
		s.breaks(first, interrupted("refused", "refused", 2), "|"+first, s.play(nil, piece(first), status(code, `{"error": {"message": "SECRET"}}`), rest))
		// What is held is better than that.
		held := steps(upstream.Text(first), upstream.FinishBare("SAFETY"))
		want := s.direct(held...).body
		if a := s.play(nil, held, status(code, "{}"), rest); a.body != want || a.err != nil || s.attempts() != "|"+first {
			t.Errorf("%v after %q: %q", a.err, s.attempts(), a.body)
		}
	}
	s.breaks(first, interrupted("refused", "refused", 2), "|"+first, s.play(nil, piece(first), steps(upstream.Block("SAFETY")), rest))
	s.breaks(first, interrupted("refused", "refused", 2), "|"+first, s.play(nil, piece(first), steps(upstream.Status(200, nil, "{}")), rest))
}

func TestHeldEventEndsTheAnswer(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures = 1 })
	// Whose name it bears depends on what was delivered before.
	nameless := func(body string) string {
		return regexp.MustCompile(`"responseId": "[^"]*"`).ReplaceAllString(body, "")
	}
	f := func(attempts string, delivered upstream.Script, scripts ...upstream.Script) {
		t.Helper()
		want := s.direct(delivered...)
		a := s.play(nil, scripts...)
		if a.err != nil || a.status != 200 || nameless(a.body) != nameless(want.body) || a.header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%d %v %v\n%s\nwant\n%s", a.status, a.header, a.err, a.body, want.body)
		}
		if r, err := read(a.body); err != nil || len(r.ids) > 1 || s.attempts() != attempts {
			t.Errorf("%v, %q, after %q, want %q", err, r.ids, s.attempts(), attempts)
		}
	}
	for _, end := range []upstream.Step{upstream.FinishBare("SAFETY"), upstream.Finish("RECITATION"), upstream.TextFinish("last words", "OTHER")} {
		held := steps(upstream.Text(first), end)
		f("|"+first, held, held, nothing)
		f("|"+first, held, held, status(503, "{}"))
		// Before the commit point too.
		f("|", steps(end), steps(end))
		f("|", steps(end), steps(end, upstream.LF()))
		f("|", steps(upstream.Thought("hm"), end), steps(upstream.Thought("hm"), end), nothing)
	}
	f("|", steps(upstream.Finish("STOP")), steps(upstream.Finish("STOP")))
	f("|", steps(upstream.Thought("hm"), upstream.FinishBare("STOP")), steps(upstream.Thought("hm"), upstream.FinishBare("STOP")), nothing)
	// It is not held past new text.
	s.breaks(first+second, interrupted("cut", "failures", 3), "|"+first+"|"+first+second,
		s.play(nil, steps(upstream.Text(first), upstream.FinishBare("SAFETY")), piece(second), nothing))
	// Of two attempts the later one's, in the name of the first.
	a := s.play(nil, steps(upstream.Text(first), upstream.FinishBare("SAFETY")), steps(upstream.Finish("RECITATION")))
	s.heals(first, "RECITATION", "|"+first, a)
}

func TestErrorThatNoRetryHelps(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	for code, name := range map[int]string{400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED", 499: "CANCELLED", 501: "UNIMPLEMENTED"} {
		failure := fmt.Sprintf(`{"error": {"code": %d,"message": "no, \"never\"","status": %q}}`, code, name)
		for _, e := range []upstream.Step{upstream.ErrorEvent(code, name, `no, "never"`), upstream.ErrorRaw(code, name, `no, "never"`)} {
			s.breaks(first, failure, "", s.play(nil, steps(upstream.Text(first), e), rest))
			// Before anything else it is the answer.
			a := s.play(nil, steps(e), whole)
			if a.err != nil || a.status != code || !strings.Contains(a.body, name) || a.header.Get("Content-Type") != "application/json; charset=UTF-8" || s.up.Count() != 1 {
				t.Errorf("%d %v %q after %d", a.status, a.err, a.body, s.up.Count())
			}
		}
	}
	// A retried one that stays is the answer as well.
	a := s.play(nil, steps(upstream.ErrorEvent(503, "UNAVAILABLE", "overloaded")))
	if a.status != 503 || s.up.Count() != 6 || !strings.Contains(a.body, "overloaded") {
		t.Errorf("%d %q after %d", a.status, a.body, s.up.Count())
	}
}

func TestDrainEndsStreamsHonestly(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	c := s.come(steps(upstream.Text(first), upstream.FinishBare("SAFETY")), steps(upstream.Stall()))
	c.reads(t, first)
	s.arrived(1)
	s.once.Do(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		s.server.Drain(now)
		<-s.served
		s.up.Close()
	})
	text, _ := io.ReadAll(c)
	const failure = `{"error": {"code": 503,"message": "The answer was interrupted: the proxy is shutting down.","status": "UNAVAILABLE"}}`
	if got := string(text); !strings.Contains(got, "data: "+failure+"\r\n\r\n") || strings.Count(got, failure) != 2 || !strings.HasSuffix(got, failure+"\r\n0\r\n\r\n") {
		t.Errorf("%q", got)
	}
}
