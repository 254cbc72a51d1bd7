package proxy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// anchored makes the prompt the default one, which asks for the last words.
func anchored(cfg *proxy.Config) { cfg.ContinuePrompt = proxy.DefaultConfig().ContinuePrompt }

// wanted returns the words that a continuation is asked to begin with.
func wanted(r *upstream.Request) (delivered, anchor string) {
	turns, err := r.Contents()
	if err != nil || len(turns) < 3 {
		return "", ""
	}
	_, anchor, _ = strings.Cut(turns[len(turns)-1].Text, "<<<")
	if i := strings.LastIndex(anchor, ">>>"); i >= 0 {
		return turns[len(turns)-2].Text, anchor[:i]
	}
	return turns[len(turns)-2].Text, ""
}

func TestRepeatedWordsAreDropped(t *testing.T) {
	t.Parallel()
	s := newStage(t, anchored)
	s.up.SetRecord(false)
	step := 7
	if raceEnabled || testing.Short() {
		step = 67
	}
	f := func(name, prose string, way func(anchor string) string) {
		t.Helper()
		for n := 100; n < len(prose); n += step {
			for !utf8.RuneStart(prose[n]) {
				n++
			}
			s.up.Reset()
			s.up.SetHandler(func(r *upstream.Request) upstream.Script {
				if r.Seq == 0 {
					return steps(upstream.Say(prose[:n], 100, 0, ""), upstream.Cut())
				}
				delivered, anchor := wanted(r)
				if delivered != prose[:n] || anchor == "" || !strings.HasSuffix(delivered, anchor) {
					t.Errorf("asked to go on from %q by %q", excerpt(delivered, prose), anchor)
				}
				return steps(upstream.Say(way(anchor)+prose[n:], 10, 0, "STOP"))
			})
			a := s.ask(streamPath, s.body)
			r, err := read(a.body)
			if err == nil {
				err = r.whole(prose, "STOP")
			}
			if err != nil || s.up.Count() != 2 {
				t.Errorf("%s, cut at %d, %d attempts: %v", name, n, s.up.Count(), err)
			}
		}
	}
	// What models say before or instead of the repeat.
	asked := func(anchor string) string { return anchor }
	politely := func(anchor string) string { return "Sure, here is the rest:\n\n" + anchor }
	not := func(string) string { return "" }
	f("as asked", prose, asked)
	f("politely", prose, politely)
	// Without the repeat, words that come once more later are taken for it.
	var list strings.Builder
	for i := range 60 {
		fmt.Fprintf(&list, "%d. The square of %d is %d.\n", i, i, i*i)
	}
	f("list as asked", list.String(), asked)
	f("list, politely", list.String(), politely)
	f("list, not", list.String(), not)
}

// A model that starts over may take its time for it.
func TestRestartThatPausesIsDropped(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	long := strings.Repeat("Each of the lamps along the harbour has a number. ", 3) + prose
	for _, n := range []int{1, 3, 24, 39} {
		a := s.play(nil, steps(upstream.Say(long[:300], 100, 0, ""), upstream.Cut()),
			steps(upstream.Text(long[:n]), upstream.Pause(1500*time.Millisecond), upstream.Say(long[n:], 100, 0, "STOP")))
		s.heals(long, "STOP", "|"+long[:300], a)
	}
}

// A function call that has come whole is an answer.
func TestWholeCallEndsTheAnswer(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	for _, end := range []upstream.Step{upstream.Cut(), upstream.Reset(), upstream.End(), upstream.Send(half), upstream.ErrorEvent(503, "UNAVAILABLE", "overloaded")} {
		a := s.play(nil, steps(upstream.Call("f", `{"a": 1.0}`), end), whole)
		s.heals("", "STOP", "", a)
		a = s.play(nil, steps(upstream.Text(first), upstream.Call("f", `{"a": 1.0}`), end), whole)
		s.heals(first, "STOP", "", a)
		b := s.play(nil, steps(upstream.Call("g", "{}"), upstream.Text("a"), upstream.Send(sse(`{"candidates":[{"content":{"parts":[{"text":"b"},{"functionCall":{"name":"f"}},{"text":"","thoughtSignature":"c2ln"}],"role":"model"},"index":0}]}`)), end), whole)
		s.heals("ab", "STOP", "", b)
		if strings.Count(a.body, `"functionCall": {"name": "f","args": {"a": 1.0}}`) != 1 {
			t.Errorf("the call in %s", a.body)
		}
	}
}

// One client keeps no answer in its history that has an empty text, the others
// none that has an event without parts.
func TestHealedAnswersStayInTheHistory(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	const whole = "Each of the lamps along the harbour has a number of its own."
	f := func(apiClient, nothing string) {
		t.Helper()
		header := []string{"X-Goog-Api-Client", apiClient}
		a := s.play(header, steps(upstream.Call("f", `{"a": 1.0}`), upstream.Cut()))
		s.heals("", "STOP", "", a)
		// Of its last event nothing is left: it repeats what was delivered.
		b := s.play(header, steps(upstream.Text(whole), upstream.Cut()), steps(upstream.TextFinish(whole, "STOP")))
		s.heals(whole, "STOP", "|"+whole, b)
		for _, body := range []string{a.body, b.body} {
			if want := `"content": {"parts": [` + nothing + `],"role": "model"},"finishReason": "STOP"`; !strings.Contains(body, want) {
				t.Errorf("%s: no %s in %s", apiClient, want, body)
			}
		}
		if got := s.up.Requests()[0].Header.Get("X-Goog-Api-Client"); got != apiClient {
			t.Errorf("%s goes upstream as %q", apiClient, got)
		}
	}
	f("google-genai-sdk/1.30.0 gl-node/v20.20.2", `{"text": ""}`)
	f("genai-js/0.24.1", "")
	f("langchainjs/2.3.2 genai-js/0.24.1", "")
}

func TestDocumentGoesOn(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	const head, tail = `{"story": "Once upon `, `a time.", "end": true}`
	for _, config := range []string{`{"responseMimeType":"application/json"}`, `{"responseMimeType":"application\/json"}`, `{"responseMimeType":"application/json","responseSchema":{}}`,
		`{"responseMimeType":"application/json","_responseJsonSchema":{}}`, `{"responseFormat":{"text":{"mimeType":"APPLICATION_JSON","schema":{"type":"object"}}}}`,
		`{"responseFormat":{"text":{"mimeType":"application/json"}}}`, `{"responseFormat":[{"text":{"mimeType":"application/json","schema":{}}}]}`} {
		s.body = `{"generationConfig":` + config + `,` + strings.TrimPrefix(ask("hi"), "{")
		f := func(continuation string) {
			t.Helper()
			r, err := read(s.play(nil, piece(head), steps(upstream.TextFinish(continuation, "STOP"))).body)
			if err != nil || r.whole(head+tail, "STOP") != nil {
				t.Errorf("%v %v", err, r.whole(head+tail, "STOP"))
			}
			all := s.up.Requests()
			if len(all) != 2 || strings.Contains(string(all[1].Body), "response") {
				t.Errorf("%d attempts, the last with %s", len(all), all[len(all)-1].Body)
			}
		}
		f(tail)
		f("```json\n" + tail + "\n```")
		f(tail + "\nI hope this helps.")
		// Before the first text the request stays as it is.
		r, err := read(s.play(nil, steps(upstream.Thought("hm"), upstream.Cut()), steps(upstream.TextFinish(head+tail, "STOP"))).body)
		if err != nil || r.whole(head+tail, "STOP") != nil || string(s.up.Requests()[1].Body) != s.body {
			t.Errorf("%v %+v", err, r)
		}
		// What is no document is not passed off as one.
		r, err = read(s.play(nil, piece(head), steps(upstream.TextFinish("a time.", "STOP"))).body)
		if err != nil || len(r.finishes) > 0 || r.failure == "" {
			t.Errorf("%v %+v", err, r)
		}
	}
}

// What follows a repeat comes at once, also when the repeat came alone.
func TestRepeatHoldsNothingUp(t *testing.T) {
	t.Parallel()
	const answer = "The lamps along the harbour were lit one by one, and the boats came home. " +
		"Nobody had thought of the old pier, where a single boat was left that belonged to no one."
	for _, again := range [][]int{{50}, {10, 50}, {10, 20, 50, 90}} {
		s := newStage(t, nil)
		goOn := make(chan struct{})
		continuation, said := upstream.Script{}, 0
		for _, n := range append(again, 150) {
			continuation = append(continuation, upstream.Text(answer[said:n]), upstream.Pause(20*time.Millisecond))
			said = n
		}
		c := s.come(steps(upstream.Text(answer[:80]), upstream.Cut()),
			append(continuation, upstream.Hold(goOn), upstream.TextFinish(answer[said:], "STOP")))
		c.conn.SetReadDeadline(time.Now().Add(patience))
		c.reads(t, answer[140:150])
		close(goOn)
		c.reads(t, "STOP")
	}
}
