package proxy_test

import (
	"slices"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

// say is an event with the given parts, and with more members if there are.
func say(parts string, more ...string) upstream.Step {
	return upstream.Send(sse(`{"candidates": [{"content": {"parts": [` + parts + `],"role": "model"},"index": 0}]` + strings.Join(more, "") + `}`))
}

func TestThoughtsAreOfOneAttempt(t *testing.T) {
	healing(t, nil, func(f func(string, string, ...upstream.Script) reading) {
		g := func(thoughts, attempts string, scripts ...upstream.Script) {
			t.Helper()
			if r := f(first+second, attempts, scripts...); r.thoughts != thoughts {
				t.Errorf("thoughts %q, want %q", r.thoughts, thoughts)
			}
		}
		think := func(s string, after upstream.Script) upstream.Script {
			return append(steps(upstream.Thought(s)), after...)
		}
		g("one", "|", think("one", steps(upstream.Cut())), think("two", whole))
		g("one", "||", think("one", steps(upstream.Finish("STOP"))), think("two", steps(upstream.FinishBare("SAFETY"))), think("three", whole))
		g("one", "|"+first, think("one", piece(first)), think("two", rest))
		g("two", "|", steps(upstream.Cut()), think("two", whole))
		g("two", "|", status(503, "{}"), think("two", whole))
		// None after an answer that began without.
		g("", "|"+first, piece(first), think("two", rest))
		// Parts of both kinds in one event.
		g("one", "|"+first, steps(say(`{"text": "one","thought": true},{"text": "Once "},{"text": "upon "}`), upstream.Cut()),
			append(steps(say(`{"text": "two","thought": true},{"text": ""}`)), rest...))
		g("one", "|"+first+"a ", think("one", piece("Once upon a ")),
			steps(say(`{"text": "ti"},{"text": "two","thought": true},{"text": "me."}`), upstream.Finish("STOP")))
	})
}

func TestAllElseOfALaterEventStays(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	f := func(script upstream.Script, kept ...string) {
		t.Helper()
		a := s.play(nil, piece(first), script)
		s.heals(first+second, "STOP", "|"+first, a)
		for _, k := range kept {
			if !strings.Contains(a.body, k) {
				t.Errorf("no %s in %s", k, a.body)
			}
		}
	}
	const signature = `"thoughtSignature": "EpQB\/+/AA==\u003d"`
	f(steps(say(`{"text": "a ti","x" : 1.0E+2},{"text": "me.",`+signature+`}`, `,"createTime": "2026-01-01T00:00:00.000000Z"`, `,"unknown": [ {} ]`), upstream.Finish("STOP")),
		signature, `"x" : 1.0E+2`, `"createTime": "2026-01-01T00:00:00.000000Z"`, `"unknown": [ {} ]`)
	f(steps(say(`{"text": "a time."}`), upstream.Send(sse(`{"candidates": [{"content": {"parts": [{"text": "",`+signature+`}],"role": "model"},"finishReason": "STOP","finishMessage": "ok"}]}`))),
		signature, `"finishMessage": "ok"`)
	f(steps(upstream.Send(sse(`{"candidates": [{"content": {"parts": [{"text": "a time."}]},"finishReason": "STOP","safetyRatings": [{"probability": "NEGLIGIBLE"}]}],"modelStatus": {"a": "\u2028"}}`))),
		`"safetyRatings": [{"probability": "NEGLIGIBLE"}]`, `"modelStatus": {"a": "\u2028"}`)
}

func TestOneNameAndOneBill(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	names := func(id string, counts string) string {
		return `,"usageMetadata": {` + counts + `},"modelVersion": "v` + id + `","responseId": "r` + id + `"`
	}
	end := func(text, more string) upstream.Step {
		return upstream.Send(sse(`{"candidates": [{"content": {"parts": [{"text": "` + text + `"}],"role": "model"},"finishReason": "STOP"}]` + more + `}`))
	}
	f := func(id string, want usage, scripts ...upstream.Script) {
		t.Helper()
		a := s.play(nil, scripts...)
		r, err := read(a.body)
		if err == nil {
			err = r.whole(first+second, "STOP")
		}
		if err != nil || !slices.Equal(r.ids, []string{"r" + id}) || !slices.Equal(r.versions, []string{"v" + id}) || r.usage != want {
			t.Errorf("%v, %q, %q, %+v, want %+v", err, r.ids, r.versions, r.usage, want)
		}
	}
	cut := upstream.Cut()
	f("1", usage{10, 9, 0, 19},
		steps(say(`{"text": "Once upon "}`, names("1", `"promptTokenCount": 10,"candidatesTokenCount": 4,"totalTokenCount": 14`)), cut),
		steps(end(second, names("2", `"promptTokenCount": 30,"candidatesTokenCount": 5,"totalTokenCount": 35`))))
	f("1", usage{10, 9, 5, 24},
		steps(say(`{"text": "Once upon "}`, names("1", `"promptTokenCount": 10,"candidatesTokenCount": 4,"thoughtsTokenCount": 3`)), cut),
		steps(say(`{"text": "a "}`, names("2", `"promptTokenCount": 20,"candidatesTokenCount": 2,"thoughtsTokenCount": 1`)), cut),
		steps(end("time.", names("3", `"promptTokenCount": 30,"candidatesTokenCount": 3,"thoughtsTokenCount": 1,"totalTokenCount": 34`))))
	// An attempt of which the client saw nothing is not the first, and costs it
	// nothing.
	f("2", usage{30, 5, 0, 35}, steps(end("", names("1", `"promptTokenCount": 10,"candidatesTokenCount": 4,"totalTokenCount": 14`))),
		steps(end(first+second, names("2", `"promptTokenCount": 30,"candidatesTokenCount": 5,"totalTokenCount": 35`))))
}

func TestAnyFramingOfTheBody(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	text := s.direct(upstream.Text(first)).body
	all := s.direct(whole...).body
	head := func(f upstream.Framing) upstream.Step {
		return upstream.Head(200, f, "Content-Type", "text/event-stream")
	}
	f := func(framing upstream.Framing) {
		t.Helper()
		s.heals(first+second, "STOP", "", s.play(nil, append(steps(head(framing)), whole...)))
		s.heals(first+second, "STOP", "|"+first, s.play(nil, steps(head(framing), upstream.Text(first)), rest))
		s.heals(first+second, "STOP", "|"+first, s.play(nil, steps(head(framing), upstream.Text(first), upstream.Send(half)), rest))
		s.heals(first+second, "STOP", "|"+first, s.play(nil, steps(head(framing), upstream.Text(first), upstream.Reset()), rest))
		s.heals(first+second, "STOP", "|", s.play(nil, steps(head(framing)), whole))
	}
	f(upstream.UntilClose)
	f(upstream.Length(int64(len(all))))
	f(upstream.Length(int64(len(all)) + 1))
	// Where it says that the body ends, it ends.
	s.heals(first+second, "STOP", "|"+first, s.play(nil, append(steps(head(upstream.Length(int64(len(text))))), whole...), rest))
	s.heals(first+second, "STOP", "|", s.play(nil, append(steps(head(upstream.Length(0))), whole...), whole))
	// A type is not needed, and interim heads are not the head.
	s.up.Reset()
	a := s.play(nil, append(steps(upstream.Head(103, 0, "Link", "x"), upstream.Head(200, upstream.Chunked)), whole...))
	if r, err := read(a.body); err != nil || r.whole(first+second, "STOP") != nil {
		t.Errorf("%v %q", err, a.body)
	}
}

func TestManyAndLargeEvents(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	// Everything in one write, and in writes that end anywhere.
	all := s.direct(upstream.Say(prose, 1, 0, "STOP")).body
	for _, script := range []upstream.Script{steps(upstream.Send(all)), steps(upstream.Sliced(997, upstream.Send(all))), steps(upstream.LF(), upstream.Say(prose, 1, 0, "STOP"))} {
		s.heals(prose, "STOP", "", s.play(nil, script))
	}
	cut := len(all) / 2
	m := &upstream.Model{Answer: prose, Piece: 1}
	s.up.SetHandler(func(r *upstream.Request) upstream.Script {
		if r.Seq == 0 {
			return steps(upstream.Send(all[:cut]), upstream.Cut())
		}
		return m.Handle(r)
	})
	s.up.Reset()
	if r, err := read(s.ask(streamPath, s.body).body); err != nil || r.whole(prose, "STOP") != nil {
		t.Error(err, r.whole(prose, "STOP"))
	}
	// A picture, and a long text in one event.
	picture := say(`{"inlineData": {"mimeType": "image/png","data": "` + strings.Repeat("A", 3<<20) + `"}}`)
	if a, want := s.play(nil, steps(picture, upstream.Finish("STOP"))), s.direct(picture, upstream.Finish("STOP")); a.err != nil || a.body != want.body {
		t.Errorf("%v, %d bytes of %d", a.err, len(a.body), len(want.body))
	}
	long := strings.Repeat("long ", 1<<18)
	s.heals(long+second, "STOP", "|"+long, s.play(nil, steps(upstream.Text(long), upstream.Send(half), upstream.Cut()), rest))
}

// What gateways do in front of the API: a finish in every event says nothing
// before the last.
func TestFinishInEveryEvent(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	f := func(attempts string, scripts ...upstream.Script) {
		t.Helper()
		r, err := read(s.play(nil, scripts...).body)
		if err != nil || r.text != first+second || r.failure != "" || !r.last || s.attempts() != attempts {
			t.Errorf("%v %+v after %q", err, r, s.attempts())
		}
	}
	f("", steps(upstream.TextFinish(first, "STOP"), upstream.TextFinish(second, "STOP")))
	f("", steps(upstream.Finish("STOP"), upstream.TextFinish(first, "STOP"), upstream.TextFinish(second, "STOP")))
	f("|"+first, steps(upstream.Finish("STOP"), upstream.Text(first), upstream.Cut()), rest)
}
