package stream

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// told is a whole completion, in Google's order. Texts are the insides of JSON
// strings.
func told(message, finish string) string {
	return `{"choices":[{"finish_reason":"` + finish + `","index":0,"message":{` + message + `,"role":"assistant"}}],"created":1,"id":"one","model":"m1","object":"chat.completion"}`
}

func TestFolderOfChunks(t *testing.T) {
	f := func(want string, payloads ...string) {
		t.Helper()
		var folder Folder
		folder.Reset(OpenAI)
		if !folder.Empty() {
			t.Error("not empty")
		}
		for _, p := range payloads {
			folder.Take([]byte(p))
		}
		if got := string(folder.Append(nil)); !sameJSON(t, got, want) || folder.Empty() || folder.Len() == 0 {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		// Given out early, it is the same.
		folder.Reset(OpenAI)
		var got []byte
		for _, p := range payloads {
			folder.Take([]byte(p))
			got = folder.Spill(got)
		}
		if got = folder.Append(got); !sameJSON(t, string(got), want) {
			t.Errorf("spilled\n%s\nwant\n%s", got, want)
		}
	}
	const names = `"created":1,"id":"one","model":"m1"`
	f(told(`"content":"a\"b"`, "stop"), with(choice(`"role":"assistant","content":""`, ""), names), with(tell(`a\"`), `"id":"two","created":2`), tell("b"), over("stop"), "[DONE]")
	f(told(`"content":"ab"`, "stop"), told(`"content":"a"`, "length"), told(`"content":"b"`, "stop"))
	f(told(`"content":null,"tool_calls":[{"id":"f1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"c","function":{"name":"g","arguments":""}}]`, "stop"),
		with(tool("f", ""), names), toolPiece("5", `{\"a\"`), toolPiece("5", `:1}`), choice(`"tool_calls":[{"index":1,"id":"c","function":{"name":"g"}}]`, `,"finish_reason":"stop"`))
	f(told(`"content":"<thought>hm</thought>a","extra_content":{"google":{"thought":true}}`, "stop"), with(muse("<thought>hm"), names), tell("</thought>a"), over("stop"))
	f(told(`"content":"a","reasoning_content":"hm, well"`, "stop"), with(choice(`"reasoning_content":"hm, "`, ""), names), choice(`"reasoning_content":"well"`, ""), tellEnd("a", "stop"))
	f(told(`"content":null,"function_call":{"name":"f","arguments":"{}"}`, "stop"), with(choice(`"role":"assistant","function_call":{"name":"f","arguments":"{"}`, ""), names),
		choice(`"function_call":{"arguments":"}"}`, `,"finish_reason":"stop"`))
	f(`{"object":"chat.completion","choices":[{"message":{"content":"a"},"x":1}],"usage":{"prompt_tokens":2}}`,
		`{"choices":[{"delta":{"content":"a"},"x":1}],"usage":{"prompt_tokens":1}}`, `{"choices":[],"usage":{"prompt_tokens":2}}`, `{"choices":[],"usage":null}`)
	f(`{"usage":{}}`, `{"usage":{}}`)
	// What each chunk adds to.
	f(`{"object":"chat.completion","choices":[{"message":{"content":"ab"},"logprobs":{"content":[{"token":"a"},{"token":"b"}],"refusal":null},"finish_reason":"stop"}]}`,
		`{"choices":[{"delta":{"content":"a"},"logprobs":{"content":[{"token":"a"}],"refusal":null}}]}`, `{"choices":[{"delta":{"content":"b"},"logprobs":{"content":[ {"token":"b"} ],"refusal":null}}]}`,
		`{"choices":[{"delta":{},"logprobs":null,"finish_reason":"stop"}]}`)
	f(`{"object":"chat.completion","choices":[{"message":{"content":null},"logprobs":{"content":null,"refusal":[{"token":"n"},{"token":"o"}]}}]}`,
		`{"choices":[{"delta":{},"logprobs":{"content":null,"refusal":[]}}]}`, `{"choices":[{"delta":{},"logprobs":{"content":null,"refusal":[{"token":"n"}]}}]}`,
		`{"choices":[{"delta":{},"logprobs":{"refusal":[{"token":"o"}]}}]}`)
	f(told(`"content":null,"audio":{"data":"AAAABBBB","transcript":"he\"llo","id":"a1","expires_at":6}`, "stop"), with(choice(`"role":"assistant","audio":{"id":"a1","transcript":"he\"","expires_at":5}`, ""), names),
		choice(`"audio":{"transcript":"llo"}`, ""), choice(`"audio":{"data":"AAAA"}`, ""), choice(`"audio":{"data":"BBBB","expires_at":6}`, `,"finish_reason":"stop"`))
	f(told(`"content":"a","images":[{"i":1},{"i":2}],"reasoning_details":[{"text":"x"},{"text":"x"}],"annotations":[]`, "stop"),
		with(choice(`"role":"assistant","images":[{"i":1}],"reasoning_details":[{"text":"x"}],"annotations":[ ]`, ""), names), choice(`"reasoning_details":[{"text":"x"}],"images":[]`, ""), choice(`"images":[{"i":2}]`, ""), tellEnd("a", "stop"))
}

func TestSalvageOfACompletion(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		got, ok := Salvage(nil, []byte(body), OpenAI, true)
		if ok != (want != "") || ok && !sameJSON(t, string(got), want) {
			t.Errorf("%s: %t, %s", body, ok, got)
		}
	}
	until := func(body, what string) string { return body[:strings.Index(body, what)] }
	text := func(s string) string { return `{"choices":[{"index":0,"message":{"content":"` + s + `"}}]}` }
	whole := told(`"content":"one two"`, "stop")
	f(until(whole, " two"), text("one"))
	f(until(whole, ` two`)+` \ud8`, text("one "))
	f(until(whole, `,"role"`), text("one two"))
	f(until(whole, "one"), "")
	f(until(whole, `"message"`), "")
	f("", "")
	f("{", "")
	// The message is closed: the finish in front of it counts.
	f(until(whole, `],"created"`), `{"choices":[{"finish_reason":"stop","index":0,"message":{"content":"one two","role":"assistant"}}]}`)
	f(until(whole, `,"model"`), `{"choices":[{"finish_reason":"stop","index":0,"message":{"content":"one two","role":"assistant"}}],"created":1,"id":"one"}`)
	// Members in another order.
	other := `{"id":"x","choices":[{"index":0,"message":{"role":"assistant","refusal":null,"content":"one two"},"logprobs":null,"finish_reason":"stop"}]}`
	f(until(other, " two"), `{"id":"x","choices":[{"index":0,"message":{"role":"assistant","refusal":null,"content":"one"}}]}`)
	f(until(other, `op"}`), `{"id":"x","choices":[{"index":0,"message":{"role":"assistant","refusal":null,"content":"one two"},"logprobs":null}]}`)
	// Calls, and what else text cannot stand in for.
	call := told(`"content":"a","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]`, "stop")
	f(until(call, `ments`), "")
	f(until(call, `,"role"`), "")
	f(until(told(`"refusal":"no way"`, "stop"), " way"), "")
	f(`{"choices":[{"index":0,"message":{"content":"a"}},{"index":1`, "")
	// A thought, until it has ended.
	thought := told(`"content":"\u003cthought\u003ehm\u003c/thought\u003eone two","extra_content":{"google":{"thought":true}}`, "stop")
	f(until(thought, `m\u003c/`), "")
	f(until(thought, `thought\u003eone`), "")
	f(until(thought, ` two`), `{"choices":[{"index":0,"message":{"content":"<thought>hm</thought>one","extra_content":{"google":{"thought":true}}}}]}`)
	f(`{"choices":[{"message":{"content":"<tho`, "")
	// To a request for none it is text.
	if got, ok := Salvage(nil, []byte(`{"choices":[{"message":{"content":"<thought>h`), OpenAI, false); !ok || !sameJSON(t, string(got), text("<thought>h")) {
		t.Errorf("%t, %s", ok, got)
	}
}

// checkChatSalvage: what is salvaged is a document, whose text begins that of
// the whole one.
func checkChatSalvage(t *testing.T, body, doc []byte) {
	t.Helper()
	got, ok := Salvage(nil, body, OpenAI, bytes.Contains(doc, []byte(`"extra_content"`)))
	if !ok {
		return
	}
	says, readable := openAISays(got)
	want, _ := openAISays(doc)
	if !readable || !json.Valid(got) || !strings.HasPrefix(want.text, says.text) {
		t.Fatalf("of %s: %s", body, got)
	}
	if says.finish != "" && says != want && says.text != want.text {
		t.Fatalf("of %s: a finish without all of the text: %s", body, got)
	}
}

func TestSalvageOfACompletionAtEveryByte(t *testing.T) {
	for _, doc := range []string{
		told(`"content":"One \"two\" 😀 \ud83d\ude00 \\ \u003cb\u003e three"`, "stop"), told(`"content":"<thought>hm</thought>a","extra_content":{"google":{"thought":true}}`, "stop"),
		told(`"content":"a","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]`, "tool_calls"),
	} {
		for n := range len(doc) {
			checkChatSalvage(t, []byte(doc[:n]), []byte(doc))
		}
	}
}

func FuzzChatSalvage(f *testing.F) {
	f.Add([]byte(told(`"content":"One \"two\" 😀 \ud83d\ude00 three"`, "stop")), uint(90))
	f.Add([]byte(`{"choices":[{"message":{"content":"<thought>hm</thought>a","role":"x"}}],"usage":{}}`), uint(50))
	f.Fuzz(func(t *testing.T, doc []byte, at uint) {
		body := doc[:at%uint(len(doc)+1)]
		says, ok := openAISays(doc)
		if !ok || !json.Valid(doc) || uniqueMembers(doc) != nil || says.kinds&(Several|Thought) != 0 || bytes.Contains(doc, []byte(`"delta"`)) {
			Salvage(nil, body, OpenAI, false) // it must not panic, no more
			return
		}
		checkChatSalvage(t, body, doc)
	})
}

// FuzzChatFolder: one document comes of whatever a Splice delivers, with all of
// its text.
func FuzzChatFolder(f *testing.F) {
	f.Add([]byte(tell("a")+"\n"+tool("f", "{}")+"\n"+over("stop")), false)
	f.Add([]byte(told(`"content":"a"`, "stop")+"\n"+muse("<thought>hm")), true)
	f.Fuzz(func(t *testing.T, input []byte, spill bool) {
		var folder Folder
		folder.Reset(OpenAI)
		var out, want []byte
		for p := range bytes.Lines(input) {
			if uniqueMembers(p) != nil {
				return
			}
			if _, err := openAIOracle(p); err != nil {
				return
			}
			folder.Take(p)
			want = append(want, contentOf(p)...)
			if spill {
				out = folder.Spill(out)
			}
		}
		out = folder.Append(out)
		if got := contentOf(out); !json.Valid(out) || got != string(want) && !bytes.Contains(input, []byte(`\`)) {
			t.Fatalf("%q, want %q in %q", got, want, out)
		}
	})
}

// contentOf is the content of a payload's first choice by encoding/json, which
// as a map is exact about names.
func contentOf(payload []byte) (text string) {
	var top map[string]any
	json.Unmarshal(payload, &top)
	choices, _ := top["choices"].([]any)
	if len(choices) == 0 {
		return ""
	}
	choice, _ := choices[0].(map[string]any)
	for _, name := range []string{"message", "delta"} {
		message, _ := choice[name].(map[string]any)
		s, _ := message["content"].(string)
		text += s
	}
	return text
}
