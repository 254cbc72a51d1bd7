package proxy_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// chatBreaks checks that an answer ends with the error that OpenAI's clients
// raise, and in such a way that nobody takes it for whole.
func (s *stage) chatBreaks(text, outcome, why string, tries int, attempts string, a answer) {
	s.t.Helper()
	r, err := readChat(a.body)
	var f struct {
		Error struct {
			Message, Type, Status string
			Code                  int
		}
	}
	json.Unmarshal([]byte(r.failure), &f)
	want := fmt.Sprintf("The answer was interrupted (%s) and could not be completed (%s) after %d attempts.", outcome, why, tries)
	if err != nil || r.text != text || len(r.finishes) > 0 || r.done || a.status != 200 ||
		f.Error.Message != want || f.Error.Code != 503 || f.Error.Type != "server_error" || f.Error.Status != "UNAVAILABLE" {
		s.t.Errorf("%d %v, want %q and %q in\n%s", a.status, err, text, want, a.body)
	}
	if a.err == nil {
		s.t.Errorf("the body ended as a whole one does")
	}
	if got := s.chatAttempts(); got != attempts {
		s.t.Errorf("attempts %q, want %q", got, attempts)
	}
}

func TestChatGivesUpWithAnError(t *testing.T) {
	t.Parallel()
	s := newChatStage(t, func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures, cfg.MaxTranscriptBytes = 1, 64 })
	s.chatBreaks(first, "connect_failed", "failures", 2, "|"+first, s.chat(asChat(upstream.Text(first), upstream.Cut()), steps(upstream.Cut())))
	s.chatBreaks(first, "cut", "failures", 2, "|"+first, s.chat(asChat(upstream.Text(first), upstream.Cut()), asChat(upstream.Text(""), upstream.Send(halfChunk), upstream.Cut())))
	// What text cannot stand in for.
	for _, delta := range []string{
		`"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\""}}]`,
		`"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}},{"index":1,"id":"d","type":"function","function":{"name":"g","arguments":""}}]`,
	} {
		s.chatBreaks("", "cut", "call", 1, "", s.chat(steps(upstream.Send(lines(chunk(1, delta, ""))), upstream.Cut()), chatWhole))
	}
	whole := chunk(1, `"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]`, "")
	s.chatBreaks("a", "cut", "call", 1, "", s.chat(steps(upstream.Send(lines(whole, chunk(1, `"content":"a"`, ""))), upstream.Cut()), chatWhole))
	s.chatBreaks("", "cut", "not_text", 1, "", s.chat(steps(upstream.Send(lines(chunk(1, `"refusal":"no"`, "")))), chatWhole))
	s.chatBreaks(first, "cut", "not_text", 1, "", s.chat(steps(upstream.Send(lines(chunk(1, `"content":"`+first+`"`, `,"logprobs":{"content":[]}`)))), chatWhole))
	long := strings.Repeat("0123456789", 10)
	s.chatBreaks(long, "cut", "transcript_full", 1, "", s.chat(asChat(upstream.Say(long, 10, 0, ""), upstream.Cut())))
	// The continuation's own refusal is not the client's.
	s.chatBreaks(first, "refused", "refused", 2, "|"+first, s.chat(asChat(upstream.Text(first), upstream.Cut()), asChat(upstream.ErrorBody(400, "INVALID_ARGUMENT", "no", 0))))
}

func TestChatGivesUpWithWhatWasHeld(t *testing.T) {
	t.Parallel()
	s := newChatStage(t, func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures = 1 })
	filtered := asChat(upstream.Finish("SAFETY"))
	r := s.chatHeals(first, "content_filter", "|"+first, s.chat(asChat(upstream.Text(first), upstream.Finish("SAFETY")), filtered))
	if len(r.chunks) != 2 {
		t.Errorf("%q", r.chunks)
	}
	// Before anything was delivered, with the head that came with it.
	s.chatHeals("", "content_filter", "|", s.chat(filtered))
	s.chatHeals("", "stop", "|", s.chat(asChat(upstream.Finish("STOP"))))
}

// Before the first byte the client gets what the upstream said.
func TestChatGivesUpWithTheUpstreamsStatus(t *testing.T) {
	t.Parallel()
	s := newChatStage(t, func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures = 1 })
	f := func(status int, want string, script upstream.Script) {
		t.Helper()
		if a := s.chat(script); a.status != status || !strings.Contains(a.body, want) || a.err != nil || len(s.up.Requests()) < 2 {
			t.Errorf("%d %v %s", a.status, a.err, a.body)
		}
	}
	f(503, "overloaded", asChat(upstream.ErrorBody(503, "UNAVAILABLE", "overloaded", 0)))
	f(429, "slow", steps(upstream.Send(lines(`{"error":{"message":"slow","type":"rate_limit_error","code":"rate_limit_exceeded"}}`))))
	f(502, `"error"`, steps(upstream.Cut()))
}

func TestChatCallIsNeverAskedForAgain(t *testing.T) {
	t.Parallel()
	s := newChatStage(t, nil)
	f := func(text string, calls []string, attempts string, scripts ...upstream.Script) {
		t.Helper()
		r := s.chatHeals(text, "tool_calls", attempts, s.chat(scripts...))
		if !slices.Equal(r.calls, calls) {
			t.Errorf("calls %q, want %q", r.calls, calls)
		}
	}
	whole := upstream.Call("f", `{"a": "}"}`)
	f("", []string{`f{"a": "}"}`}, "", asChat(whole, upstream.Cut()))
	f("", []string{`f{"a": "}"}`}, "", asChat(whole, upstream.ErrorEvent(503, "UNAVAILABLE", "overloaded")))
	f("", []string{`f{"a": "}"}`, `f{"a": "}"}`}, "", asChat(whole, whole, upstream.Send(halfChunk), upstream.Reset()))
	f(first, []string{`f{"a": "}"}`}, "|"+first, asChat(upstream.Text(first), upstream.Cut()), asChat(whole, upstream.End()))
	// In pieces, as OpenAI sends them.
	pieces := steps(upstream.Send(lines(
		chunk(1, `"role":"assistant","tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]`, ""),
		chunk(1, `"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]`, ""), chunk(1, `"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]`, ""))))
	f("", []string{"f", `{"a":`, "1}"}, "", pieces)
}

// TestChatThoughtEndsBeforeACall: of a thought that a cut left open the client gets
// the tag that ends it, in front of the call that another attempt has.
func TestChatThoughtEndsBeforeACall(t *testing.T) {
	t.Parallel()
	const thought = `"role":"assistant","content":"<thought>hm","extra_content":{"google":{"thought":true}}`
	open := steps(upstream.Send(lines(chunk(1, thought, ""))), upstream.Cut())
	call := asChat(upstream.Send(lines(chunk(2, thought, ""))), upstream.Call("f", `{"a": 1}`), upstream.Finish("STOP"))
	s := newChatStage(t, nil)
	r := s.chatHeals("</thought>", "stop", "|", s.chat(open, call))
	if !slices.Equal(r.calls, []string{`f{"a": 1}`}) || r.thoughts != "<thought>hm" {
		t.Errorf("calls %q, thoughts %q", r.calls, r.thoughts)
	}
}

func TestChatEndsWithLengthWhenTheBudgetIsSpent(t *testing.T) {
	t.Parallel()
	s := newChatStage(t, nil)
	s.body = `{"max_completion_tokens":3,` + strings.TrimPrefix(s.body, "{")
	a := s.chat(asChat(upstream.Text(first), upstream.Cut()), chatRest)
	r := s.chatHeals(first, "length", "", a)
	if *r.usage != (chatUsage{upstream.PromptTokens, 3, upstream.PromptTokens + 3}) {
		t.Errorf("usage %+v", r.usage)
	}
	// With the usage apart, it comes behind the finish.
	s.body = `{"stream_options":{"include_usage":true},` + strings.TrimPrefix(s.body, "{")
	a = s.chat(asChat(upstream.Text(first), upstream.Cut()), chatRest)
	r = s.chatHeals(first, "length", "", a)
	if last := r.chunks[len(r.chunks)-1]; !strings.HasPrefix(last, `{"choices":[],`) || r.usage.Completion != 3 {
		t.Errorf("%s", last)
	}
}

func TestChatSeams(t *testing.T) {
	t.Parallel()
	s := newChatStage(t, func(cfg *proxy.Config) { cfg.ContinuePrompt = proxy.DefaultConfig().ContinuePrompt })
	const begin, end = "The quick brown fox jumps over the lazy dog and then runs into the ", "deep dark wood, where it sleeps."
	f := func(text string, again string, scripts ...upstream.Step) {
		t.Helper()
		a := s.chat(asChat(upstream.Text(begin), upstream.Cut()), asChat(append(scripts, upstream.Text(again), upstream.Finish("STOP"))...))
		r, err := readChat(a.body)
		if err == nil {
			err = r.whole(text, "stop")
		}
		if err != nil {
			t.Errorf("%q: %v in %s", again, err, a.body)
		}
	}
	f(begin+end, begin+end)
	f(begin+end, begin[30:]+end)
	f(begin+end, end)
	f(begin+end, end[4:], upstream.Text("Sure, here is the rest:\n\n"+begin[:30]), upstream.Text(begin[30:]), upstream.Text(end[:4]))
	prompt := string(s.up.Requests()[1].Body)
	if !strings.Contains(prompt, `{"role":"assistant","content":"`+begin+`"},{"role":"user","content":"`) || !strings.Contains(prompt, "runs into the") {
		t.Errorf("%s", prompt)
	}
	// A stop sequence across the seam ends the answer.
	s.body = `{"stop":"the deep",` + strings.TrimPrefix(s.body, "{")
	f(begin, end)
	s.body = strings.Replace(s.body, `"the deep"`, `["x","the deep"]`, 1)
	f(begin, end)
}

func TestChatDocumentIsContinued(t *testing.T) {
	t.Parallel()
	s := newChatStage(t, nil)
	messages := s.body[strings.Index(s.body, `"messages"`):]
	s.body = `{"response_format":{"type":"json_object"},"stream":true,"max_tokens":50,` + messages
	a := s.chat(asChat(upstream.Text(`{"a": [1,`), upstream.Cut()), asChat(upstream.Text("2]}"), upstream.TextFinish("\n```", "STOP")))
	if r, err := readChat(a.body); err != nil || r.whole(`{"a": [1,2]}`, "stop") != nil {
		t.Errorf("%v in %s", err, a.body)
	}
	body := string(s.up.Requests()[1].Body)
	want := `{"stream":true,"max_tokens":47,` + strings.TrimSuffix(messages, "]}") + `,{"role":"assistant","content":"{\"a\": [1,"},{"role":"user","content":"Go on. `
	if !strings.HasPrefix(body, want) || !json.Valid([]byte(body)) {
		t.Errorf("%s\nwant\n%s", body, want)
	}
	// One that is broken at its end is no answer.
	s2 := newChatStage(t, func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures = 1 })
	s2.body = s.body
	a = s2.chat(asChat(upstream.Text(`{"a": [1,`), upstream.Cut()), asChat(upstream.TextFinish("2]", "STOP")))
	if r, err := readChat(a.body); err != nil || r.done || r.failure == "" || a.err == nil {
		t.Errorf("%v in %s", err, a.body)
	}
}

// TestChatPrefillIsAskedForByName: the assistant message alone is sent only
// when the settings say so, and not again to a model that refuses it.
func TestChatPrefillIsAskedForByName(t *testing.T) {
	t.Parallel()
	const alone = `,{"role":"assistant","content":"` + first + `"}]}`
	s := newChatStage(t, func(cfg *proxy.Config) { cfg.ContinueMode = "prefill" })
	f := func(requests int, scripts ...upstream.Script) {
		t.Helper()
		a := s.chat(scripts...)
		if r, err := readChat(a.body); err != nil || r.whole(first+second, "stop") != nil {
			t.Errorf("%v in %s", err, a.body)
		}
		all := s.up.Requests()
		if len(all) != requests || !strings.HasSuffix(string(all[1].Body), alone) {
			t.Errorf("%d requests, the second %s", len(all), all[1].Body)
		}
	}
	cut := asChat(upstream.Text(first), upstream.Cut())
	f(2, cut, chatRest)
	f(3, cut, asChat(upstream.ErrorBody(400, "INVALID_ARGUMENT", "Requests ending with a model turn are not supported.", 0)), chatRest)
	if last := string(s.up.Requests()[2].Body); !strings.HasSuffix(last, `{"role":"user","content":"Go on."}]}`) {
		t.Errorf("%s", last)
	}
	// It is remembered.
	s.chatHeals(first+second, "stop", "|"+first, s.chat(cut, chatRest))
	s = newChatStage(t, func(cfg *proxy.Config) { cfg.ContinueMode = "auto" })
	s.chatHeals(first+second, "stop", "|"+first, s.chat(cut, chatRest))
}

// TestChatClientThatLeavesIsNoticed while the upstream is silent: nothing is
// asked again.
func TestChatClientThatLeavesIsNoticed(t *testing.T) {
	t.Parallel()
	s := newChatStage(t, nil)
	gone := make(chan struct{})
	s.up.SetHandler(upstream.Always(asChat(upstream.Text(first), upstream.Stall())))
	s.up.Reset()
	c := s.dial()
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", chatPath, len(s.body), s.body)
	for br, line := reader(c), ""; !strings.HasPrefix(line, "data: "); {
		var err error
		if line, err = br.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	go func() {
		<-s.up.Requests()[0].Done
		close(gone)
	}()
	s.await("the upstream's end", gone)
	if n := len(s.up.Requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}
