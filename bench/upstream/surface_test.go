package upstream

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// on is a whole request for a surface.
func on(s Surface, body string) string {
	path := map[Surface]string{
		SSE:         "/v1beta/models/m-1:streamGenerateContent?alt=sse",
		Array:       "/v1beta/models/m-1:streamGenerateContent",
		Unary:       "/v1beta/models/m-1:generateContent",
		OpenAI:      "/v1beta/openai/chat/completions",
		OpenAIUnary: "/v1beta/openai/chat/completions",
		CodeAssist:  "/v1internal:streamGenerateContent?alt=sse",
	}[s]
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: up\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// question is a body for a surface, of turns that alternate.
func question(s Surface, turns ...string) string {
	if s == CodeAssist {
		return `{"model":"m-1","project":"p","user_prompt_id":"u","request":` + ask(turns...) + `}`
	}
	if s < OpenAI {
		return ask(turns...)
	}
	completion := map[string]any{"model": "models/m-1", "stream": s == OpenAI}
	var messages []map[string]string
	for i, text := range turns {
		messages = append(messages, map[string]string{"role": []string{"user", "assistant"}[i%2], "content": text})
	}
	completion["messages"] = messages
	b, _ := json.Marshal(completion)
	return string(b)
}

const usageOf = `"usageMetadata": {"promptTokenCount": 7,"candidatesTokenCount": %d,"totalTokenCount": %d},"modelVersion": "gemini-2.5-flash","responseId": "ID"}`

func native(text, reason string, tokens int) string {
	if reason != "" {
		reason = `"finishReason": "` + reason + `",`
	}
	return `{"candidates": [{"content": {"parts": [{"text": "` + text + `"}],"role": "model"},` + reason + `"index": 0}],` + fmt.Sprintf(usageOf, tokens, 7+tokens)
}

func completion(object string, tokens int) string {
	return fmt.Sprintf(`"created":1750000000,"id":"ID","model":"gemini-2.5-flash","object":"%s","usage":{"completion_tokens":%d,"prompt_tokens":7,"total_tokens":%d}}`, object, tokens, 7+tokens)
}

func TestSurfaces(t *testing.T) {
	type bodies [OpenAIUnary + 1]string
	wrapped := strings.NewReplacer(`data: {"candidates"`, `data: {"response": {"candidates"`, "\r\n\r\n", `,"traceId": "4bf92f3577b34da6"}`+"\r\n\r\n")
	f := func(name string, script Script, want bodies) {
		all := append(want[:], want[SSE])
		if name != "error in the stream" {
			all[CodeAssist] = wrapped.Replace(want[SSE])
		}
		for s, want := range all {
			u := start(t, func(r *Request) Script { return append(Script{As(r.Surface())}, script...) })
			_, body, _ := dial(t, u).send(on(Surface(s), question(Surface(s), "q"))).response()
			same(t, name+" "+Surface(s).String(), strings.ReplaceAll(body, responseID(0), "ID"), want)
		}
	}
	f("two pieces", Script{Text("abcd"), TextFinish("efgh", "STOP")}, bodies{
		"data: " + native("abcd", "", 1) + "\r\n\r\ndata: " + native("efgh", "STOP", 2) + "\r\n\r\n",
		"[" + native("abcd", "", 1) + "\n,\r\n" + native("efgh", "STOP", 2) + "\n]",
		"{\n  \"candidates\": [{\"content\": {\"parts\": [{\"text\": \"abcdefgh\"}],\"role\": \"model\"},\"finishReason\": \"STOP\",\"index\": 0}],\n" +
			"  \"usageMetadata\": {\"promptTokenCount\": 7,\"candidatesTokenCount\": 2,\"totalTokenCount\": 9},\n  \"modelVersion\": \"gemini-2.5-flash\",\n  \"responseId\": \"ID\"\n}\n",
		`data: {"choices":[{"delta":{"content":"abcd","role":"assistant"},"index":0}],` + completion("chat.completion.chunk", 1) + "\n\n" +
			`data: {"choices":[{"delta":{"content":"efgh","role":"assistant"},"finish_reason":"stop","index":0}],` + completion("chat.completion.chunk", 2) + "\n\ndata: [DONE]\n\n",
		`{"choices":[{"finish_reason":"stop","index":0,"message":{"content":"abcdefgh","role":"assistant"}}],` + completion("chat.completion", 2) + "\n",
	})
	cutUnary := "{\n  \"candidates\": [{\"content\": {\"parts\": [{\"text\": \"abcd"
	f("cut", Script{Text("abcd"), Cut()}, bodies{
		"data: " + native("abcd", "", 1) + "\r\n\r\n",
		"[" + native("abcd", "", 1) + "\n",
		cutUnary,
		`data: {"choices":[{"delta":{"content":"abcd","role":"assistant"},"index":0}],` + completion("chat.completion.chunk", 1) + "\n\n",
		`{"choices":[{"index":0,"message":{"content":"abcd`,
	})
	f("torn", Script{Torn("abcdü"), Cut()}, bodies{
		`data: {"candidates": [{"content": {"parts": [{"text": "abcd` + "\xc3",
		`[{"candidates": [{"content": {"parts": [{"text": "abcd` + "\xc3",
		cutUnary + "\xc3",
		`data: {"choices":[{"delta":{"content":"abcd` + "\xc3",
		`{"choices":[{"index":0,"message":{"content":"abcd` + "\xc3",
	})
	f("end without a finish", Script{Text("abcd"), End()}, bodies{
		"data: " + native("abcd", "", 1) + "\r\n\r\n",
		"[" + native("abcd", "", 1) + "\n]",
		cutUnary + "\"}],\"role\": \"model\"},\"index\": 0}],\n" +
			"  \"usageMetadata\": {\"promptTokenCount\": 7,\"candidatesTokenCount\": 1,\"totalTokenCount\": 8},\n  \"modelVersion\": \"gemini-2.5-flash\",\n  \"responseId\": \"ID\"\n}\n",
		`data: {"choices":[{"delta":{"content":"abcd","role":"assistant"},"index":0}],` + completion("chat.completion.chunk", 1) + "\n\n",
		`{"choices":[{"index":0,"message":{"content":"abcd","role":"assistant"}}],` + completion("chat.completion", 1) + "\n",
	})
	failed := `{"error": {"code": 503,"message": "m","status": "UNAVAILABLE"}}`
	f("error in the stream", Script{ErrorEvent(503, "UNAVAILABLE", "m")}, bodies{
		"data: " + failed + "\r\n\r\n", "[" + failed + "\n]", failed, "data: " + failed + "\n\n", "[" + failed + "]",
	})
	before := errorJSON(503, "UNAVAILABLE", "m", 0)
	f("error before the answer", Script{ErrorBody(503, "UNAVAILABLE", "m", 0)}, bodies{
		before, "[" + before + "]", before, "[" + before + "]", "[" + before + "]",
	})
	toolCall := `"tool_calls":[{"function":{"arguments":"{\"a\": 1}","name":"f"},"id":"function-call-1","type":"function"}]`
	f("call", Script{Call("f", `{"a": 1}`), Finish("STOP")}, bodies{
		`data: {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f","args": {"a": 1}}}],"role": "model"},"index": 0}],` +
			`"usageMetadata": {"promptTokenCount": 7,"totalTokenCount": 7},"modelVersion": "gemini-2.5-flash","responseId": "ID"}` + "\r\n\r\ndata: " +
			strings.ReplaceAll(native("", "STOP", 0), `"candidatesTokenCount": 0,`, "") + "\r\n\r\n",
		`[{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f","args": {"a": 1}}}],"role": "model"},"index": 0}],` +
			`"usageMetadata": {"promptTokenCount": 7,"totalTokenCount": 7},"modelVersion": "gemini-2.5-flash","responseId": "ID"}` + "\n,\r\n" +
			strings.ReplaceAll(native("", "STOP", 0), `"candidatesTokenCount": 0,`, "") + "\n]",
		"{\n  \"candidates\": [{\"content\": {\"parts\": [{\"functionCall\": {\"name\": \"f\",\"args\": {\"a\": 1}}}],\"role\": \"model\"},\"finishReason\": \"STOP\",\"index\": 0}],\n" +
			"  \"usageMetadata\": {\"promptTokenCount\": 7,\"totalTokenCount\": 7},\n  \"modelVersion\": \"gemini-2.5-flash\",\n  \"responseId\": \"ID\"\n}\n",
		`data: {"choices":[{"delta":{` + toolCall + `,"role":"assistant"},"index":0}],` + completion("chat.completion.chunk", 0) + "\n\n" +
			`data: {"choices":[{"delta":{},"finish_reason":"stop","index":0}],` + completion("chat.completion.chunk", 0) + "\n\ndata: [DONE]\n\n",
		`{"choices":[{"finish_reason":"stop","index":0,"message":{"role":"assistant",` + toolCall + `}}],` + completion("chat.completion", 0) + "\n",
	})
}

func TestModelContinuesOnEverySurface(t *testing.T) {
	for s := SSE; s <= CodeAssist; s++ {
		u := start(t, (&Model{Answer: "The quick brown fox.", Piece: 100}).Handle)
		_, body, _ := dial(t, u).send(on(s, question(s, "q", "The quick", "go on"))).response()
		if !strings.Contains(body, `" brown fox."`) {
			t.Errorf("%s: %s", s, excerpt(body))
		}
		if r := u.Requests()[0]; r.Surface() != s || r.Model() != "m-1" {
			t.Errorf("%s: taken for %s of model %q", s, r.Surface(), r.Model())
		}
	}
}

func TestContentsOfMessages(t *testing.T) {
	r := Request{Body: []byte(`{"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},` +
		`{"role":"assistant","content":null,"tool_calls":[{"id":"1","function":{"name":"f"}}]},{"role":"tool","tool_call_id":"1","content":"r"}]}`)}
	got, err := r.Contents()
	want := []Turn{{Role: "user", Text: "ab"}, {Role: "model", Call: "f"}, {Role: "user", Text: "r", Result: "1"}}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}
