package stream

import (
	"encoding/json"
	"testing"
)

// openAITest returns a check of what a payload says, which encoding/json must
// say too.
func openAITest(t *testing.T) func(payload, text, finish string, kinds Kinds) {
	return func(payload, text, finish string, kinds Kinds) {
		t.Helper()
		c := Chunk{Dialect: OpenAI}
		raw, ok := c.Parse([]byte(payload), []byte("before "))
		if !ok {
			t.Errorf("%s: refused", payload)
			return
		}
		if got := string(AppendUnescaped(nil, raw)); got != "before "+text || string(c.Finish) != finish || c.Kinds != kinds {
			t.Errorf("%s:\n got %q, finish %q, kinds %b\nwant %q, finish %q, kinds %b",
				payload, got, c.Finish, c.Kinds, "before "+text, finish, kinds)
		}
		want, err := openAIOracle([]byte(payload))
		if err != nil {
			t.Errorf("%s: encoding/json: %v", payload, err)
		}
		if says, _ := openAISays([]byte(payload)); says != want {
			t.Errorf("%s:\n got %+v\nwant %+v", payload, says, want)
		}
	}
}

func TestOpenAIChunkReadsText(t *testing.T) {
	f := openAITest(t)
	f(tell("Hi"), "Hi", "", Text)
	f(tell(""), "", "", 0)
	f(choice("", ""), "", "", 0)
	f(choice(`"content":null`, ""), "", "", 0)
	f(tell(`a\"b\\c\n\u003cb\u003E \ud83d\ude00 😀`), "a\"b\\c\n<b> 😀 😀", "", Text)
	f(tell("\xff."), "\ufffd.", "", Text)
	f(" {\t\"choices\" :\n[ { \"delta\" : { \"content\" : \"a\" } } ] }\n", "a", "", Text)
	f(`{"cho\u0069ces":[{"d\u0065lta":{"cont\u0065nt":"a"},"finish\u005freason":"st\u006fp"}]}`, "a", "STOP", Text)
	// A whole completion.
	f(`{"choices":[{"finish_reason":"stop","index":0,"message":{"content":"a","role":"assistant"}}],"object":"chat.completion"}`, "a", "STOP", Text)
	// Prose that looks like structure.
	f(tell(`\"finish_reason\":\"content_filter\"}]}`), `"finish_reason":"content_filter"}]}`, "", Text)
	f(tell(`</thought>`), `</thought>`, "", Text)
	// Elsewhere.
	f(`{"content":"x","delta":{"content":"x"},"choices":[{"content":"x","x":{"delta":{"content":"x"}}}]}`, "", "", 0)
	f(`{}`, "", "", 0)
	f(`{"choices":null}`, "", "", 0)
	f(`{"choices":[],"usage":null}`, "", "", 0)
	f(`{"choices":[{"delta":null,"finish_reason":null,"index":null,"logprobs":null}]}`, "", "", 0)
}

func TestOpenAIChunkReadsFinish(t *testing.T) {
	f := openAITest(t)
	for reason, want := range map[string]string{
		"stop": "STOP", "tool_calls": "STOP", "function_call": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY",
		"content_filter: PROHIBITED_CONTENT": "PROHIBITED_CONTENT", "function_call_filter: MALFORMED_FUNCTION_CALL": "MALFORMED_FUNCTION_CALL",
		"RECITATION": "RECITATION", "MAX_TOKENS": "MAX_TOKENS", "content_filter: ": "content_filter: ", "eos": "eos", "": "",
	} {
		f(over(reason), "", want, 0)
	}
	f(tellEnd("a", "stop"), "a", "STOP", Text)
	f(`{"choices":[{"finish_reason":"content_filter: SPII","index":0}]}`, "", "SPII", 0)
	f(`{"choices":[{"finish_reason":7}]}`, "", "", 0)
	f(`{"finish_reason":"stop","choices":[{"delta":{"content":"a"},"x":{"finish_reason":"stop"}}]}`, "a", "", Text)
}

func TestOpenAIChunkReadsKinds(t *testing.T) {
	f := openAITest(t)
	f(tool("f", "{}"), "", "", Call)
	f(choice(`"function_call":{"name":"f","arguments":"{}"}`, ""), "", "", Call)
	f(choice(`"content":"a","tool_calls":[]`, ""), "a", "", Text)
	f(choice(`"content":null,"tool_calls":null,"refusal":null,"audio":null,"x":"","y":[ ],"z":{ }`, ""), "", "", 0)
	f(choice(`"refusal":"no"`, ""), "", "", Unknown)
	f(choice(`"content":[{"type":"text","text":"a"}]`, ""), "", "", Unknown)
	f(choice(`"hologram":{"x":1},"depth":3,"flat":false`, ""), "", "", Unknown)
	f(choice(`"audio":{"data":"AA=="}`, ""), "", "", Media)
	f(choice(`"images":[{}]`, ""), "", "", Media)
	f(choice(`"content":"a","annotations":[{"type":"url_citation"}],"name":"x","signature":"s"`, ""), "a", "", Text)
	f(choice(`"content":"a"`, `,"logprobs":{"content":[]}`), "a", "", Text|Logprobs)
	f(`{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"},"finish_reason":"stop"}]}`, "a", "", Text|Several)
	f(`{"choices":[{"delta":{"content":"b"},"index":1}]}`, "b", "", Text|Several)
}

func TestOpenAIChunkReadsThoughts(t *testing.T) {
	f := openAITest(t)
	f(muse(`\u003cthought\u003ehm`), "", "", Thought)
	f(muse(""), "", "", 0)
	f(muse("<thought>hm</thought>Hi"), "Hi", "", Text|Thought)
	f(muse(`hm\u003c/thought\u003eHi`), "Hi", "", Text|Thought)
	f(muse("</thought>"), "", "", Thought)
	f(choice(`"extra_content":{"vertex":{"thought":true}},"content":"hm"`, ""), "", "", Thought)
	f(choice(`"extra_content":{"google":{"thought":false,"thought_signature":"s"},"x":1},"content":"a"`, ""), "a", "", Text)
	for _, name := range []string{"reasoning_content", "reasoning", "thinking"} {
		f(choice(`"content":"","`+name+`":"hm"`, ""), "", "", Thought)
		f(choice(`"content":"a","`+name+`":""`, ""), "a", "", Text)
	}
	f(choice(`"reasoning_details":[{"text":"hm"}]`, ""), "", "", Thought)
}

// TestOpenAIThoughtEndsInTheNextDelta: the tag that ends a thought stands in
// front of the answer, in a delta that is not marked.
func TestOpenAIThoughtEndsInTheNextDelta(t *testing.T) {
	f := func(after, want string, kinds Kinds) {
		t.Helper()
		c := Chunk{Dialect: OpenAI}
		c.Parse([]byte(muse("<thought>hm")), nil)
		raw, ok := c.Parse([]byte(tell(after)), nil)
		if got := string(AppendUnescaped(nil, raw)); !ok || got != want || c.Kinds != kinds {
			t.Errorf("%s: %q, %b", after, got, c.Kinds)
		}
	}
	f("</thought>Hi", "Hi", Text|Thought)
	f(`\u003c/thought\u003eHi`, "Hi", Text|Thought)
	f("</thought>", "", Thought)
	f("Hi </thought>", "Hi </thought>", Text)
	f("</thoughts>", "</thoughts>", Text)
}

func TestOpenAIChunkReadsFailures(t *testing.T) {
	f := openAITest(t)
	failed := func(payload string, want bool) {
		t.Helper()
		f(payload, "", "", 0)
		if says, _ := openAISays([]byte(payload)); says.failure != want {
			t.Errorf("%s: %t", payload, says.failure)
		}
	}
	failed(failure, true)
	failed(`{"error":null}`, false)
	c := Chunk{Dialect: OpenAI}
	if _, ok := c.Parse([]byte("["+failure+"\n]\n"), nil); !ok || !c.Failure {
		t.Error("in an array")
	}
	for _, bad := range []string{"", "[]", "[{}]", "{", `{"choices":[{]}`, `{"choices":[{"delta":{"content":"a}}]}`, `{"usage":{"prompt_tokens":}}`, "[DONE]",
		`{"choices":{}}`, `{"choices":[1]}`, `{"choices":[{"delta":[]}]}`, `{} {}`, `{"a":"\x"}`} {
		if raw, ok := c.Parse([]byte(bad), []byte("x")); ok || string(raw) != "x" {
			t.Errorf("%s: taken, %s", bad, raw)
		}
	}
}

func TestOpenAIUsageIsReadAndSummed(t *testing.T) {
	f := func(usage string, prompt, completion, hidden, reasoning int64) {
		t.Helper()
		says, ok := openAISays([]byte(`{"choices":[],"usage":` + usage + `}`))
		if want := [4]int64{prompt, completion, hidden, reasoning}; !ok || says.usage != want {
			t.Errorf("%s: %v, want %v", usage, says.usage, want)
		}
	}
	f(`null`, -1, -1, -1, -1)
	f(`{}`, -1, -1, -1, -1)
	f(`{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}`, 3, 4, -1, -1)
	// Google counts thoughts in the total only, OpenAI among the completion.
	f(`{"completion_tokens":4,"prompt_tokens":3,"total_tokens":20}`, 3, 4, 13, -1)
	f(`{"prompt_tokens":3,"completion_tokens":40,"total_tokens":43,"completion_tokens_details":{"audio_tokens":0,"reasoning_tokens":30}}`, 3, 40, -1, 30)
	f(`{"total_tokens":3}`, -1, -1, -1, -1)

	p := newOpenAIPlayer()
	const (
		one = `"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":22,"prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":4}}`
		two = `"usage":{"prompt_tokens":50,"completion_tokens":8,"total_tokens":58,"prompt_tokens_details":{"cached_tokens":40},"cost":0.1}`
	)
	p.play(t, lines(with(tell("a"), one)))
	p.play(t, lines(with(tellEnd("b", "stop"), two), "[DONE]"))
	payloads := mustLines(t, p.out)
	want := `{"cost":0.1,"prompt_tokens":5,"completion_tokens":15,"total_tokens":30,"prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":4}}`
	var last struct{ Usage json.RawMessage }
	if err := json.Unmarshal([]byte(payloads[1]), &last); err != nil || !sameJSON(t, string(last.Usage), want) {
		t.Errorf("%s, want %s", last.Usage, want)
	}
}
