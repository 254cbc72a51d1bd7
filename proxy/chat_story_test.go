package proxy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

const chatPath = "/v1beta/openai/chat/completions"

// asChat makes a script speak the OpenAI-compatible form.
func asChat(s ...upstream.Step) upstream.Script {
	return append(upstream.Script{upstream.As(upstream.OpenAI)}, s...)
}

// Scripts of a whole answer and of its second half.
var (
	chatWhole = asChat(upstream.Text(first), upstream.TextFinish(second, "STOP"))
	chatRest  = asChat(upstream.TextFinish(second, "STOP"))
)

// halfChunk is an event that breaks off.
const halfChunk = `data: {"choices":[{"delta":{"content":"lost`

// lines writes payloads as the OpenAI-compatible endpoint does.
func lines(payloads ...string) string {
	var b strings.Builder
	for _, p := range payloads {
		b.WriteString("data: " + p + "\n\n")
	}
	return b.String()
}

// chunk is a chunk of a hop, which names itself in id, created and model.
func chunk(hop int, delta, rest string) string {
	return fmt.Sprintf(`{"choices":[{"delta":{%s}%s,"index":0}],"created":%d,"id":"id-%d","model":"m-%d","object":"chat.completion.chunk"}`, delta, rest, hop, hop, hop)
}

// newChatStage is newStage with a client that asks for chat completions.
func newChatStage(t testing.TB, change func(*proxy.Config)) *stage {
	s := newStage(t, change)
	s.body = `{"model":"gemini-2.5-flash","stream":true,"messages":[{"role":"user","content":"tell me a story"}]}`
	return s
}

// chat answers one request with scripts, one an attempt.
func (s *stage) chat(scripts ...upstream.Script) answer {
	s.up.SetHandler(upstream.InTurn(scripts...))
	s.up.Reset()
	return s.ask(chatPath, s.body)
}

// chatAttempts is attempts for chat completions.
func (s *stage) chatAttempts() string {
	var all []string
	for _, r := range s.up.Requests() {
		text, err := chatContinued(s.body, string(r.Body))
		if err != nil {
			text = fmt.Sprintf("(%v)", err)
		}
		all = append(all, text)
	}
	return strings.Join(all, "|")
}

// chatContinued is continued for a chat completion, whose messages are the
// last thing in it.
func chatContinued(original, body string) (string, error) {
	if body == original {
		return "", nil
	}
	messages, begins := strings.CutPrefix(body, strings.TrimSuffix(original, "]}")+",")
	messages, ends := strings.CutSuffix(messages, "]}")
	var two []struct{ Role, Content string }
	d := json.NewDecoder(strings.NewReader("[" + messages + "]"))
	d.DisallowUnknownFields()
	if err := d.Decode(&two); err != nil || !begins || !ends {
		return "", fmt.Errorf("the client's request is not in %s", body)
	}
	if len(two) != 2 || two[0].Role != "assistant" || two[0].Content == "" || two[1].Role != "user" || two[1].Content != "Go on." {
		return "", fmt.Errorf("messages %+v", two)
	}
	return two[0].Content, nil
}

// chatHeals checks that the answer is whole, and the attempts.
func (s *stage) chatHeals(text, finish, attempts string, a answer) chatReading {
	s.t.Helper()
	r, err := readChat(a.body)
	if err == nil {
		err = r.whole(text, finish)
	}
	if err == nil {
		err = a.err
	}
	if err != nil || a.status != 200 || a.header.Get("Content-Type") != "text/event-stream" || a.header.Get("Content-Encoding") != "" {
		s.t.Errorf("%d %v: %v in\n%.2000s", a.status, a.header, err, a.body)
	}
	if got := s.chatAttempts(); got != attempts {
		s.t.Errorf("attempts %q, want %q", got, attempts)
	}
	return r
}

// chatHealing is healing for chat completions.
func chatHealing(t *testing.T, change func(*proxy.Config), test func(f func(text, attempts string, scripts ...upstream.Script) chatReading)) {
	t.Parallel()
	for name, variant := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newChatStage(t, change)
			test(func(text, attempts string, scripts ...upstream.Script) chatReading {
				t.Helper()
				for i := range scripts {
					scripts[i] = variant(scripts[i])
				}
				return s.chatHeals(text, "stop", attempts, s.chat(scripts...))
			})
		})
	}
}

func TestChatPassesToTheByte(t *testing.T) {
	t.Parallel()
	s := newChatStage(t, nil)
	body := lines(chunk(1, `"role":"assistant","content":""`, ""), chunk(1, `"content":"\u003ca\u003e 😀"`, ""), chunk(1, "", `,"finish_reason":"stop"`),
		`{"choices":[],"usage":{"prompt_tokens":1}}`, "[DONE]")
	for _, path := range []string{chatPath, "/v1/openai/chat/completions", "/openai/chat/completion%73", "/team/v1beta/openai/chat/completions",
		"/v1/projects/p/locations/l/endpoints/openapi/chat/completions?x=1"} {
		s.up.SetHandler(upstream.Always(steps(upstream.Sliced(3, upstream.Send(body)))))
		s.up.Reset()
		a := s.ask(path, s.body)
		r := s.up.Requests()
		if a.body != body || a.err != nil || len(r) != 1 || string(r[0].Body) != s.body || r[0].Target != path || r[0].Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("%s: %d %v\n%s", path, a.status, a.err, a.body)
		}
	}
}

func TestChatCutStreamGoesOn(t *testing.T) {
	chatHealing(t, nil, func(f func(string, string, ...upstream.Script) chatReading) {
		for _, end := range []upstream.Step{upstream.Cut(), upstream.Reset(), upstream.End(), upstream.Close()} {
			f(first+second, "|"+first, asChat(upstream.Text(first), end), chatRest)
			f(first+second, "|"+first, asChat(upstream.Text(first), upstream.Send(halfChunk), end), chatRest)
			f(first+second, "|"+first, asChat(upstream.Text(first), upstream.Send("data: "), end), chatRest)
			f(first+second, "|"+first, asChat(upstream.Text(first), upstream.Send("data: [DONE]\n\n"), end), chatRest)
			f(first+"lost"+second, "|"+first+"lost", asChat(upstream.Text(first), upstream.Send(halfChunk+`"}}]}`), end), chatRest)
			f(first+second, "|", asChat(end), chatWhole)
			f(first+second, "|", asChat(upstream.Send(halfChunk), end), chatWhole)
			f(first+second, "|", asChat(upstream.Text(""), end), chatWhole)
			f(first+second, "||"+first+"|"+first+"a ", asChat(end), asChat(upstream.Text(first), end), asChat(upstream.Text("a "), upstream.Send(halfChunk), end),
				asChat(upstream.TextFinish("time.", "STOP")))
			// The answer is over, whatever comes of its end.
			f(first+second, "", append(slices.Clone(chatWhole), upstream.Send("data: [DO"), upstream.Cut()))
		}
	})
}

func TestChatInterruptionsAreHealed(t *testing.T) {
	chatHealing(t, nil, func(f func(string, string, ...upstream.Script) chatReading) {
		for _, fault := range []upstream.Step{
			upstream.Finish("SAFETY"), upstream.Send(lines(chunk(1, "", `,"finish_reason":"content_filter"`), "[DONE]")),
			upstream.Send(lines(chunk(1, `"content":"bad"`, `,"finish_reason":"function_call_filter: MALFORMED_FUNCTION_CALL"`))),
			upstream.ErrorEvent(503, "UNAVAILABLE", "overloaded"), upstream.ErrorRaw(503, "UNAVAILABLE", "overloaded"),
			upstream.Send("[{\n  \"error\": {\n    \"code\": 500\n  }\n}\n]\n"), upstream.Send(lines(`{"error":{"message":"busy","type":"server_error","param":null,"code":null}}`)),
			upstream.Send("data: {\"choices\":[{]}\n\n"),
		} {
			f(first+second, "|"+first, asChat(upstream.Text(first), fault), chatRest)
			f(first+second, "|", asChat(fault), chatWhole)
		}
		// STOP without an answer.
		f(first+second, "|", asChat(upstream.Finish("STOP")), chatWhole)
		f(first+second, "|", asChat(upstream.Text(""), upstream.Finish("STOP")), chatWhole)
		// Before the stream.
		f(first+second, "|", asChat(upstream.ErrorBody(503, "UNAVAILABLE", "overloaded", 0)), chatWhole)
		f(first+second, "|", steps(upstream.Cut()), chatWhole)
		f(first+second, "|"+first+"|"+first, asChat(upstream.Text(first), upstream.Cut()), asChat(upstream.ErrorBody(429, "RESOURCE_EXHAUSTED", "slow", time.Millisecond)), chatRest)
	})
}

func TestChatStallGoesOn(t *testing.T) {
	t.Parallel()
	s := newChatStage(t, func(cfg *proxy.Config) { cfg.StallTimeout, cfg.FirstEventTimeout = 50*time.Millisecond, 2*time.Second })
	s.chatHeals(first+second, "stop", "|"+first, s.chat(asChat(upstream.Text(first), upstream.Stall()), chatRest))
	s.chatHeals(first+second, "stop", "|"+first, s.chat(asChat(upstream.Text(first), upstream.Send(halfChunk), upstream.Stall()), chatRest))
}

// TestChatDoneIsNotHeldUp: the end is passed on when it comes, not when the
// upstream ends the body.
func TestChatDoneIsNotHeldUp(t *testing.T) {
	t.Parallel()
	s := newChatStage(t, nil)
	release := make(chan struct{})
	s.up.SetHandler(upstream.Always(append(slices.Clone(chatWhole), upstream.Send("data: [DONE]\n\n"), upstream.Hold(release))))
	c := s.dial()
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", chatPath, len(s.body), s.body)
	c.SetReadDeadline(time.Now().Add(time.Minute))
	br := reader(c)
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "data: [DONE]\n" {
			break
		}
	}
	close(release)
}

func TestChatHopsBecomeOneResponse(t *testing.T) {
	t.Parallel()
	s := newChatStage(t, nil)
	usage := func(p string, prompt, completion, total int) string {
		return fmt.Sprintf(`%s,"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`, strings.TrimSuffix(p, "}"), prompt, completion, total)
	}
	a := s.chat(
		steps(upstream.Send(lines(chunk(1, `"role":"assistant","content":""`, ""),
			chunk(1, `"content":"<thought>hm","extra_content":{"google":{"thought":true}}`, ""),
			usage(chunk(1, `"content":"</thought>`+first+`"`, ""), 10, 3, 20)))),
		steps(upstream.Send(lines(chunk(2, `"role":"assistant","content":"<thought>well","extra_content":{"google":{"thought":true}}`, ""),
			chunk(2, `"role":"assistant","content":"</thought>a "`, ""), chunk(2, `"reasoning":"so"`, ""))), upstream.Cut()),
		steps(upstream.Send(lines(chunk(3, `"role":"assistant","content":"time."`, ""), chunk(3, `"role":"assistant"`, `,"finish_reason":"stop"`),
			usage(`{"choices":[],"created":3,"id":"id-3","model":"m-3"}`, 30, 4, 34), "[DONE]"))))
	r := s.chatHeals("</thought>"+first+second, "stop", "|"+first+"|"+first+"a ", a)
	if r.roles != 1 || r.thoughts != "<thought>hm" || r.ids[0] != "id-1 1 m-1" || *r.usage != (chatUsage{10, 7, 24}) {
		t.Errorf("%+v, usage %+v in\n%s", r, r.usage, a.body)
	}
}

// TestChatUsageBehindACut: a client that asked for usage behind the finish has what
// is known of it, when the upstream breaks off between the two.
func TestChatUsageBehindACut(t *testing.T) {
	t.Parallel()
	s := newChatStage(t, nil)
	s.body = `{"stream_options":{"include_usage":true},` + strings.TrimPrefix(s.body, "{")
	const used = `,"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}`
	said := strings.TrimSuffix(chunk(1, `"role":"assistant","content":"`+first+`"`, ""), "}") + used
	end := chunk(1, "", `,"finish_reason":"stop"`)
	own := `{"choices":[],"created":1,"id":"id-1","model":"m-1","object":"chat.completion.chunk"` + used
	for _, cut := range []upstream.Step{upstream.Cut(), upstream.Reset()} {
		for _, torn := range []string{"", `data: {"choices":[],"usage":{"prom`} {
			a := s.chat(asChat(upstream.Send(lines(said, end)), upstream.Send(torn), cut))
			r := s.chatHeals(first, "stop", "", a)
			if last := r.chunks[len(r.chunks)-1]; mustCompact(last) != mustCompact(own) || *r.usage != (chatUsage{5, 7, 12}) {
				t.Errorf("the last chunk is %s", last)
			}
			a = s.chat(asChat(upstream.Send(lines(chunk(1, `"content":"`+first+`"`, ""), end)), upstream.Send(torn), cut))
			if r = s.chatHeals(first, "stop", "", a); r.usage != nil || len(r.chunks) != 2 {
				t.Errorf("usage is made up: %q", r.chunks)
			}
		}
	}
}

func mustCompact(s string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(s)); err != nil {
		return err.Error()
	}
	return b.String()
}

func TestChatFinalsAreForwarded(t *testing.T) {
	t.Parallel()
	s := newChatStage(t, nil)
	for _, finish := range []string{"content_filter: PROHIBITED_CONTENT", "content_filter: SPII", "length", "tool_calls", "brand_new"} {
		body := lines(chunk(1, `"content":"a"`, ""), chunk(1, "", `,"finish_reason":"`+finish+`"`), "[DONE]")
		if a := s.chat(steps(upstream.Send(body))); a.body != body || a.err != nil || s.chatAttempts() != "" {
			t.Errorf("%s: %v %s", finish, a.err, a.body)
		}
	}
	for _, code := range []int{400, 401, 403, 404} {
		a := s.chat(asChat(upstream.ErrorBody(code, "X", "no", 0)))
		if a.status != code || !strings.HasPrefix(a.body, "[{") || s.chatAttempts() != "" {
			t.Errorf("%d: %d %s", code, a.status, a.body)
		}
	}
}

func TestChatThatIsNotHealedIsRelayed(t *testing.T) {
	t.Parallel()
	s := newChatStage(t, nil)
	for _, body := range []string{
		`{"stream":true,"n":2,"messages":[{"role":"user","content":"x"}]}`, `{"stream":true,"messages":[`, `[]`, `"x"`,
	} {
		s.body = body
		want := lines(chunk(1, `"content":"a"`, ""))
		if a := s.chat(steps(upstream.Send(want))); a.body != want || s.chatAttempts() != "" {
			t.Errorf("%s: %v %s", body, a.err, a.body)
		}
	}
	// Nor what is no stream although one was asked for.
	s = newChatStage(t, nil)
	if a := s.chat(steps(upstream.Status(200, map[string]string{"Content-Type": "text/html"}, "<html>"))); a.body != "<html>" || a.header.Get("Content-Type") != "text/html" {
		t.Errorf("%v %s", a.header, a.body)
	}
}

func TestChatShadowCounts(t *testing.T) {
	t.Parallel()
	s := newChatStage(t, func(cfg *proxy.Config) { cfg.Heal = "shadow" })
	s.chat(asChat(upstream.Text(first), upstream.End()))
	if got := s.logged(1, "verdicts"); got != "cut,natural" {
		t.Errorf("verdicts %v", got)
	}
	if a := s.chat(append(slices.Clone(chatWhole), upstream.Send("data: [DONE]\n\n"))); s.logged(2, "verdicts") != "natural" || !strings.HasSuffix(a.body, "[DONE]\n\n") {
		t.Errorf("verdicts %v", s.logged(2, "verdicts"))
	}
}
