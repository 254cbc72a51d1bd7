package stream

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// parseTest returns a check of what a payload says, which encoding/json must
// say too.
func parseTest(t *testing.T) func(payload, text, finish string, kinds Kinds) {
	return func(payload, text, finish string, kinds Kinds) {
		t.Helper()
		var c Chunk
		raw, ok := c.Parse([]byte(payload), []byte("before "))
		if !ok {
			t.Errorf("%s: refused", payload)
			return
		}
		got := string(AppendUnescaped(nil, raw))
		if got != "before "+text || string(c.Finish) != finish || c.Kinds != kinds {
			t.Errorf("%s:\n got %q, finish %q, kinds %b\nwant %q, finish %q, kinds %b",
				payload, got, c.Finish, c.Kinds, "before "+text, finish, kinds)
		}
		want, err := oracle([]byte(payload))
		if err != nil {
			t.Errorf("%s: encoding/json: %v", payload, err)
		}
		if says, _ := chunkSays([]byte(payload)); says != want {
			t.Errorf("%s:\n got %+v\nwant %+v", payload, says, want)
		}
	}
}

func TestChunkReadsText(t *testing.T) {
	f := parseTest(t)
	f(say("Hi"), "Hi", "", Text)
	f(say(""), "", "", 0)
	f(candidate(`{"text": "a"},{"text": "b"},{"text": ""},{"text": "c"}`, ""), "abc", "", Text)
	f(candidate(`{"text": "a"}, {"text": "b", "thought": true}, {"text": "c"}`, ""), "ac", "", Text|Thought)
	// The bytes of text.
	f(say(`a\"b\\c\/d\b\f\n\r\t`), "a\"b\\c/d\b\f\n\r\t", "", Text)
	f(say(`\u003cb\u003E \ud83d\ude00 😀 \u2028`+"\u2028\u0085"), "<b> 😀 😀 \u2028\u2028\u0085", "", Text)
	f(say(`\ud83d`), "\ufffd", "", Text)
	f(say(`\ude00\ud83d\ud83d\ude00`), "\ufffd\ufffd😀", "", Text)
	f(say("\xff\xfe.\xe2\x82"), "\ufffd\ufffd.\ufffd\ufffd", "", Text)
	// Prose that looks like structure.
	f(say(`\"finishReason\": \"SAFETY\"`), `"finishReason": "SAFETY"`, "", Text)
	f(say(`}]},{\"finishReason\":\"STOP\"}`), `}]},{"finishReason":"STOP"}`, "", Text)
	f(sayEnd(`{\"error\": {\"code\": 503}}`, "STOP"), `{"error": {"code": 503}}`, "STOP", Text)
	// Spaces anywhere.
	f("\r\n{\t\"candidates\" :\n[ { \"content\" : { \"parts\" : [ { \"text\" : \"a\" } , { } ] } } ] }\n", "a", "", Text)
	f(`{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}`, "a", "", Text)
	// Escaped member names are member names.
	f(`{"c\u0061ndidates": [{"\u0063ontent": {"p\u0061rts": [{"te\u0078t": "a"}]},"finish\u0052eason": "STOP"}]}`, "a", "STOP", Text)
	f(`{"candidates": [{"content": {"parts": [{"text": "a","though\u0074": true}]}}]}`, "", "", Thought)
}

func TestChunkReadsFinish(t *testing.T) {
	f := parseTest(t)
	f(finish("STOP"), "", "STOP", 0)
	f(sayEnd("a", "MAX_TOKENS"), "a", "MAX_TOKENS", Text)
	f(`{"candidates": [{"finishReason": "SAFETY","content": {}}]}`, "", "SAFETY", 0)
	f(`{"candidates": [{"finishReason": "S\u0054OP"}]}`, "", "STOP", 0)
	f(`{"candidates": [{"finishReason": null}]}`, "", "", 0)
	f(`{"candidates": [{"finishReason": ""}]}`, "", "", 0)
	// Numbers, as with enum-encoding=int.
	for n, name := range []string{"", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", "6", "7"} {
		f(fmt.Sprintf(`{"candidates": [{"finishReason": %d}]}`, n), "", name, 0)
	}
	f(`{"candidates": [{"finishReason": 12}]}`, "", "12", 0)
	f(`{"candidates": [{"finishReason": -1}]}`, "", "", 0)
	f(`{"candidates": [{"finishReason": true}]}`, "", "", 0)
	// Not the candidate's own.
	f(`{"finishReason": "STOP","candidates": [{"content": {"finishReason": "STOP"},"x": {"finishReason": "STOP"}}]}`, "", "", 0)
	f(candidate(`{"functionCall": {"name": "f","args": {"finishReason": "SAFETY","text": "x","parts": [{"text": "y"}]}}}`, ""), "", "", Call)
}

func TestChunkReadsOneCandidate(t *testing.T) {
	f := parseTest(t)
	f(`{}`, "", "", 0)
	f(`{"candidates": null}`, "", "", 0)
	f(`{"candidates": []}`, "", "", 0)
	f(`{"candidates": [ ]}`, "", "", 0)
	f(`{"candidates": [{}]}`, "", "", 0)
	f(`{"candidates": [{"content": null,"index": null}]}`, "", "", 0)
	f(`{"candidates": [{"content": {}}]}`, "", "", 0)
	f(`{"candidates": [{"content": {"parts": null,"role": "model"}}]}`, "", "", 0)
	f(`{"candidates": [{"content": {"parts": []}}]}`, "", "", 0)
	// Any other is noted, and its text and finish are not the answer's.
	f(`{"candidates": [{"index": 0},{"index": 1}]}`, "", "", Several)
	f(`{"candidates": [{"content": {"parts": [{"text": "a"}]},"finishReason": "STOP"},{"content": {"parts": [{"text": "b"}]},"finishReason": "SAFETY"}]}`,
		"a", "STOP", Text|Several)
	f(`{"candidates": [{},{"finishReason": "STOP"}]}`, "", "", Several)
	f(`{"candidates": [{"content": {"parts": [{"text": "a"}]},"index": 1}]}`, "a", "", Text|Several)
}

func TestChunkReadsTokenBlockAndFailure(t *testing.T) {
	f := func(payload string, kinds Kinds, blocked, failure bool) {
		t.Helper()
		var c Chunk
		if _, ok := c.Parse([]byte(payload), nil); !ok || c.Kinds != kinds || c.Blocked != blocked || c.Failure != failure {
			t.Errorf("%s: %t, kinds %b, blocked %t, failure %t", payload, ok, c.Kinds, c.Blocked, c.Failure)
		}
	}
	f(`{"candidates": [{"continuationToken": "x","finishReason": "CONTINUATION"}]}`, Token, false, false)
	f(`{"candidates": [{"continuationToken": null}]}`, 0, false, false)
	f(`{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},"usageMetadata": {}}`, 0, true, false)
	f(`{"promptFeedback": {"safetyRatings": [{"blockReason": "x"}]}}`, 0, false, false)
	f(`{"promptFeedback": {"blockReason": null}}`, 0, false, false)
	f(`{"promptFeedback": null}`, 0, false, false)
	f(`{"promptFeedback": {}}`, 0, false, false)
	f(`{"error": {"code": 503}}`, 0, false, true)
	f(`{"error": "boom"}`, 0, false, true)
	f(`{"\u0065rror": {}}`, 0, false, true)
	f(`{"error": null}`, 0, false, false)
	f("[{\"error\": {\"code\": 503}}\n]", 0, false, true)
	f(` [ { "error" : { } } ] `, 0, false, true)
}

func TestChunkRefusesWhatIsNotOneObject(t *testing.T) {
	f := func(payload string) {
		t.Helper()
		var c Chunk
		text, ok := c.Parse([]byte(payload), []byte("before"))
		if ok || string(text) != "before" {
			t.Errorf("%.80s: taken, transcript %q", payload, text)
		}
	}
	// No object.
	for _, p := range []string{"", " ", "[DONE]", "null", "1", `"a"`, "[]", "[{}]", "[1]", "{}{}", "{} x", "x {}", "\ufeff{}"} {
		f(p)
	}
	f(`[{"error": {}},{"error": {}}]`)
	f(`[{"error": {}},]`)
	f(`[{"error": null}]`)
	// Malformed.
	for _, p := range []string{
		`{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":[1,]}`, `{"a":1 "b":2}`, `{a:1}`, `{'a':1}`, `{"a":tru}`, `{"a":nul}`, `{"a":nulll}`,
		`{"a":01}`, `{"a":-}`, `{"a":1.}`, `{"a":+1}`, `{"a":.5}`, `{"a":1e}`, `{"a":]}`, `{"a":[}`, `{"a":"b\"}`, `{"a":"b}`, `{"a":{"b":1]}`,
	} {
		f(p)
	}
	// Of another shape.
	f(`{"candidates": {}}`)
	f(`{"candidates": [1]}`)
	f(`{"candidates": [{"content": []}]}`)
	f(`{"candidates": [{"content": {"parts": {}}}]}`)
	f(`{"candidates": [{"content": {"parts": ["a"]}}]}`)
	f(`{"usageMetadata": 1}`)
	f(`{"promptFeedback": "x"}`)
}

func TestChunkBoundsNesting(t *testing.T) {
	f := func(depth int, want bool) {
		t.Helper()
		var c Chunk
		for _, p := range []string{
			`{"x": ` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`,
			`{"x": ` + strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) + `}`,
		} {
			if _, ok := c.Parse([]byte(p), nil); ok != want {
				t.Errorf("depth %d: %t", depth, ok)
			}
		}
	}
	f(1, true)
	f(maxDepth-1, true)
	f(maxDepth, false)
	f(100_000, false)
}

func TestChunkRefusesEveryTruncation(t *testing.T) {
	for _, payload := range wholePayloads {
		for cut := range payload {
			var c Chunk
			if _, ok := c.Parse([]byte(payload[:cut]), nil); ok {
				t.Errorf("%s: taken", payload[:cut])
			}
		}
		if _, err := oracle([]byte(payload)); err != nil && payload[0] == '{' {
			t.Errorf("%s: %v", payload, err)
		}
	}
}

// wholePayloads are payloads with a bit of everything.
var wholePayloads = []string{
	`{"candidates": [{"content": {"parts": [{"text": "a\"\\\u003c😀"},{"text": "b","thought": true},{"functionCall": {"name": "f","args": {"x": [1,-2.5e+3,true,null]}}}],"role": "model"},` +
		`"finishReason": "STOP","index": 0,"safetyRatings": []}],"usageMetadata": {"promptTokenCount": 5,"totalTokenCount": 7,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 5}]},` +
		`"modelVersion": "gemini","responseId": "id"}`,
	`{"promptFeedback": {"blockReason": "SAFETY"}}`,
	`[{"error": {"code": 503,"message": "x"}}]`,
}

func TestChunkAgreesWithEncodingJSONOnRecordings(t *testing.T) {
	for _, r := range recordings(t, "streams.jsonl") {
		for _, payload := range mustStrict(t, []byte(r.Body)) {
			want, err := oracle([]byte(payload))
			if err != nil {
				t.Fatalf("%s: %v", r.Source, err)
			}
			if got, ok := chunkSays([]byte(payload)); !ok || got != want {
				t.Errorf("%s: %s\n got %+v\nwant %+v", r.Source, payload, got, want)
			}
		}
	}
}

// What a strict client would choke on is no event: the attempt is cut there.
func TestChunkRefusesWhatStrictParsersRefuse(t *testing.T) {
	for _, text := range []string{`"\q"`, `"\u12"`, `"\u12g4"`, `"a\`, `1.`, `.5`, `01`, `-`, `1e`, `1e+`, `50-3`, `1.2.3`, `+1`} {
		payload := []byte(`{"candidates": [{"content": {"parts": [{"text": "a"}]},"index": 0}],"x": ` + text + `}`)
		var c Chunk
		if _, ok := c.Parse(payload, nil); ok || json.Valid(payload) {
			t.Errorf("%s: read %t, valid %t", payload, ok, json.Valid(payload))
		}
	}
}
