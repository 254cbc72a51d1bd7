package stream

import (
	"slices"
	"strings"
	"testing"
)

// openAIStory returns a check of a whole story, as storyTest does. What the
// client gets is compared to the byte while there is one attempt, else without
// regard to white space.
func openAIStory(t *testing.T) func(verdicts, want, transcript string, streams ...string) *player {
	return func(verdicts, want, transcript string, streams ...string) *player {
		t.Helper()
		p := newOpenAIPlayer()
		var got []string
		for _, stream := range streams {
			got = append(got, p.play(t, stream).String())
		}
		if !slices.Equal(got, strings.Fields(verdicts)) {
			t.Errorf("verdicts %q, want %q", got, verdicts)
		}
		if got := compact(t, p.out); len(streams) > 1 && got != compact(t, []byte(want)) || len(streams) == 1 && string(p.out) != want {
			t.Errorf("the client got\n%s\nwant\n%s", p.out, want)
		}
		if p.transcript() != transcript {
			t.Errorf("transcript %q, want %q", p.transcript(), transcript)
		}
		mustLines(t, p.out)
		mustLines(t, []byte(p.held()))
		return p
	}
}

func TestOpenAINaturalEndPassesToTheByte(t *testing.T) {
	f := openAIStory(t)
	whole := func(verdict, transcript string, payloads ...string) {
		t.Helper()
		out := lines(append(payloads, "[DONE]")...)
		f(verdict, out, transcript, out)
		f(verdict, out, transcript, lines(payloads...))                                      // [DONE] is missing
		f(verdict, out, transcript, out+out)                                                 // there is more behind it
		f(verdict, out, transcript, strings.TrimRight(out, "\n"))                            // its blank line is missing
		f(verdict, out, transcript, sse(append(payloads, "[DONE]")...))                      // another framing
		f(verdict, out, transcript, ": ping\n\nevent: x\nid: 1\n"+out+"data: [DONE]\n\n\n ") // and noise
	}
	usage := `{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`
	whole("complete", "ab", tell("a"), tellEnd("b", "stop"))
	whole("complete", "a", tell("a"), over("length"))
	whole("complete", "a", choice(`"role":"assistant","content":""`, ""), tell("a"), over("stop"), usage)
	whole("complete", "", over("length"))
	whole("complete", "", tool("f", "{}"), over("stop"))
	whole("complete", "", tool("f", "{}"), over("tool_calls"))
	whole("complete", "a", muse("<thought>hm"), tell("</thought>a"), over("stop"))
	whole("policy", "a", tell("a"), over("content_filter: PROHIBITED_CONTENT"))
	whole("policy", "", `{"choices":[{"finish_reason":"content_filter: SPII","index":0}]}`)
	whole("policy", "a", tell("a"), over("eos"))
}

func TestOpenAIInterruptions(t *testing.T) {
	f := openAIStory(t)
	a := lines(tell("a"))
	f("cut", a, "a", a)
	f("cut", a, "a", a+"data: "+tell("b")[:30])
	f("cut", a, "a", a+lines("[DONE]"))
	f("cut", a, "a", a+lines(`{"choices":[]`))
	f("finish", a, "a", a+lines(over("content_filter")))
	f("finish", a, "a", a+lines(over("function_call_filter: MALFORMED_FUNCTION_CALL"), "[DONE]"))
	f("error", a, "a", a+lines(failure))
	f("error", a, "a", a+lines(`{"error":{"message":"overloaded","type":"server_error","code":null}}`))
	f("error", a, "a", a+"{\n  \"error\": {\n    \"code\": 503\n  }\n}\n")
	f("error", a, "a", a+"["+failure+"\n]\n")
	f("empty", "", "", lines(over("stop"), "[DONE]"))
	f("empty", "", "", lines(over("stop")))
	f("empty", lines(choice(`"role":"assistant"`, "")), "", lines(choice(`"role":"assistant"`, ""), over("tool_calls"), "[DONE]"))
	f("empty", lines(muse("<thought>hm")), "", lines(muse("<thought>hm"), over("stop"), "[DONE]"))
}

// TestOpenAIAttemptsBecomeOneResponse: one id, created and model, one role,
// thoughts once, and summed usage.
func TestOpenAIAttemptsBecomeOneResponse(t *testing.T) {
	f := openAIStory(t)
	const first, second = `"created":1,"id":"one","model":"m1"`, `"created":2,"id":"two","model":"m2"`
	f("cut complete", lines(with(tell("a"), first), with(choice(`"content":"b"`, ""), first), with(choice(``, `,"finish_reason":"stop"`), first), "[DONE]"), "ab",
		lines(with(tell("a"), first)),
		lines(with(tell("b"), second), with(over("stop"), second), "[DONE]"))
	// A delta of which nothing is left does not go out.
	f("cut complete", lines(with(tell("a"), first), with(choice(`"content": "b"`, `,"finish_reason": "stop"`), first), "[DONE]"), "ab",
		lines(with(tell("a"), first)),
		lines(with(choice(`"role":"assistant","content":""`, ""), second), with(muse("<thought>hm"), second), with(choice(`"reasoning_content":"hm"`, ""), second),
			with(tellEnd("</thought>b", "stop"), second)))
	// Thoughts alone: the first attempt's stay, the second's go, but for the tag
	// that the client waits for, whether the second has one or not.
	for _, opening := range []string{"<thought>", `\u003cthought\u003e`} {
		ended := lines(muse(opening+"hm"), choice(`"content":"</thought>a"`, ""), choice(`"content":"b"`, `,"finish_reason":"stop"`), "[DONE]")
		rest := lines(tellEnd("b", "stop"))
		f("cut complete", ended, "ab", lines(muse(opening+"hm")), lines(muse("<thought>well"), tell(`\u003c/thought\u003ea`))+rest)
		f("cut complete", ended, "ab", lines(muse(opening+"hm")), lines(muse("<thought>well</thought>a"))+rest)
		f("cut complete", ended, "ab", lines(muse(opening+"hm")), lines(choice(`"content":"a"`, ""))+rest)
		f("cut cut complete", ended, "ab", lines(muse(opening+"hm")), lines(muse("<thought>we")), lines(choice(`"content":"a"`, ""))+rest)
	}
	// There is nothing to end where there was no tag, or where it has ended.
	untagged := lines(choice(`"content":"a"`, ""), choice(`"content":"b"`, `,"finish_reason":"stop"`), "[DONE]")
	for _, thoughts := range []string{lines(muse("hm")), lines(choice(`"role":"assistant","reasoning_content":"hm"`, "")), lines(muse("<thought>hm"), choice(`"content":"</thought>"`, "")), lines(muse("<thought>hm</thought>"))} {
		f("cut complete", thoughts+untagged, "ab", thoughts, lines(muse("<thought>well"), tell("</thought>a"), tellEnd("b", "stop")))
	}
	// The whole thought in one delta with the answer.
	f("cut complete", lines(tell("a"), choice(`"content":"b"`, `,"finish_reason":"stop"`), "[DONE]"), "ab",
		lines(tell("a")), lines(strings.Replace(muse("<thought>hm</thought>b"), `,"index"`, `,"finish_reason":"stop","index"`, 1)))
	// A first attempt that named nothing.
	f("cut complete", lines(tell("a"), with(choice(`"content":"b"`, `,"finish_reason":"stop"`), second), "[DONE]"), "ab", lines(tell("a")), lines(with(tellEnd("b", "stop"), second)))
	// The first that named anything names it for all after it.
	f("cut cut complete", lines(tell("a"), with(choice(`"content":"b"`, ""), first), with(choice(`"content":"c"`, `,"finish_reason":"stop"`), first), "[DONE]"), "abc",
		lines(tell("a")), lines(with(choice(`"content":"b"`, ""), first)), lines(with(tellEnd("c", "stop"), second)))
	// What is final stays so after a cut.
	f("cut policy", lines(tell("a"), choice("", `,"finish_reason":"content_filter: SPII"`), "[DONE]"), "a", lines(tell("a")), lines(over("content_filter: SPII")))
}

func TestOpenAIContinuationIsJoined(t *testing.T) {
	f := func(want string, x Expect, streams ...string) {
		t.Helper()
		p := newOpenAIPlayer()
		for i, s := range streams {
			if i > 0 {
				p.expect = &x
			}
			p.play(t, s)
		}
		if got := p.transcript(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		said := ""
		for _, payload := range mustLines(t, p.out) {
			s, _ := openAISays([]byte(payload))
			said += s.text
		}
		if said != want {
			t.Errorf("the client got %q, want %q", said, want)
		}
	}
	const begin, rest = "The quick brown fox jumps over the lazy dog and runs into the ", "deep dark wood."
	f(begin+rest, Expect{Anchored: true}, lines(tell(begin)), lines(tell("dog and runs into"), tell(" the deep "), tell("dark wood."), over("stop")))
	f(begin+rest, Expect{Anchored: true}, lines(tell(begin)), lines(tellEnd("Sure: "+begin+"deep dark wood.", "stop")))
	f(begin+rest, Expect{}, lines(tell(begin)), lines(tell("deep "), tell("dark wood."), over("stop")))
	f(begin+rest, Expect{Prefilled: true}, lines(tell(begin)), lines(tell("deep "), tell("dark wood."), over("stop")))
	f(begin+rest, Expect{}, lines(tell(begin)), lines(muse("<thought>hm"), tell("</thought>"+begin+"de"), tell("ep dark wood."), over("stop")))
	f(`{"a": [1,2]}`, Expect{Document: true}, lines(tell(`{\"a\": [1,`)), lines(tell("2]}\\n"), tell("```"), over("stop")))
}

func TestOpenAICallsAreWholeOrNot(t *testing.T) {
	f := func(open bool, payloads ...string) {
		t.Helper()
		p := newOpenAIPlayer()
		p.play(t, lines(payloads...))
		if p.s.OpenCall() != open || p.s.Delivered()&Call == 0 {
			t.Errorf("%q: open %t", payloads, p.s.OpenCall())
		}
	}
	head := func(index string) string {
		return choice(`"tool_calls":[{"index":`+index+`,"id":"c","type":"function","function":{"name":"f","arguments":""}}]`, "")
	}
	f(false, tool("f", "{}"))
	f(false, tool("f", `{\"a\":\"}\\\"\"}`))
	f(false, tool("f", "{}"), tool("g", "{}"))
	f(true, tool("f", `{\"a\"`))
	f(true, tool("f", ""))
	f(true, head("0"))
	f(true, head("0"), toolPiece("0", `{\"a\":`))
	f(false, head("0"), toolPiece("0", `{\"a\":`), toolPiece("0", `1}`))
	f(true, head("0"), toolPiece("0", `{}`), head("1"))
	f(true, head("0"), head("1"), toolPiece("1", `{}`))
	f(false, head("0"), head("1"), toolPiece("1", `{}`), toolPiece("0", `{}`))
	// The same index for all, or none.
	f(false, head("0"), toolPiece("0", `{}`), head("0"), toolPiece("0", `{}`))
	f(false, choice(`"tool_calls":[{"function":{"name":"f","arguments":"{}"}},{"function":{"name":"g","arguments":{}}}]`, ""))
	f(true, choice(`"tool_calls":[{"function":{"name":"f","arguments":"{}"}},{"function":{"name":"g","arguments":"{"}}]`, ""))
	f(false, choice(`"function_call":{"name":"f","arguments":"{"}`, ""), choice(`"function_call":{"arguments":"}"}`, ""))
	f(true, choice(`"function_call":{"name":"f","arguments":"{"}`, ""))
	f(true, choice(`"tool_calls":[{"type":"custom","custom":{"name":"f","input":"x"}}]`, ""))
}

func TestOpenAIFinishIsWhatTheModelWouldHaveSent(t *testing.T) {
	f := func(apart bool, reason, want string, streams ...string) {
		t.Helper()
		p := newOpenAIPlayer()
		if apart {
			p.s.UsageApart()
		}
		for _, s := range streams {
			p.play(t, s)
		}
		p.s.NextAttempt()
		if got := compact(t, p.s.AppendEnd(p.s.AppendFinish(nil, reason))); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	const (
		names   = `"created":1,"id":"one","model":"m1"`
		common  = names + `,"object":"chat.completion.chunk"`
		used    = `"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}`
		stopped = `{"choices":[{"delta":{},"finish_reason":"stop","index":0}],`
	)
	f(false, "STOP", lines(stopped+common+"}", "[DONE]"), lines(with(tell("a"), names)))
	f(false, "MAX_TOKENS", lines(`{"choices":[{"delta":{},"finish_reason":"length","index":0}],`+common+","+used+"}", "[DONE]"), lines(with(with(tell("a"), names), used)))
	f(false, "STOP", lines(`{"choices":[{"delta":{},"finish_reason":"tool_calls","index":0}],`+common+"}", "[DONE]"), lines(with(tool("f", "{}"), names)))
	f(false, "STOP", lines(`{"choices":[{"delta":{},"finish_reason":"function_call","index":0}],`+common+"}", "[DONE]"), lines(with(choice(`"function_call":{"name":"f","arguments":"{}"}`, ""), names)))
	f(true, "STOP", lines(stopped+common+"}", `{"choices":[],`+common+","+used+"}", "[DONE]"), lines(with(with(tell("a"), names), used)))
	f(true, "STOP", lines(stopped+common+"}", "[DONE]"), lines(with(tell("a"), names)))
}

// TestOpenAIUsageBehindACutEnd: what the attempts have said of usage comes behind
// the finish, where the client asked for that and the upstream broke off before it.
func TestOpenAIUsageBehindACutEnd(t *testing.T) {
	f := func(apart bool, want string, streams ...string) {
		t.Helper()
		p := newOpenAIPlayer()
		if apart {
			p.s.UsageApart()
		}
		for _, s := range streams {
			p.play(t, s)
		}
		out := p.s.AppendEnd(p.out)
		if got := compact(t, out); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		mustLines(t, out)
	}
	const (
		names = `"created":1,"id":"one","model":"m1"`
		used  = `"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}`
		more  = `"usage":{"prompt_tokens":6,"completion_tokens":2,"total_tokens":8}`
		sum   = `"usage":{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14}`
		null  = `"usage":null`
		tail  = `{"choices":[],` + names + `,"object":"chat.completion.chunk",` + used + `}`
	)
	said := with(with(tell("a"), names), used)
	c := func(payloads ...string) string { return compact(t, []byte(lines(payloads...))) }
	// Known from before the finish.
	f(true, c(said, over("stop"), tail, "[DONE]"), lines(said, over("stop")))
	f(true, c(said, with(over("stop"), null), tail, "[DONE]"), lines(said, with(over("stop"), null)))
	f(true, c(said, over("content_filter: SPII"), tail, "[DONE]"), lines(said, over("content_filter: SPII")))
	f(true, c(said, over("stop"), tail, "[DONE]"), lines(said, over("stop"))+"data: {\"choices\":[],\"usa")
	f(false, c(said, over("stop"), "[DONE]"), lines(said, over("stop")))
	// Said with the finish, or behind it.
	f(true, c(said, with(over("stop"), used), "[DONE]"), lines(said, with(over("stop"), used)))
	f(true, c(said, over("stop"), with(`{"choices":[]}`, used), "[DONE]"), lines(said, over("stop"), with(`{"choices":[]}`, used)))
	f(true, c(tell("a"), over("stop"), with(`{"choices":[]}`, used), "[DONE]"), lines(tell("a"), over("stop"), with(`{"choices":[]}`, used), "[DONE]"))
	// With a finish that was none.
	f(true, c(with(tellEnd("a", "stop"), names+","+used), tell("b"), over("stop"), tail, "[DONE]"),
		lines(with(tellEnd("a", "stop"), names+","+used), tell("b"), over("stop")))
	// The upstream has ended the answer itself.
	f(true, c(said, over("stop"), "[DONE]"), lines(said, over("stop"), "[DONE]"))
	// Nothing is known.
	f(true, c(tell("a"), over("stop"), "[DONE]"), lines(tell("a"), over("stop")))
	// Of several attempts.
	f(true, c(said, with(with(choice(`"content":"b"`, ""), names), sum), choice("", `,"finish_reason":"stop"`), `{"choices":[],`+names+`,"object":"chat.completion.chunk",`+sum+`}`, "[DONE]"),
		lines(said), lines(with(with(tell("b"), names), more), over("stop")))
}

func TestOpenAIErrorHasNoDone(t *testing.T) {
	p := newOpenAIPlayer()
	p.play(t, lines(tell("a")))
	text := p.s.AppendFailure(nil, 503, "UNAVAILABLE", "no \"more\"")
	out := p.s.AppendEnd(p.s.AppendError(nil, text))
	want := lines(`{"error":{"message":"no \"more\"","type":"server_error","param":null,"code":503,"status":"UNAVAILABLE"}}`)
	if out = p.s.AppendEcho(out, text); string(out) != want {
		t.Errorf("%s", out)
	}
}

// TestOpenAICutEverywhere: of an answer that is cut at any byte, in any
// framing, the client has a part, and no finish unless it came.
func TestOpenAICutEverywhere(t *testing.T) {
	payloads := []string{choice(`"role":"assistant","content":""`, ""), muse(`\u003cthought\u003ehm`), tell(`</thought>One \"two\" 😀 \ud83d\ude00 `), tell("three\u2028"), over("stop"),
		`{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`, "[DONE]"}
	const text = "One \"two\" 😀 😀 three\u2028"
	for _, stream := range []string{lines(payloads...), sse(payloads...)} {
		for n := range len(stream) + 1 {
			p := newOpenAIPlayer()
			v := p.play(t, stream[:n])
			if v != Complete && v != Cut {
				t.Fatalf("%d: %s", n, v)
			}
			said, done, err := strictLines(p.out)
			if err != nil || done != (v == Complete) || !strings.HasPrefix(text, p.transcript()) {
				t.Fatalf("%d: %s, %v, %s", n, v, err, p.out)
			}
			if v == Complete {
				if p.transcript() != text || len(said) < 5 {
					t.Fatalf("%d: %s", n, p.out)
				}
				continue
			}
			rest := AppendJSONString(nil, []byte(text[len(p.transcript()):]))
			p.play(t, lines(tellEnd(string(rest[1:len(rest)-1]), "stop"), "[DONE]"))
			if _, done, err = strictLines(p.out); err != nil || !done || p.transcript() != text {
				t.Fatalf("%d: %v, %s", n, err, p.out)
			}
		}
	}
}
