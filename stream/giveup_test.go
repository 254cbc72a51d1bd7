package stream

import (
	"strings"
	"testing"
)

func TestHeldIsThatOfTheNewestAttemptWithoutProgress(t *testing.T) {
	f := func(held, why string, streams ...string) {
		t.Helper()
		p := newPlayer()
		for _, s := range streams {
			p.play(t, s)
		}
		out, ok := p.s.AppendHeld([]byte("x"))
		if string(out) != "x"+held || ok != (held != "") || p.s.Finish() != why {
			t.Errorf("held %q, %t, %q; want %q, %q", out, ok, p.s.Finish(), held, why)
		}
		mustStrict(t, out[1:])
	}
	f("", "")
	f("", "", sse(say("a")))
	f(sse(finish("SAFETY")), "SAFETY", sse(say("a"), finish("SAFETY")))
	f(sse(empty), "STOP", sse(empty))
	// Kept through attempts that bring nothing.
	f(sse(finish("SAFETY")), "SAFETY", sse(say("a"), finish("SAFETY")), "")
	f(sse(finish("SAFETY")), "SAFETY", sse(say("a"), finish("SAFETY")), sse(failure))
	f(sse(finish("SAFETY")), "SAFETY", sse(finish("SAFETY")), sse(think("hm")))
	// Replaced by a newer one.
	f(sse(finish("OTHER")), "OTHER", sse(finish("SAFETY")), sse(finish("OTHER")))
	f(sse(empty), "STOP", sse(finish("SAFETY")), sse(empty))
	f(sse(empty, `{}`), "STOP", sse(empty, empty), sse(empty, `{}`))
	// Gone with progress: the answer has outgrown it.
	f("", "", sse(say("a"), finish("SAFETY")), sse(say("b")))
	f("", "", sse(finish("SAFETY")), sse(call("f")))
	f("", "", sse(empty), sse(say("b")))
	f(sse(finish("OTHER")), "OTHER", sse(finish("SAFETY")), sse(say("b"), finish("OTHER")))
}

func TestHeldSpeaksAsTheFirstAttempt(t *testing.T) {
	p := newPlayer()
	p.play(t, sse(with(say("a"), firstUsage+","+firstNames)))
	p.play(t, sse(with(sayEnd("b", "SAFETY"), secondUsage+","+secondNames)))
	if want := sse(with(sayEnd("b", "SAFETY"), mergedUsage+","+firstNames)); p.held() != want {
		t.Errorf("held %s, want %s", p.held(), want)
	}
}

func TestMaxTokensIsWhatTheModelWouldHaveSent(t *testing.T) {
	f := func(want string, next bool, streams ...string) {
		t.Helper()
		p := newPlayer()
		for _, s := range streams {
			p.play(t, s)
		}
		if next {
			p.s.NextAttempt()
		}
		out := p.s.AppendFinish(nil, "MAX_TOKENS")
		const head = `{"candidates": [{"content": {"parts": [{"text": ""}],"role": "model"},"finishReason": "MAX_TOKENS","index": 0}]`
		if string(out) != sse(head+want+"}") {
			t.Errorf("got %s\nwant %s", out, sse(head+want+"}"))
		}
		payload := mustStrict(t, out)[0]
		var c Chunk
		if text, ok := c.Parse([]byte(payload), nil); !ok || len(text) > 0 || string(c.Finish) != "MAX_TOKENS" || c.Kinds != 0 {
			t.Errorf("%s: finish %q, kinds %b", payload, c.Finish, c.Kinds)
		}
	}
	for _, next := range []bool{false, true} {
		// Counts that nobody named are not made up.
		f(``, next, sse(say("a")))
		f(`,"usageMetadata": {"promptTokenCount": 10,"candidatesTokenCount": 4,"thoughtsTokenCount": 3,"totalTokenCount": 17,`+
			`"promptTokensDetails": [{"modality": "TEXT","tokenCount": 10}]},`+firstNames, next, sse(with(say("a"), firstUsage+","+firstNames)))
		f(`,"usageMetadata": {"promptTokenCount": 10,"candidatesTokenCount": 10,"thoughtsTokenCount": 4,"totalTokenCount": 24,`+
			`"promptTokensDetails": [{"modality": "TEXT","tokenCount": 10}]},`+firstNames, next,
			sse(with(say("a"), firstUsage+","+firstNames)), sse(with(say("b"), secondUsage+","+secondNames)))
	}
}

func TestSpentCountsWhatWasDelivered(t *testing.T) {
	f := func(want int64, streams ...string) {
		t.Helper()
		p := newPlayer()
		for _, s := range streams {
			p.play(t, s)
		}
		p.s.NextAttempt()
		if got := p.s.Spent(); got != want {
			t.Errorf("spent %d, want %d", got, want)
		}
	}
	u := func(payload, usage string) string { return with(payload, `"usageMetadata": `+usage) }
	f(0)
	f(0, "")
	// By the usage, thoughts included.
	f(7, sse(with(say("a"), firstUsage)))
	f(4, sse(u(say("a"), `{"candidatesTokenCount": 4}`)))
	f(9, sse(u(say("a"), `{"candidatesTokenCount": 4}`), u(say("b"), `{"candidatesTokenCount": 9}`)))
	f(14, sse(with(say("a"), firstUsage)), sse(with(say("b"), secondUsage)))
	f(9, sse(u(say("a"), `{"candidatesTokenCount": 4}`), say("b")), sse(u(say("c"), `{"candidatesTokenCount": 5}`)))
	// Estimated, each attempt for itself.
	f(2, sse(say("12345")))
	f(2, sse(u(say("12345"), `{"trafficType": "ON_DEMAND"}`)))
	f(3, sse(say("12345")), sse(say("6")))
	f(12, sse(say("12345")), sse(u(say("6"), `{"candidatesTokenCount": 10}`)))
	f(100, sse(say(strings.Repeat(`\u003c`, 400))))
	// No text, nothing that a continuation would have to leave room for.
	f(0, sse(u(think("hm"), `{"candidatesTokenCount": 0,"thoughtsTokenCount": 50}`)))
	f(0, sse(u(empty, `{"candidatesTokenCount": 4}`)))
	f(0, sse(u(sayEnd("a", "SAFETY"), `{"candidatesTokenCount": 4}`)))
	// What a continuation repeated was not delivered; what it thought was spent.
	repeats := func(want int64, begin, again, more, usage string) {
		t.Helper()
		p := newPlayer()
		p.play(t, sse(u(say(inside(begin)), `{"candidatesTokenCount": 50}`)))
		p.expect = &Expect{Anchored: true}
		p.play(t, sse(u(say(inside(again+more)), usage)))
		p.s.NextAttempt()
		if got := p.s.Spent(); got != want || p.transcript() != begin+more {
			t.Errorf("%q: spent %d, want %d, transcript %q", again, got, want, p.transcript())
		}
	}
	repeats(50+25, prose[:200], prose[:200], prose[200:250], `{"candidatesTokenCount": 125}`)
	repeats(50+25+9, prose[:200], prose[:200], prose[200:250], `{"candidatesTokenCount": 125,"thoughtsTokenCount": 9}`)
	repeats(50+30, prose[:200], prose[150:200], prose[200:260], `{"candidatesTokenCount": 55}`)
	repeats(50+55, prose[:200], "", prose[200:260], `{"candidatesTokenCount": 55}`)
	// It restarts with the next answer.
	p := newPlayer()
	p.play(t, sse(say("a")))
	p.s.NextAttempt()
	p.s.Reset(Form{}, retriedReasons, 10)
	if p.s.Spent() != 0 || p.s.Delivered() != 0 || p.s.Events() != 0 || p.transcript() != "" {
		t.Error("not reset")
	}
}

// An error of the API goes on with all that it says, where clients know it for one.
func TestToldFailureSaysAllThatItSaid(t *testing.T) {
	f := func(d Dialect, payload, want string) {
		t.Helper()
		var s Splice
		s.form.Dialect = d
		out, ok := s.AppendToldFailure([]byte("x"), []byte(payload))
		if string(out) != "x"+want || ok != (want != "") {
			t.Errorf("%s: %q, %t, want %q", payload, out, ok, want)
		}
	}
	f(Native, `{"error":{"code":400,"details":[{"a":1.0}]}}`, `{"error": {"code": 400,"details": [{"a": 1.0}]}}`)
	f(Native, "\r\n{\n \"error\": {\n\t\"message\": \"a: \\n\\\" b\",\n \"code\": 599\n }\n}\n", `{"error": {"message": "a: \n\" b","code": 599}}`)
	f(Native, "{\"error\":{\"code\":400,\"message\":\"a\u2028b\\\\\"}}", `{"error": {"code": 400,"message": "a\u2028b\\"}}`)
	f(Wrapped, `{"error":{"code":404},"traceId":"t"}`, `{"error": {"code": 404},"traceId": "t"}`)
	// Some client or other passes over these.
	for _, payload := range []string{
		`{"a":1,"error":{"code":400}}`, `{"error":{"code":"400"}}`, `{"error":{"status":"INVALID_ARGUMENT"}}`, `{"error":{"code":200}}`,
		`{"error":{"code":600}}`, `{"error":{"code":4e2}}`, `{"error":"x"}`, `{"error":null}`, `[{"error":{"code":400}}]`, `{}`, "",
	} {
		f(Native, payload, "")
	}
	f(OpenAI, `{"error":{"message":"a","code":"x"}}`, `{"error": {"message": "a","code": "x"}}`)
	f(OpenAI, `{"error":"x"}`, "")
	f(OpenAI, `[{"error":{}}]`, "")
}
