package proxy_test

import (
	"slices"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

func TestFinalAnswersPassAsTheyCame(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	f := func(script ...upstream.Step) {
		t.Helper()
		want := s.direct(script...)
		got := s.play(nil, script)
		if got.err != nil || got.status != 200 || got.body != want.body {
			t.Errorf("%d %v\n%s\nwant\n%s", got.status, got.err, got.body, want.body)
		}
		if _, err := read(got.body); err != nil {
			t.Errorf("a strict client fails: %v", err)
		}
		if n := s.up.Count(); n != 1 {
			t.Errorf("%d attempts, want 1", n)
		}
	}
	for _, reason := range []string{
		"PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "NO_IMAGE",
		"MISSING_THOUGHT_SIGNATURE", "TOO_MANY_TOOL_CALLS", "BRAND_NEW_REASON", "MAX_TOKENS", "CONTINUATION",
	} {
		for _, end := range []upstream.Step{upstream.FinishBare(reason), upstream.Finish(reason), upstream.TextFinish("last words", reason)} {
			f(end)
			f(upstream.Text(first), end)
			f(upstream.Thought("hm"), end)
			f(upstream.Call("f", `{"a": 1.0}`), end)
			f(upstream.Text(first), end, upstream.Usage())
		}
	}
	for _, reason := range []string{"SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "JAILBREAK"} {
		f(upstream.Block(reason))
		f(upstream.Usage(), upstream.Block(reason))
	}
	// A natural end need not be of text.
	f(upstream.Call("f", `{}`), upstream.Finish("STOP"))
	f(upstream.Call("f", `{}`), upstream.FinishBare("STOP"))
	f(upstream.Text(first), upstream.Call("f", `{}`), upstream.Finish("STOP"), upstream.Usage())
	f(upstream.Send(sse(`{"candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png","data": "AAA="}}],"role": "model"},"finishReason": "STOP"}]}`)))
}

func TestFinalAnswersNeedNoEndOfTheTransport(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	f := func(script ...upstream.Step) {
		t.Helper()
		want := s.direct(script...)
		for _, end := range []upstream.Step{upstream.Cut(), upstream.Reset(), upstream.Send(half), upstream.ErrorRaw(500, "INTERNAL", "late")} {
			got := s.play(nil, slices.Concat(script, steps(end)))
			if got.err != nil || got.status != 200 || got.body != want.body || s.up.Count() != 1 {
				t.Errorf("%d attempts, %d %v\n%s\nwant\n%s", s.up.Count(), got.status, got.err, got.body, want.body)
			}
		}
	}
	f(upstream.Text(first), upstream.FinishBare("PROHIBITED_CONTENT"))
	f(upstream.FinishBare("SPII"))
	f(upstream.Block("PROHIBITED_CONTENT"))
	f(upstream.Text(first), upstream.Finish("MAX_TOKENS"))
}

// A final finish of a continuation is that of the whole answer.
func TestFinalFinishAfterASeam(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	for _, reason := range []string{"PROHIBITED_CONTENT", "BRAND_NEW_REASON", "MAX_TOKENS", "CONTINUATION"} {
		a := s.play(nil, steps(upstream.Text(first), upstream.Cut()), steps(upstream.TextFinish(second, reason)))
		s.heals(first+second, reason, "|"+first, a)
		a = s.play(nil, steps(upstream.Text(first), upstream.Cut()), steps(upstream.FinishBare(reason)))
		s.heals(first, reason, "|"+first, a)
	}
}

// An error that no retry mends ends the stream with all that the API said of it.
func TestFinalErrorSaysAllThatItSaid(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	const told = `{"error": {"code": 400,"message": "bad","status": "INVALID_ARGUMENT","details": [{"@type": "x/google.rpc.BadRequest","fieldViolations": []}]}}`
	for _, end := range []upstream.Step{upstream.Send(sse(told)), upstream.Send(told), upstream.Sliced(1, upstream.Send(told))} {
		s.breaks(first, told, "", s.play(nil, steps(upstream.Text(first), end)))
	}
	// One that clients would not see is put in words that they do.
	words := `{"error": {"code": 400,"message": "bad","status": "INVALID_ARGUMENT"}}`
	s.breaks(first, words, "", s.play(nil, steps(upstream.Text(first), upstream.Send(sse(`{"error": {"message": "bad","status": "INVALID_ARGUMENT","details": []}}`)))))
}
