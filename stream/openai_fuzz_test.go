package stream

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"
)

// FuzzOpenAIChunk: what encoding/json takes is read alike.
func FuzzOpenAIChunk(f *testing.F) {
	for _, p := range []string{"", tell(`a\ud83d`), over("content_filter: SPII"), muse("<thought>hm</thought>a"), tool("f", `{\"a\":1}`), failure,
		with(choice(`"reasoning":"hm","content":null`, `,"logprobs":{}`), `"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":9,"completion_tokens_details":{"reasoning_tokens":1}}`),
		`{"choices":[{},{"index":1}],"id":"x","created":1,"model":"m"}`, "{\"choices\":[{\"finish_reason\":\"\x8a\"}]}"} {
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		got, ok := openAISays(payload)
		want, err := openAIOracle(payload)
		if err != nil || bytes.Contains(payload, []byte(`\u00`)) || !utf8.Valid(payload) {
			return // it must not panic, no more; tags and counts in other escapes, and bytes that are no text, are none to us
		}
		if !ok {
			t.Fatalf("%q: refused", payload)
		}
		if got != want {
			t.Fatalf("%q:\n got %+v\nwant %+v", payload, got, want)
		}
		mustLines(t, openAIForm.append(nil, payload))
	})
}

// FuzzChatContinuation: the two messages are all that is added.
func FuzzChatContinuation(f *testing.F) {
	f.Add([]byte(`{"messages":[{"role":"user","content":"Hi"}],"x":1.0e5}`), []byte(`so \ud83d`), "go on")
	f.Add([]byte(` { "messages" : [ ] , "max_tokens" : "9" , "response_format" : { "type" : "json_object" } } `), []byte(`\n`), "\xff\"")
	f.Fuzz(func(t *testing.T, body, transcript []byte, prompt string) {
		quoted := append(append([]byte{'"'}, transcript...), '"')
		if skipString(quoted, 0) != len(quoted) || !json.Valid(body) || uniqueMembers(body) != nil {
			return
		}
		r, ok := ParseRequest(OpenAI, body)
		if ok != (bytes.TrimLeft(body, " \t\r\n")[0] == '{') {
			t.Fatalf("%q: %t", body, ok)
		}
		got, err := r.AppendContinuation(nil, transcript, prompt, 0)
		if err != nil {
			return
		}
		messages := appendMessages(nil, transcript, prompt)
		before, after, found := bytes.Cut(got, messages)
		if !found || !json.Valid(got) {
			t.Fatalf("%q became %q", body, got)
		}
		if restored := slices.Concat(bytes.TrimSuffix(before, []byte(",")), after); !r.JSON && !r.maxTokens.present() && !r.maxCompletion.present() && !bytes.Equal(restored, body) {
			t.Fatalf("%q became %q", body, got)
		}
		var said []struct{ Role, Content string }
		if err := json.Unmarshal(slices.Concat([]byte("["), messages, []byte("]")), &said); err != nil {
			t.Fatalf("%q: %v", messages, err)
		}
		if said[0].Content != string(AppendUnescaped(nil, transcript)) || prompt != "" && said[1].Content != string([]rune(prompt)) {
			t.Fatalf("%q became %q", transcript, messages)
		}
	})
}

// FuzzOpenAISplice: whatever comes, the client can read it, [DONE] comes once
// and last, and the transcript is the text that it was given, once.
func FuzzOpenAISplice(f *testing.F) {
	f.Add([]byte{0, 1, 2, 255, 3, 4, 5}, []byte(tell("x")))
	f.Add([]byte{6, 0, 255, 7, 8, 1, 9}, []byte(failure))
	f.Add([]byte{1, 10, 255, 11, 12, 0, 254, 13, 255, 14, 2}, []byte("{\"choices\":[{\"delta\":{\"content\":\"a\u2028\\\n\"}}]}"))
	f.Fuzz(func(t *testing.T, script, payload []byte) {
		if says, ok := openAISays(payload); ok {
			if _, err := openAIOracle(payload); err != nil || says.kinds&(Several|Thought) != 0 {
				return // what the API never writes goes out as it came
			}
		}
		p := newOpenAIPlayer()
		var stream []byte
		for _, op := range append(script, 255) {
			if op == 255 {
				p.openAIFuzzed(t, stream)
				stream = stream[:0]
				continue
			}
			events := openAIFuzzEvents()
			if i := int(op) % (len(events) + 2); i < len(events) {
				stream = append(stream, lines(events[i])...)
			} else if i == len(events) {
				stream = openAIForm.append(stream, payload)
			} else {
				stream = append(stream, payload...) // raw, perhaps half
			}
		}
	})
}

func (p *player) openAIFuzzed(t *testing.T, stream []byte) {
	if p.s.openAI.done {
		return
	}
	v := p.play(t, string(stream))
	payloads, done, err := strictLines(p.out)
	if err != nil || v == More || done != (v == Complete || v == Policy) {
		t.Fatalf("%s, done %t, %v: %q", v, done, err, p.out)
	}
	mustLines(t, []byte(p.held()))
	var text []byte
	c := Chunk{Dialect: OpenAI}
	for _, payload := range payloads {
		var ok bool
		if text, ok = c.Parse([]byte(payload), text); !ok {
			t.Fatalf("%s: unreadable", payload)
		}
	}
	if got, want := p.transcript(), string(AppendUnescaped(nil, text)); got != want {
		t.Fatalf("transcript %q, the client got %q", got, want)
	}
}

func openAIFuzzEvents() []string {
	const names = `"created":1,"id":"x","model":"m"`
	return []string{
		with(tell("a"), names), with(tell("b"), `"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}`), choice(`"reasoning_content":"hm"`, ""), tellEnd("c", "stop"),
		over("stop"), over("content_filter"), tellEnd("d", "content_filter"), over("length"), over("content_filter: SPII"), tool("f", "{}"), tool("f", "{"), `{}`, failure, "[DONE]", "",
		`{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`,
	}
}
