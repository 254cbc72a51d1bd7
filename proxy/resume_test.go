package proxy_test

import (
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

// token is an event of a long decode: text, and a checkpoint behind it.
func token(text, token string) upstream.Step {
	return upstream.Send(`data: {"candidates": [{"content": {"parts": [{"text": "` + text + `"}],"role": "model"},"continuationToken": "` + token + `","index": 0}]}` + "\r\n\r\n")
}

// A stream with checkpoints is resumed by the newest of them. What had been
// delivered behind it is dropped if it comes again; if something else comes,
// the answer is continued by its text.
func TestLongDecodeIsResumed(t *testing.T) {
	s := newStage(t, nil)
	f := func(again string, attempts int, later ...upstream.Script) {
		t.Helper()
		scripts := append([]upstream.Script{
			{token("Once ", "T1"), upstream.Text("upon "), upstream.Cut()},
			{upstream.Text(again), upstream.Finish("STOP")},
		}, later...)
		a := s.play(nil, scripts...)
		r, err := read(a.body)
		if err != nil || r.text != "Once upon a time." || r.raw != "" {
			t.Errorf("%q again: %q, %v", again, a.body, err)
		}
		got := s.up.Requests()
		if len(got) != attempts {
			t.Fatalf("%q again: %d attempts, want %d", again, len(got), attempts)
		}
		if body := string(got[1].Body); !strings.Contains(body, `"continuationToken":"T1"`) || strings.Contains(body, "Once") {
			t.Errorf("%q again: resumed with %s", again, body)
		}
		if attempts == 3 {
			if body := string(got[2].Body); strings.Contains(body, "continuationToken") || !strings.Contains(body, `"Once upon "`) {
				t.Errorf("%q again: continued with %s", again, body)
			}
		}
	}
	f("upon a time.", 2)
	f("below a time.", 3, upstream.Script{upstream.Text("a time."), upstream.Finish("STOP")})
}

// A hop of a long decode that was continued by its text ends with a token that is
// no use to the client: the proxy goes on.
func TestEndOfAHopThatTheClientDidNotAskFor(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	hop := upstream.Send(sse(`{"candidates": [{"content": {"parts": [{"text": ""}],"role": "model"},"finishReason": "CONTINUATION","continuationToken": "T","index": 0}]}`))
	a := s.play(nil, piece(first), steps(upstream.Text("a "), hop), steps(upstream.TextFinish(second, "STOP")))
	s.heals(first+"a "+second, "STOP", "|"+first+"|"+first+"a ", a)
	// Its own hop is its own to go on from.
	a = s.play(nil, steps(upstream.Text(first), hop), whole)
	s.heals(first, "CONTINUATION", "", a)
	if !strings.Contains(a.body, `"continuationToken": "T"`) {
		t.Errorf("no token in %s", a.body)
	}
}
