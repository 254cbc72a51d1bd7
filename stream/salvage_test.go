package stream

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// salvaged is what Salvage makes of the beginning of a document.
func salvaged(body string, thoughts bool) string {
	out, ok := Salvage([]byte("before"), []byte(body), Native, thoughts)
	if !bytes.HasPrefix(out, []byte("before")) || !ok && len(out) > len("before") {
		return "(dst was not kept)"
	}
	return string(out[len("before"):])
}

func TestSalvage(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if got := salvaged(body, false); got != want {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
	}
	parts := func(p string) string {
		return `{"candidates": [{"content": {"parts": [` + p + `],"role": "model"},"index": 0}]}`
	}
	open := `{"candidates": [{"content": {"parts": [`
	// Nothing that could be gone on from.
	for _, body := range []string{
		"", " ", "{", `{"cand`, `{"candidates"`, `{"candidates":`, `{"candidates": [`, `{"candidates": [{`, open, open + `{`, open + `{"text`, open + `{"text":`,
		open + `{"text": "`, open + `{"text": "\`, open + `{"text": "\u00e`, open + `{"text": "\ud83d`, open + `{"text": "\ud83d\ude`, open + "{\"text\": \"\xe2\x82",
		`{"error": {"code": 503,"mess`, `<html>`, `[`, `[{"candidates"`, `"candidates`, `{"promptFeedback": {"blockRea`, open + `{"text": 12`, open + `{"text": {"text": "a`,
		open + `{"functionCall": {"name": "f`, open + `{"text": "a"},{"functionCall": {"na`, open + `{"functionCall": {"name": "f"}},{"text": "abc`,
		open + `{"inlineData": {"data": "AAAA"}}],"role": "mod`, open + `{"text": "a"}],"role": "model"}},{"content": {"parts": [{"text": "b`,
		`{"candidates": [{"finishReason": "STOP","content": {"parts": [{"inlineData": {"da`,
		`{"candidates": [{"index": 1,"content": {"parts": [{"text": "a"}]},"fin`,
		open + `{"text": "a","thought": true`, open + `{"thought": true,"text": "a`, open + `{"text": "a","thought": true}],"role`,
	} {
		f(body, "")
	}
	// Text, as far as it is whole.
	f(open+`{"text": "a`, parts(`{"text": "a"}`))
	f("\n "+open+`{"text":"a b\n`, parts(`{"text": "a b\n"}`))
	f(open+`{"text": "a\`, parts(`{"text": "a"}`))
	f(open+`{"text": "a\u`, parts(`{"text": "a"}`))
	f(open+`{"text": "a\u00e`, parts(`{"text": "a"}`))
	f(open+`{"text": "a\u00e9`, parts(`{"text": "a\u00e9"}`))
	f(open+`{"text": "a\\`, parts(`{"text": "a\\"}`))
	f(open+`{"text": "a\"`, parts(`{"text": "a\""}`))
	f(open+`{"text": "a\\\`, parts(`{"text": "a\\"}`))
	f(open+`{"text": "a\ud83d\ude0`, parts(`{"text": "a"}`))
	f(open+`{"text": "a\ud83d\ude00`, parts(`{"text": "a\ud83d\ude00"}`))
	f(open+"{\"text\": \"a\xf0\x9f\x98", parts(`{"text": "a"}`))
	f(open+"{\"text\": \"a\xf0\x9f\x98\x80", parts(`{"text": "a😀"}`))
	f(open+`{"text": "a\x`, parts(`{"text": "a"}`))
	f(open+`{"text": "a"`, parts(`{"text": "a"}`))
	f(open+`{"text": "a",`, parts(`{"text": "a"}`))
	f(open+`{"text": "a","thoughtSig`, parts(`{"text": "a"}`))
	f(open+`{"text": "a","thoughtSignature": "QUJ`, parts(`{"text": "a"}`))
	f(open+`{"text": "a","thoughtSignature": "QUJD"}`, parts(`{"text": "a","thoughtSignature": "QUJD"}`))
	f(open+`{"text": "a"},{"text": "b`, parts(`{"text": "a"},{"text": "b"}`))
	f(open+`{"text": "hm","thought": true},{"text": "b`, parts(`{"text": "hm","thought": true},{"text": "b"}`))
	f(open+`{"text": "a"}],"role": "mo`, parts(`{"text": "a"}`))
	// The text of an answer proves nothing.
	f(open+`{"text": "\"finishReason\": \"STOP\"}]}`, parts(`{"text": "\"finishReason\": \"STOP\"}]}"}`))
	// A finish counts behind the content.
	closed := open + `{"text": "a"}],"role": "model"}`
	f(closed, closed+`}]}`)
	f(closed+`,"finishReason": "ST`, closed+`}]}`)
	f(closed+`,"finishReason": "STOP"`, closed+`,"finishReason": "STOP"}]}`)
	f(closed+`,"finishReason": "STOP","safetyRatings": [{"cat`, closed+`,"finishReason": "STOP"}]}`)
	f(closed+`,"finishReason": "STOP","index": 0`, closed+`,"finishReason": "STOP"}]}`)
	f(closed+`,"finishReason": "STOP","index": 0}`, closed+`,"finishReason": "STOP","index": 0}]}`)
	f(closed+`,"finishReason": "STOP"}],"usageMetadata": {"promptTokenCount": 7,"cand`, closed+`,"finishReason": "STOP"}]}`)
	f(closed+`,"finishReason": "STOP"}],"usageMetadata": {"promptTokenCount": 7},"modelVersion": "x","resp`,
		closed+`,"finishReason": "STOP"}],"usageMetadata": {"promptTokenCount": 7},"modelVersion": "x"}`)
	f(`{"candidates": [{"finishReason": "STOP","content": {"parts": [{"text": "a`, parts(`{"text": "a"}`))
	f(`{"modelVersion": "x","candidates": [{"content": {"role": "model","parts": [{"text": "a`, `{"modelVersion": "x",`+parts(`{"text": "a"}`)[1:])
	// An answer that is whole need not be of text.
	call := open + `{"functionCall": {"name": "f"}}],"role": "model"},"finishReason": "STOP"`
	f(call+`,"ind`, call+`}]}`)
}

// Where a thought may come, text is the answer's only behind answer text.
func TestSalvageTakesNoThoughtForText(t *testing.T) {
	f := func(parts, want string) {
		t.Helper()
		open := `{"candidates": [{"content": {"parts": [`
		if want != "" {
			want = open + want + `],"role": "model"},"index": 0}]}`
		}
		if got := salvaged(open+parts, true); got != want {
			t.Errorf("%s\n got %s\nwant %s", parts, got, want)
		}
	}
	f(`{"text": "a`, "")
	f(`{"text": "a"`, "")
	f(`{"text": "a"}`, `{"text": "a"}`)
	f(`{"text": "a"},{"text": "b`, `{"text": "a"},{"text": "b"}`)
	f(`{"text": "hm","thought": true},{"text": "b`, "")
	f(`{"text": "hm","thought": true},{"text": "b"}`, `{"text": "hm","thought": true},{"text": "b"}`)
}

func TestSalvageOfAWrapper(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if got, _ := Salvage(nil, []byte(body), Wrapped, false); string(got) != want {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
	}
	inner := `{"candidates": [{"content": {"parts": [{"text": "a"}],"role": "model"},"finishReason": "STOP"}]`
	f(`{"traceId": "t","response": `+inner[:strings.Index(inner, `a"}`)]+`ab`, `{"traceId": "t","response": {"candidates": [{"content": {"parts": [{"text": "ab"}],"role": "model"},"index": 0}]}}`)
	f(`{"response": `+inner, `{"response": `+inner+`}}`)
	f(`{"response": `+inner+`},"traceId": "t`, `{"response": `+inner+`}}`)
	f(`{"traceId": {"candidates": [`, "")
	f(inner, "")
}

// documents are whole answers.
var documents = []string{
	`{"candidates": [{"content": {"parts": [{"text": "Hi \u00e9\ud83d\ude00 \"x\" \\ é😀\n"}],"role": "model"},"finishReason": "STOP","index": 0}],"usageMetadata": {"promptTokenCount": 12},"modelVersion": "m","responseId": "r"}`,
	"{\n \"candidates\": [\n  {\n   \"content\": {\n    \"parts\": [\n     {\n      \"text\": \"hm\",\n      \"thought\": true\n     },\n     {\n      \"text\": \"so\",\n      \"thoughtSignature\": \"QUJD\"\n     },\n     {\"text\": \"on\"}\n    ],\n    \"role\": \"model\"\n   },\n   \"finishReason\": \"MAX_TOKENS\"\n  }\n ]\n}\n",
	`{"responseId":"r","candidates":[{"index":0,"finishReason":"STOP","content":{"role":"model","parts":[{"text":"{\"candidates\": [{\"finishReason\": \"STOP\"}]}"},{"text":"€"}]},"groundingMetadata":{"x":[1,2]}}]}`,
	`{"candidates": [{"content": {"parts": [{"text": "I call"},{"functionCall": {"name": "f","args": {"text": "no"}}}],"role": "model"},"finishReason": "STOP"}]}`,
}

// checkSalvage checks what is salvaged of the beginning of a whole document
// whose text is whole.
func checkSalvage(t *testing.T, body, whole []byte, thoughts bool) {
	t.Helper()
	got, ok := Salvage(nil, body, Native, thoughts)
	if !ok {
		return
	}
	if !json.Valid(got) {
		t.Fatalf("%q: %q", body, got)
	}
	var c Chunk
	text, _ := c.Parse(got, nil)
	if !bytes.HasPrefix(AppendUnescaped(nil, whole), AppendUnescaped(nil, text)) || !bytes.HasPrefix(whole, text) {
		t.Fatalf("%q: text %q is no beginning of %q", body, text, whole)
	}
	sound := !bytes.ContainsRune(AppendUnescaped(nil, whole), utf8.RuneError)
	if sound && len(wholeText(text)) != len(text) {
		t.Fatalf("%q: half a character in %q", body, text)
	}
	if c.Finish != nil && !bytes.Equal(text, whole) {
		t.Fatalf("%q: a finish behind %q of %q", body, text, whole)
	}
}

func TestSalvageAtEveryByte(t *testing.T) {
	for _, doc := range documents {
		var c Chunk
		whole, ok := c.Parse([]byte(doc), nil)
		if !ok {
			t.Fatal(doc)
		}
		for n := range len(doc) {
			for _, thoughts := range []bool{false, true} {
				// A thought whose mark did not come is text to a request for none.
				if strings.Contains(doc, `"thought"`) && !thoughts {
					continue
				}
				checkSalvage(t, []byte(doc[:n]), whole, thoughts)
			}
		}
	}
}

// FuzzSalvage: what is salvaged of a body that breaks off is a beginning of it.
func FuzzSalvage(f *testing.F) {
	for _, doc := range documents {
		f.Add([]byte(doc), uint(len(doc)/2))
	}
	f.Fuzz(func(t *testing.T, doc []byte, at uint) {
		body := doc[:at%uint(len(doc)+1)]
		Salvage(nil, body, Wrapped, false)
		var c Chunk
		whole, ok := c.Parse(doc, nil)
		if !ok || !json.Valid(doc) || uniqueMembers(doc) != nil || c.Kinds&Several != 0 {
			Salvage(nil, body, Native, false) // it must not panic, no more
			return
		}
		checkSalvage(t, body, whole, true)
	})
}
