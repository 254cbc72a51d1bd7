package proxy_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// completion is an answer in one piece, with its members in Google's order.
func completion(hop int, message, finish string) string {
	return fmt.Sprintf(`{"choices":[{"finish_reason":"%s","index":0,"message":{%s,"role":"assistant"}}],"created":%d,"id":"id-%d","model":"m-%d","object":"chat.completion",`+
		`"usage":{"completion_tokens":%d,"prompt_tokens":7,"total_tokens":%d}}`, finish, message, hop, hop, hop, hop, 7+hop)
}

// content is a message's text.
func content(text string) string {
	b, _ := json.Marshal(text)
	return `"content":` + string(b)
}

// completed is what a client reads of a completion.
type completed struct {
	Choices []struct {
		Message      chatMessage
		FinishReason string `json:"finish_reason"`
	}
	ID, Model, Object string
	Created           int
	Usage             chatUsage
	Error             json.RawMessage
}

type chatMessage struct {
	Role, Content string
	ToolCalls     []struct {
		ID       string
		Function struct{ Name, Arguments string }
	} `json:"tool_calls"`
	ExtraContent struct{ Google struct{ Thought bool } } `json:"extra_content"`
}

func (c completed) message() (m chatMessage) {
	if len(c.Choices) > 0 {
		m = c.Choices[0].Message
	}
	return m
}

// newChatUnaryStage is newChatStage with a client that asks for documents.
func newChatUnaryStage(t testing.TB, change func(*proxy.Config)) *stage {
	s := newChatStage(t, change)
	s.body = `{"model":"gemini-2.5-flash","messages":[{"role":"user","content":"tell me a story"}]}`
	return s
}

// completes checks that an answer is one whole completion.
func (s *stage) completes(text, finish, attempts string, a answer) (c completed) {
	s.t.Helper()
	err := json.Unmarshal([]byte(a.body), &c)
	if err != nil || a.err != nil || a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") ||
		a.header.Get("Content-Length") != strconv.Itoa(len(a.body)) || a.header.Get("Content-Encoding") != "" {
		s.t.Errorf("%d %v %v %v\n%s", a.status, a.header, a.err, err, a.body)
	}
	if len(c.Choices) != 1 || c.Choices[0].Message.Content != text || c.Choices[0].FinishReason != finish || c.Choices[0].Message.Role != "assistant" ||
		c.Object != "chat.completion" || c.Error != nil || strings.Count(a.body, `"finish_reason"`) != 1 || strings.Contains(a.body, `"delta"`) {
		s.t.Errorf("want %q, %s in\n%s", text, finish, a.body)
	}
	if got := s.chatAttempts(); got != attempts {
		s.t.Errorf("attempts %q, want %q", got, attempts)
	}
	return c
}

func TestChatDocumentPassesToTheByte(t *testing.T) {
	t.Parallel()
	s := newChatUnaryStage(t, nil)
	for _, body := range []string{
		completion(1, content(first), "stop"), completion(1, content(first), "length"), completion(1, content(""), "content_filter: PROHIBITED_CONTENT"),
		completion(1, `"content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]`, "tool_calls"),
		"{\n  \"choices\": [\n    {\"finish_reason\": \"stop\", \"index\": 0, \"message\": {\"content\": \"a\\u003c\", \"role\": \"assistant\"}}\n  ]\n}\n",
	} {
		if a := s.chat(steps(json200(body))); a.body != body || a.err != nil || s.chatAttempts() != "" {
			t.Errorf("%v %s", a.err, a.body)
		}
	}
}

func TestChatDocumentIsHealed(t *testing.T) {
	t.Parallel()
	s := newChatUnaryStage(t, nil)
	rest := steps(json200(completion(2, content(second), "stop")))
	whole := steps(json200(completion(1, content(first+second), "stop")))
	cut := func(body string, n int) upstream.Script {
		return steps(upstream.LimitBody(n, upstream.FIN), json200(body))
	}
	at := func(body, what string) upstream.Script { return cut(body, strings.Index(body, what)) }
	one := completion(1, content(first+second), "stop")
	f := func(text, attempts string, scripts ...upstream.Script) completed {
		t.Helper()
		return s.completes(text, "stop", attempts, s.chat(scripts...))
	}
	f(first+second, "", whole)
	f(first+second, "|"+first, at(one, second), rest)
	f(first+second, "|", at(one, first), whole)
	f(first+second, "|", cut(one, 0), whole)
	f(first+second, "|", steps(upstream.Cut()), whole)
	f(first+second, "|", asChatUnary(upstream.ErrorBody(503, "UNAVAILABLE", "overloaded", 0)), whole)
	f(first+second, "|", steps(json200(completion(1, content(""), "stop"))), whole)
	f(first+second, "|", steps(json200(completion(1, `"content":null`, "function_call_filter: MALFORMED_FUNCTION_CALL"))), whole)
	f(first+second, "|"+first, steps(json200(completion(1, content(first), "content_filter"))), rest)
	// The finish came, and the message behind it.
	f(first+second, "", cut(one, strings.Index(one, `],"created"`)))
	c := f(first+second, "|"+first+"|"+first+"a ", at(one, second), at(completion(2, content("a lot"), "stop"), "lot"), steps(json200(completion(3, content("time."), "stop"))))
	if c.ID != "id-3" || c.Usage != (chatUsage{7, 3, 10}) {
		t.Errorf("%+v", c)
	}
	c = f(first+second, "|"+first, steps(json200(completion(1, content(first), "content_filter"))), rest)
	if c.ID != "id-1" || c.Model != "m-1" || c.Created != 1 || c.Usage != (chatUsage{7, 3, 10}) {
		t.Errorf("%+v", c)
	}
	// A thought in front of the answer; one that is cut is no text.
	s.body = `{"extra_body":{"google":{"thinking_config":{"include_thoughts":true}}},` + strings.TrimPrefix(s.body, "{")
	thoughtful := `"content":"<thought>hm</thought>` + first + second + `","extra_content":{"google":{"thought":true}}`
	c = f("<thought>hm</thought>"+first+second, "|"+first, at(completion(1, thoughtful, "stop"), second), rest)
	if !c.message().ExtraContent.Google.Thought {
		t.Errorf("%+v", c)
	}
	f(first+second, "|", at(completion(1, thoughtful, "stop"), "m</thought>"), whole)
	// A call that came in part is asked for again, for the client has seen nothing of it.
	call := `"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}}],"content":null`
	f(first+second, "|", at(completion(1, call, "stop"), `1}`), whole)
}

// asChatUnary makes a script speak the OpenAI-compatible form of a document.
func asChatUnary(s ...upstream.Step) upstream.Script {
	return append(upstream.Script{upstream.As(upstream.OpenAIUnary)}, s...)
}

func TestChatDocumentGivesUpWithAStatus(t *testing.T) {
	t.Parallel()
	s := newChatUnaryStage(t, func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures = 1 })
	one := completion(1, content(first+second), "stop")
	cut := steps(upstream.LimitBody(strings.Index(one, second), upstream.FIN), json200(one))
	if a := s.chat(cut, steps(upstream.Cut())); a.status != 502 || !strings.Contains(a.body, `"error"`) || strings.Contains(a.body, "Once") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := s.chat(asChatUnary(upstream.ErrorBody(429, "RESOURCE_EXHAUSTED", "slow", 0))); a.status != 429 || !strings.HasPrefix(a.body, "[{") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := s.chat(asChatUnary(upstream.ErrorBody(400, "INVALID_ARGUMENT", "no", 0))); a.status != 400 || len(s.up.Requests()) != 1 {
		t.Errorf("%d %s", a.status, a.body)
	}
	filtered := completion(1, content(first), "content_filter")
	s.completes(first, "content_filter", "|"+first, s.chat(steps(json200(filtered)), steps(json200(completion(2, `"content":null`, "content_filter")))))
}

func TestChatDocumentCutAtEveryByte(t *testing.T) {
	t.Parallel()
	const text = "Once \"upon\" a tïme 😀 there <was> a \\ fox,\n\tand \"finish_reason\":\"stop\"}]} he\u2028said é€𝄞 to all who came by the old mill that day."
	doc := completion(1, `"content":`+string(mustJSON(text)), "stop")
	for _, how := range []upstream.How{upstream.FIN, upstream.RST, upstream.Clean} {
		s := newChatUnaryStage(t, nil)
		var seen sync.Map
		s.up.SetHandler(func(r *upstream.Request) upstream.Script {
			turns, err := r.Contents()
			n, numErr := strconv.Atoi(r.Header.Get("X-Test-Id"))
			if err != nil || numErr != nil {
				return asChatUnary(upstream.ErrorBody(400, "INVALID_ARGUMENT", fmt.Sprint(err, numErr), 0))
			}
			said := ""
			if len(turns) == 3 {
				said = turns[1].Text
			}
			body := completion(2, `"content":`+string(mustJSON(strings.TrimPrefix(text, said))), "stop")
			head := upstream.Head(200, upstream.Chunked, "Content-Type", "application/json")
			if _, again := seen.LoadOrStore(n, true); !again {
				return steps(upstream.LimitBody(n, how), head, upstream.Send(doc))
			}
			return steps(head, upstream.Send(body))
		})
		step := 1
		if raceEnabled || testing.Short() {
			step = 5
		}
		for n := 0; n < len(doc); n += step {
			a := s.ask(chatPath, s.body, "X-Test-Id", strconv.Itoa(n))
			var c completed
			if err := json.Unmarshal([]byte(a.body), &c); err != nil || a.status != 200 || a.err != nil || len(c.Choices) != 1 ||
				c.Choices[0].Message.Content != text || c.Choices[0].FinishReason != "stop" {
				t.Fatalf("cut after %d: %d %v %v\n%s", n, a.status, a.err, err, a.body)
			}
		}
	}
}

func mustJSON(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return b
}

func TestChatDocumentViaStream(t *testing.T) {
	t.Parallel()
	s := newChatUnaryStage(t, func(cfg *proxy.Config) { cfg.UnaryViaStream = true })
	original := s.body
	// What the upstream is asked, less the turns of a continuation.
	s.body = `{"stream":true,"stream_options":{"include_usage":true},` + strings.TrimPrefix(original, "{")
	ask := func(scripts ...upstream.Script) answer {
		s.up.SetHandler(upstream.InTurn(scripts...))
		s.up.Reset()
		return s.ask(chatPath, original)
	}
	s.completes(first+second, "stop", "", ask(chatWhole))
	c := s.completes(first+second, "stop", "|"+first, ask(asChat(upstream.Text(first), upstream.Cut()), chatRest))
	if c.Usage.Prompt != upstream.PromptTokens || c.Usage.Completion != 5 || c.ID == "" || c.Created == 0 {
		t.Errorf("%+v", c)
	}
	c = s.completes("", "stop", "", ask(steps(upstream.Send(lines(
		chunk(1, `"role":"assistant","tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]`, ""),
		chunk(1, `"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]`, ""), chunk(1, `"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]`, ""),
		chunk(1, `"tool_calls":[{"index":1,"id":"d","type":"function","function":{"name":"g","arguments":"{}"}}]`, `,"finish_reason":"stop"`), "[DONE]")))))
	if calls := c.message().ToolCalls; len(calls) != 2 || calls[0].ID != "c" || calls[0].Function.Arguments != `{"a":1}` || calls[1].Function.Name != "g" {
		t.Errorf("%+v", calls)
	}
	// An upstream that answers with a document all the same.
	s.completes(first, "stop", "", ask(steps(json200(completion(1, content(first), "stop")))))
	// An answer that outgrows what is held comes in pieces.
	long := strings.Repeat("All work and no play. ", 400)
	small := newChatUnaryStage(t, func(cfg *proxy.Config) { cfg.UnaryViaStream, cfg.MaxTranscriptBytes = true, 2000 })
	a := small.chat(asChat(upstream.Say(long, 100, 0, "STOP")))
	var big completed
	if err := json.Unmarshal([]byte(a.body), &big); err != nil || a.err != nil || big.Choices[0].Message.Content != long || big.Choices[0].FinishReason != "stop" {
		t.Errorf("%v %v %.300s", err, a.err, a.body)
	}
}
