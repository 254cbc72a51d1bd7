package upstream

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

const eventEnd = `,"modelVersion": "gemini-2.5-flash","responseId": "ID"}` + "\r\n\r\n"

// The bytes of the events are compared whole, with ID for the responseId.
func TestEventBytes(t *testing.T) {
	f := func(name string, s Script, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			u := start(t, Always(s))
			_, body, err := dial(t, u).send(post("{}")).response()
			if err != nil {
				t.Fatal(err)
			}
			same(t, "body", strings.ReplaceAll(body, u.Requests()[0].ResponseID(), "ID"), want)
		})
	}
	part := func(part, reason, usage string) string {
		if reason != "" {
			reason = `"finishReason": "` + reason + `",`
		}
		return `data: {"candidates": [{"content": {"parts": [` + part + `],"role": "model"},` + reason + `"index": 0}],` +
			`"usageMetadata": {` + usage + `}` + eventEnd
	}
	hi := `"promptTokenCount": 7,"candidatesTokenCount": 1,"totalTokenCount": 8`
	none := `"promptTokenCount": 7,"totalTokenCount": 7`

	f("text", Script{Text("Hi")}, part(`{"text": "Hi"}`, "", hi))
	f("text finish", Script{TextFinish("Hi", "STOP")}, part(`{"text": "Hi"}`, "STOP", hi))
	f("finish", Script{Text("Hi"), Finish("MAX_TOKENS")}, part(`{"text": "Hi"}`, "", hi)+part(`{"text": ""}`, "MAX_TOKENS", hi))
	f("thought", Script{Thought("Hmm, so"), Text("Hi")},
		part(`{"text": "Hmm, so","thought": true}`, "", `"promptTokenCount": 7,"totalTokenCount": 9,"thoughtsTokenCount": 2`)+
			part(`{"text": "Hi"}`, "", `"promptTokenCount": 7,"candidatesTokenCount": 1,"totalTokenCount": 10,"thoughtsTokenCount": 2`))
	f("usage runs", Script{Text("Hello"), Text(" you"), Text("ü…😀")},
		part(`{"text": "Hello"}`, "", `"promptTokenCount": 7,"candidatesTokenCount": 2,"totalTokenCount": 9`)+
			part(`{"text": " you"}`, "", `"promptTokenCount": 7,"candidatesTokenCount": 3,"totalTokenCount": 10`)+
			part(`{"text": "ü…😀"}`, "", `"promptTokenCount": 7,"candidatesTokenCount": 3,"totalTokenCount": 10`))
	f("call", Script{Call("weather", `{"city": "Rome"}`)}, part(`{"functionCall": {"name": "weather","args": {"city": "Rome"}}}`, "", none))
	f("finish bare", Script{FinishBare("UNEXPECTED_TOOL_CALL")},
		`data: {"candidates": [{"finishReason": "UNEXPECTED_TOOL_CALL","index": 0}],"usageMetadata": {`+none+"}}\r\n\r\n")
	f("block", Script{Block("SAFETY")}, `data: {"promptFeedback": {"blockReason": "SAFETY"},"usageMetadata": {`+none+`}`+eventEnd)
	f("usage", Script{Usage()}, `data: {"usageMetadata": {`+none+`}`+eventEnd)
	f("prompt", Script{Prompt(40), Usage()}, `data: {"usageMetadata": {"promptTokenCount": 40,"totalTokenCount": 40}`+eventEnd)
	f("lf", Script{LF(), Text("Hi"), ErrorEvent(503, "UNAVAILABLE", "busy")},
		strings.ReplaceAll(part(`{"text": "Hi"}`, "", hi), "\r\n\r\n", "\n\n")+
			"data: {\"error\": {\"code\": 503,\"message\": \"busy\",\"status\": \"UNAVAILABLE\"}}\n\n")
	f("error event", Script{ErrorEvent(500, "INTERNAL", `a "b"`)},
		"data: {\"error\": {\"code\": 500,\"message\": \"a \\\"b\\\"\",\"status\": \"INTERNAL\"}}\r\n\r\n")
	f("error raw", Script{ErrorRaw(503, "UNAVAILABLE", "busy")},
		"{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"busy\",\n    \"status\": \"UNAVAILABLE\"\n  }\n}\n")
	f("say", Script{Say("äbcde", 2, time.Nanosecond, "STOP")},
		part(`{"text": "äb"}`, "", hi)+part(`{"text": "cd"}`, "", hi)+
			part(`{"text": "e"}`, "STOP", `"promptTokenCount": 7,"candidatesTokenCount": 2,"totalTokenCount": 9`))
	f("say without a reason", Script{Say("ab", 2, 0, "")}, part(`{"text": "ab"}`, "", hi))
	f("say nothing", Script{Say("", 2, 0, "STOP")}, part(`{"text": ""}`, "STOP", none))
	f("say nothing at all", Script{Say("", 2, 0, "")}, "")
}

func TestErrorBody(t *testing.T) {
	f := func(delay time.Duration, details string) {
		t.Helper()
		u := start(t, Always(Script{ErrorBody(429, "RESOURCE_EXHAUSTED", "slow down", delay)}))
		res, body, err := dial(t, u).send(post("{}")).response()
		if err != nil || res.StatusCode != 429 || res.Header.Get("Content-Type") != "application/json; charset=UTF-8" {
			t.Errorf("%v %v %v", res.StatusCode, res.Header, err)
		}
		same(t, "body", body, "{\n  \"error\": {\n    \"code\": 429,\n    \"message\": \"slow down\",\n    \"status\": \"RESOURCE_EXHAUSTED\""+details+"\n  }\n}\n")
	}
	info := func(delay string) string {
		return ",\n    \"details\": [\n      {\n        \"@type\": \"type.googleapis.com/google.rpc.RetryInfo\",\n        \"retryDelay\": \"" + delay + "\"\n      }\n    ]"
	}
	f(0, "")
	f(48*time.Second, info("48s"))
	f(48939935699, info("48.939935699s"))
	f(50*time.Millisecond, info("0.05s"))
}

func TestAppendJSON(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		got := string(appendJSON(nil, s))
		same(t, s, got, want)
		var back string
		if err := json.Unmarshal([]byte(got), &back); err != nil || back != strings.ToValidUTF8(s, "\ufffd") {
			t.Errorf("%q comes back as %q, %v", s, back, err)
		}
	}
	f("", `""`)
	f("a\"b\\c/d", `"a\"b\\c/d"`)
	f("<a href='x'>&</a>", `"\u003ca href='x'\u003e&\u003c/a\u003e"`)
	f("\n\r\t\b\f\x00\x1f\x7f", `"\n\r\t\b\f\u0000\u001f\u007f"`)
	f("ü 😀 \u2028\u2029 \u0085", `"ü 😀 \u2028\u2029 `+"\u0085"+`"`)
	f("a\xffb", "\"a\ufffdb\"")
}

func TestResponseIDIsOnePerRequest(t *testing.T) {
	u := start(t, Always(Script{Text("a"), Text("b")}))
	c := dial(t, u)
	seen := make(map[string]bool)
	for i := range 50 {
		_, body, _ := c.send(post("{}")).response()
		id := u.Requests()[i].ResponseID()
		if len(id) != 23 || seen[id] || strings.Count(body, `"responseId": "`+id+`"`) != 2 {
			t.Fatalf("request %d: id %q in %s", i, id, excerpt(body))
		}
		seen[id] = true
	}
}
