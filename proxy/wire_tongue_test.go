package proxy_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
)

// wirePieces are what answers are made of here: what tempts scanners, seams and
// clients to see something that is not there.
var wirePieces = []string{
	"The", " quick", " brown", " fox jumps over", " the lazy dog.", `\n`, `\n\n`, ` \"quoted\"`, ` \\back`, ` \u00e9t\u00e9`, ` \ud83d\ude00`, " été", " 日本語",
	" 😀", " data: x", ` {\"error\": {\"code\": 503}}`, ` \"finishReason\": \"SAFETY\"`, "\u2028", "\u0085", ` | a | b |\n`, " - item", "  ", `\t`, "…", "—", " it’s",
	"\x7f", `\/`, " 1234567890", " Sentence number one is here.", " Sentence number two is there.", " over and over again", " over and over again",
}

// wireTongue is a surface of the API: how it is asked, and what it says.
type wireTongue struct {
	targets, questions []string
	plain, last        []string // events; the first three are usual
	wrapped, chat      bool
}

var wireTongues = []*wireTongue{
	{plain: plainShapes, last: lastShapes, targets: []string{streamPath, streamPath, arrayPath}, questions: []string{ask("hi")}},
	{plain: plainShapes, last: lastShapes, targets: []string{wrappedEvents.target, wrappedEvents.target, wrappedArray.target},
		questions: []string{wrappedEvents.request(ask("hi"))}, wrapped: true},
	{plain: plainChats, last: lastChats, targets: []string{chatPath}, questions: []string{
		`{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`,
		`{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}`,
	}, chat: true},
}

// payload is an event of the k-th attempt. %s is its text.
func (t *wireTongue) payload(r *rand.Rand, shape, text string, k int) string {
	p := strings.NewReplacer("%s", text, "%k", itoa(k), "%n", itoa(r.IntN(200)),
		"%u", fmt.Sprintf(`"usageMetadata": {"promptTokenCount": %d,"candidatesTokenCount": %d,"totalTokenCount": %d}`, 7+k, r.IntN(100), r.IntN(200)),
		"%U", fmt.Sprintf(`"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`, 7+k, r.IntN(100), r.IntN(300)),
		"%i", fmt.Sprintf(`"created":%d,"id":"r%d","model":"m%d","object":"chat.completion.chunk"`, 1+k, k, k)).Replace(shape)
	if !t.wrapped || strings.HasPrefix(p, `{"error"`) && r.IntN(2) == 0 {
		return p
	}
	return fmt.Sprintf(oneOf(r, []string{`{"response": %s,"traceId": "t"}`, `{"response": %s}`, `{ "traceId" : "{\"response\"" , "response" : %s , "remainingCredits": [] }`}), p)
}

// sound tells what is wrong with an answer, whatever it says.
func (t *wireTongue) sound(a answer) error {
	if !t.chat || a.status != 200 {
		return nil
	}
	r, err := readChat(a.body)
	switch {
	case errors.Is(err, errAfterFinish):
		return nil
	case err != nil:
		return err
	case len(r.ids) > 1:
		return fmt.Errorf("the answer names itself %q", r.ids)
	case r.failure == "" && !r.done:
		return fmt.Errorf("no end")
	}
	return nil
}

// plainShapes are the events in the middle of an answer: nearly the same.
var plainShapes = []string{
	`{"candidates": [{"content": {"parts": [{"text": "%s"}],"role": "model"},"index": 0}],%u,"modelVersion": "m%k","responseId": "r%k"}`,
	`{"candidates":[{"content":{"role":"model","parts":[{"text":"%s"}]}}],"modelVersion": "m%k"}`,
	`{ "candidates" : [ { "content" : { "parts" : [ { "text" : "%s" } ] } } ] }`,
	`{"candidates": [{"content": {"parts": [{"text": "%s"},{"text": "%s"}],"role": "model"}}]}`,
	`{"candidates": [{"content": {"parts": [{"text": "%s","thought": true}],"role": "model"}}],%u}`,
	`{"candidates": [{"content": {"parts": [{"text": "%s","thoughtSignature": "c2ln"}],"role": "model"}}],%u}`,
	`{"candidates": [{"content": {"parts": [{"text": "%s"}],"role": "model"},"groundingMetadata": {"groundingSupports": [{"segment": {"startIndex": 3,"endIndex": %n}}]}}]}`,
	`{%u}`,
	`{"candidates": [{"content": {"parts": [{"text": ""}],"role": "model"}}]}`,
	`{"candidates": [{"content": {"parts": [{"text": "%s"}],"role": "model"},"finishReason": null}],%u}`,
	`{%u,"candidates": [{"content": {"parts": [{"text": "x","text": "%s"}],"role": "model"}}]}`,
	`{"candidates": [{"content": {"parts": [{"text": "%s","thought": true},{"text": "%s"}],"role": "model"}}],%u}`,
}

// lastShapes change what becomes of an answer.
var lastShapes = []string{
	`{"candidates": [{"content": {"parts": [{"text": "%s"}],"role": "model"},"finishReason": "STOP","index": 0}],%u,"modelVersion": "m%k","responseId": "r%k"}`,
	`{"candidates": [{"content": {"parts": [{"text": "%s"}],"role": "model"},"finishReason": "SAFETY"}]}`,
	`{"candidates": [{"finishReason": "MAX_TOKENS","index": 0}],%u}`,
	`{"candidates": [{"finishReason": "STOP"}]}`,
	`{"candidates": [{"content": {},"finishReason": "PROHIBITED_CONTENT"}]}`,
	`{"candidates": [{"content": {"parts": [{"text": "%s"}]},"continuationToken": "t%n"}]}`,
	`{"candidates": [{"content": {"parts": [{"text": "%s"}],"role": "model"},"index": 1}]}`,
	`{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f","args": {"a": "%s"}}}],"role": "model"}}]}`,
	`{"candidates": [{"content": {"parts": [{"text": "%s"},{"inlineData": {"mimeType": "image/png","data": "AAAA"}}],"role": "model"}}]}`,
	`{"error": {"code": 503,"message": "%s","status": "UNAVAILABLE"}}`,
	`{"error": {"code": 400,"message": "%s","status": "INVALID_ARGUMENT"}}`,
	`{"promptFeedback": {"blockReason": "SAFETY"}}`,
	`{}`,
}

// plainChats are plainShapes of the OpenAI-compatible surface.
var plainChats = []string{
	`{"choices":[{"delta":{"content":"%s","role":"assistant"},"index":0}],%i}`,
	`{"choices":[{"delta":{"content":"%s"},"index":0}],%i,%U}`,
	`{ %i , "choices" : [ { "index" : 0 , "delta" : { "content" : "%s" } , "finish_reason" : null } ] , "usage" : null }`,
	`{"choices":[{"delta":{"content":"","role":"assistant"},"index":0}],%i}`,
	`{"choices":[{"delta":{"content":"<thought>%s","extra_content":{"google":{"thought":true}},"role":"assistant"},"index":0}],%i}`,
	`{"choices":[{"delta":{"content":"%s","extra_content":{"google":{"thought":true}}},"index":0}],%i}`,
	`{"choices":[{"delta":{"content":"</thought>%s"},"index":0}],%i}`,
	`{"choices":[{"delta":{"content":"\u003c/thought\u003e%s","role":"assistant"},"index":0}],%i,%U}`,
	`{"choices":[{"delta":{"content":"<thought>%s</thought>%s","extra_content":{"google":{"thought":true}}},"index":0}],%i}`,
	`{"choices":[{"delta":{"reasoning_content":"%s"},"index":0}],%i}`,
	`{"choices":[{"delta":{"content":"%s","reasoning":"%s"},"index":0}],%i}`,
	`{"choices":[],%i,%U}`,
	`{"choices":[{"delta":{},"index":0}],%i}`,
	`{"choices":[{"delta":{"content":"%s","annotations":[{"type":"url_citation","url_citation":{"start_index":1,"end_index":%n}}]},"index":0}],%i}`,
	`{"choices":[{"delta":{"content":"x","content":"%s"}}]}`,
}

// lastChats are lastShapes of the OpenAI-compatible surface.
var lastChats = []string{
	`{"choices":[{"delta":{"content":"%s"},"finish_reason":"stop","index":0}],%i,%U}`,
	`{"choices":[{"delta":{"role":"assistant"},"finish_reason":"stop","index":0}],%i}`,
	`{"choices":[{"delta":{},"finish_reason":"length","index":0}],%i,%U}`,
	`{"choices":[{"delta":{"content":"%s"},"finish_reason":"content_filter","index":0}],%i}`,
	`{"choices":[{"finish_reason":"content_filter: PROHIBITED_CONTENT","index":0}],%i}`,
	`{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{\"a\":\"%n\"}","name":"f"},"id":"c%k","type":"function"}]},"index":0}],%i}`,
	`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"","name":"f"},"id":"c%k","type":"function"}]},"index":0}],%i}`,
	`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]},"index":0}],%i}`,
	`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"%n}"}}]},"index":0}],%i}`,
	`{"choices":[{"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{}","name":"g"},"id":"d%k"}]},"finish_reason":"tool_calls","index":0}],%i}`,
	`{"choices":[{"delta":{"content":"%s"},"index":1}],%i}`,
	`{"error":{"message":"%s","type":"server_error","param":null,"code":503}}`,
	`[{"error": {"code": 503,"message": "%s","status": "UNAVAILABLE"}}]`,
	`{"error": {"code": 400,"message": "%s","status": "INVALID_ARGUMENT"}}`,
	`{}`,
}
