package stream

import (
	"slices"
	"strings"
	"testing"
)

const (
	empty   = `{"candidates": [{"content": {"parts": [{"text": ""}],"role": "model"},"finishReason": "STOP","index": 0}]}`
	blocked = `{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}`
	failure = `{"error": {"code": 503,"message": "overloaded","status": "UNAVAILABLE"}}`
)

// storyTest returns a check of a whole story: the verdicts of the attempts,
// what the client gets, and the transcript.
func storyTest(t *testing.T) func(verdicts, want, transcript string, streams ...string) *player {
	return func(verdicts, want, transcript string, streams ...string) *player {
		t.Helper()
		p := newPlayer()
		var got []string
		for _, stream := range streams {
			got = append(got, p.play(t, stream).String())
		}
		if !slices.Equal(got, strings.Fields(verdicts)) {
			t.Errorf("verdicts %q, want %q", got, verdicts)
		}
		if string(p.out) != want {
			t.Errorf("the client got\n%s\nwant\n%s", p.out, want)
		}
		if p.transcript() != transcript {
			t.Errorf("transcript %q, want %q", p.transcript(), transcript)
		}
		mustStrict(t, p.out)
		mustStrict(t, []byte(p.held()))
		return p
	}
}

func TestNaturalEndPassesToTheByte(t *testing.T) {
	f := storyTest(t)
	whole := func(verdict, transcript string, payloads ...string) {
		t.Helper()
		f(verdict, sse(payloads...), transcript, sse(payloads...))
	}
	whole("complete", "ab", say("a"), sayEnd("b", "STOP"))
	whole("complete", "a", say("a"), finish("STOP"))
	whole("complete", "a", say("a"), empty)
	whole("complete", "a", think("hm"), say("a"), empty)
	whole("complete", "ab", say("a"), sayEnd("b", "MAX_TOKENS"))
	whole("complete", "a", say("a"), finish("CONTINUATION"))
	// Without text, but for a reason that the client must see.
	whole("complete", "", finish("MAX_TOKENS"))
	whole("complete", "", think("hm"), finish("MAX_TOKENS"))
	// An answer need not be text.
	whole("complete", "", call("f"), finish("STOP"))
	whole("complete", "", candidate(`{"inlineData": {"data": "AA=="}}`, ending("STOP")))
	whole("complete", "", candidate(`{"hologram": {}}`, ending("STOP")))
	// Events that say little, before and after.
	whole("complete", "a", `{"usageMetadata": {"promptTokenCount": 1}}`, `{}`, say("a"), finish("STOP"), `{"usageMetadata": {"totalTokenCount": 2}}`)
	whole("complete", "a", `{"candidates": []}`, `{"candidates": null}`, candidate("", ""), sayEnd("a", "STOP"))
	// Prose that looks like an end.
	whole("cut", `"finishReason": "STOP"`, say(`\"finishReason\": \"STOP\"`))
	whole("complete", `"finishReason": "SAFETY"`, sayEnd(`\"finishReason\": \"SAFETY\"`, "STOP"))
}

func TestFramingIsMadeStrict(t *testing.T) {
	f := storyTest(t)
	f("complete", sse(sayEnd("a", "STOP")), "a", "data: "+sayEnd("a", "STOP")+"\n\n")
	f("complete", sse(sayEnd("a", "STOP")), "a", ": ping\n\nevent: x\rid: 1\rdata:"+sayEnd("a", "STOP")+"\r\r")
	f("complete", sse(sayEnd("a", "STOP")), "a", "\ufeff"+sayEnd("a", "STOP"))
	f("complete", sse(`{"candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": "a"}]}}]}`), "a",
		"data: {\"candidates\": [{\"finishReason\": \"STOP\",\ndata: \"content\": {\"parts\": [{\"text\": \"a\"}]}}]}\n\n")
	f("complete", sse(sayEnd(`a\u2028\u0085`, "STOP")), "a\u2028\u0085", sse(sayEnd("a\u2028\u0085", "STOP")))
}

func TestEmptyStopIsHeld(t *testing.T) {
	f := storyTest(t)
	held := func(want, out string, streams ...string) {
		t.Helper()
		p := f("empty", out, "", streams...)
		if p.held() != want || p.s.Finish() != "STOP" || p.s.Progress() {
			t.Errorf("held %q, finish %q", p.held(), p.s.Finish())
		}
	}
	held(sse(empty), "", sse(empty))
	held(sse(finish("STOP")), "", sse(finish("STOP")))
	held(sse(empty), sse(think("hm")), sse(think("hm"), empty))
	held(sse(empty, `{"usageMetadata": {"totalTokenCount": 2}}`), "", sse(empty, `{"usageMetadata": {"totalTokenCount": 2}}`))
	held(sse(empty, empty, think("hm")), "", sse(empty, empty, think("hm")))
	held(sse(empty), "", sse(empty, "[DONE]"))
	// An answer in the same attempt releases it, whole.
	f("complete", sse(empty, say("a"), finish("STOP")), "a", sse(empty, say("a"), finish("STOP")))
	f("complete", sse(empty, `{}`, call("f"), empty), "", sse(empty, `{}`, call("f"), empty))
	f("cut", sse(empty, say("a")), "a", sse(empty, say("a")))
	f("complete", sse(empty, finish("MAX_TOKENS")), "", sse(empty, finish("MAX_TOKENS")))
	f("policy", sse(empty, blocked), "", sse(empty, blocked))
	// One of another attempt does not.
	f("empty complete", sse(say("a"), finish("STOP")), "a", sse(empty), sse(say("a"), finish("STOP")))
	// After an answer an empty STOP is an end.
	f("cut complete", sse(say("a"), empty), "a", sse(say("a")), sse(empty))
}

func TestReleasedEventsAreNotHeldAnyMore(t *testing.T) {
	p := newPlayer()
	p.play(t, sse(empty, finish("MAX_TOKENS"))+"data: {\"cand")
	if string(p.out) != sse(empty, finish("MAX_TOKENS")) || p.held() != "" {
		t.Errorf("got %q, held %q", p.out, p.held())
	}
}

func TestRetriedFinishIsHeld(t *testing.T) {
	f := storyTest(t)
	for _, reason := range []string{"SAFETY", "RECITATION", "LANGUAGE", "OTHER", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"} {
		p := f("finish", sse(say("a")), "a", sse(say("a"), finish(reason)))
		if p.held() != sse(finish(reason)) || p.s.Finish() != reason {
			t.Errorf("%s: held %q, %s", reason, p.held(), p.s.Finish())
		}
		// Its text is held with it and is no part of the transcript.
		p = f("finish", sse(say("a")), "a", sse(say("a"), sayEnd("b", reason), say("never read")))
		if p.held() != sse(sayEnd("b", reason)) {
			t.Errorf("%s: held %q", reason, p.held())
		}
		f("finish", "", "", sse(sayEnd("b", reason)))
		f("finish", sse(think("hm")), "", sse(think("hm"), finish(reason)))
		// It replaces an empty STOP.
		if p = f("finish", "", "", sse(empty, finish(reason))); p.held() != sse(finish(reason)) {
			t.Errorf("%s: held %q", reason, p.held())
		}
	}
}

func TestPolicyIsFinal(t *testing.T) {
	f := storyTest(t)
	for _, reason := range []string{
		"PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "IMAGE_SAFETY", "MISSING_THOUGHT_SIGNATURE", "TOO_MANY_TOOL_CALLS", "BRAND_NEW_REASON", "stop",
	} {
		f("policy", sse(say("a"), finish(reason)), "a", sse(say("a"), finish(reason)))
		f("policy", sse(finish(reason)), "", sse(finish(reason)))
		f("policy", sse(sayEnd("a", reason)), "a", sse(sayEnd("a", reason)))
		f("cut policy", sse(say("a"), sayEnd("b", reason)), "ab", sse(say("a")), sse(sayEnd("b", reason)))
		// Nothing after it makes it an interruption.
		f("policy", sse(finish(reason)), "", sse(finish(reason), failure))
		f("policy", sse(finish(reason)), "", sse(finish(reason))+"data: {\"cand")
		f("policy", sse(finish(reason), empty), "", sse(finish(reason), empty))
		f("policy", sse(finish(reason), finish("SAFETY")), "", sse(finish(reason), finish("SAFETY")))
	}
}

func TestBlockedPromptIsFinal(t *testing.T) {
	f := storyTest(t)
	f("policy", sse(blocked), "", sse(blocked))
	f("policy", sse(blocked), "", sse(blocked)+failure)
	f("policy", sse(say("a"), blocked), "a", sse(say("a"), blocked))
	f("cut policy", sse(blocked), "", "", sse(blocked))
	f("cut policy", sse(think("hm"), blocked), "", sse(think("hm")), sse(blocked))
	// That of a continuation is not the client's.
	f("cut refused", sse(say("a")), "a", sse(say("a")), sse(blocked))
}

func TestCutIsAnInterruption(t *testing.T) {
	f := storyTest(t)
	f("cut", "", "", "")
	f("cut", sse(say("a")), "a", sse(say("a")))
	f("cut", sse(think("hm")), "", sse(think("hm")))
	f("cut", sse(call("f")), "", sse(call("f")))
	f("cut", sse(`{}`), "", sse(`{}`))
	// Half an event.
	stop := sse(sayEnd("b", "STOP"))
	for cut := 1; cut < len(stop)-len("\r\n\r\n"); cut++ {
		f("cut", sse(say("a")), "a", sse(say("a"))+stop[:cut])
	}
	f("cut", sse(say("a")), "a", sse(say("a"), `{"candidates"`))
	// A whole one whose blank line is missing counts.
	for cut := len(stop) - len("\r\n\r\n"); cut < len(stop); cut++ {
		f("complete", sse(say("a"), sayEnd("b", "STOP")), "ab", sse(say("a"))+stop[:cut])
	}
	f("cut", sse(say("a"), say("b")), "ab", sse(say("a"))+"data: "+say("b"))
	f("finish", sse(say("a")), "a", sse(say("a"))+"data: "+finish("SAFETY"))
	f("error", sse(say("a")), "a", sse(say("a"))+"data: "+failure)
	// What says nothing.
	f("cut", sse(say("a")), "a", sse(say("a"), "[DONE]"))
	f("cut", sse(say("a"), say("b")), "ab", sse(say("a"), "", "[DONE]", say("b")))
	f("complete", sse(sayEnd("a", "STOP")), "a", sse(sayEnd("a", "STOP"), "", "[DONE]", "garbage"))
	f("cut", sse(say("a")), "a", sse(say("a"), "garbage", finish("STOP")))
}

func TestErrorInTheStream(t *testing.T) {
	const pretty = "{\n  \"error\": {\n    \"code\": 429,\n    \"message\": \"x\",\n    \"status\": \"RESOURCE_EXHAUSTED\"\n  }\n}\n"
	f := storyTest(t)
	failed := func(code int, want, transcript, stream string) {
		t.Helper()
		if p := f("error", want, transcript, stream); p.s.Failure().Code != code {
			t.Errorf("%+v", p.s.Failure())
		}
	}
	failed(503, sse(say("a")), "a", sse(say("a"), failure))
	failed(503, "", "", sse(failure))
	failed(503, "", "", failure)
	failed(429, sse(say("a")), "a", sse(say("a"))+pretty)
	failed(429, sse(say("a")), "a", sse(say("a"))+"["+pretty+"]\n")
	failed(500, sse(say("a")), "a", sse(say("a"), `{"error": "boom"}`))
	// After a finish: the answer is complete, unless there was none.
	f("complete", sse(sayEnd("a", "STOP")), "a", sse(sayEnd("a", "STOP"))+pretty)
	f("complete", sse(say("a"), finish("STOP")), "a", sse(say("a"), finish("STOP"), failure))
	failed(429, "", "", sse(empty)+pretty)
	failed(503, sse(think("hm")), "", sse(think("hm"), empty, failure))
	// Half of one is no event.
	f("cut", sse(say("a")), "a", sse(say("a"))+pretty[:20])
	f("complete", sse(sayEnd("a", "STOP")), "a", sse(sayEnd("a", "STOP"))+pretty[:20])
}

func TestStopInEveryEventProvesNothing(t *testing.T) {
	f := storyTest(t)
	every := []string{sayEnd("a", "STOP"), sayEnd("b", "STOP"), sayEnd("c", "STOP")}
	f("complete", sse(every...), "abc", sse(every...))
	f("complete", sse(every...), "abc", sse(every...)+"data: [DONE]\n")
	f("cut", sse(every...), "abc", sse(every...)+`data: {"candidates": [{"con`)
	f("cut", sse(every...), "abc", sse(append(every, "garbage")...))
	p := f("error", sse(every...), "abc", sse(append(every, failure)...))
	if !p.s.Sloppy() {
		t.Error("not noticed")
	}
	f("cut", sse(sayEnd("a", "STOP"), say("b")), "ab", sse(sayEnd("a", "STOP"), say("b")))
	f("error complete", sse(append(every, sayEnd("d", "STOP"))...), "abcd", sse(append(every, failure)...), sse(sayEnd("d", "STOP")))
}
