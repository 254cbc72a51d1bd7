package stream

import (
	"encoding/json"
	"strings"
	"testing"
)

func newFormPlayer(f Form) *player {
	p := &player{}
	p.s.Reset(f, retriedReasons, 1<<20)
	return p
}

// array writes payloads as the API does without alt=sse.
func array(payloads ...string) string { return "[" + strings.Join(payloads, "\n,\r\n") + "\n]" }

// wrap puts payloads into the wrapper of v1internal, other members beside them.
func wrap(payloads ...string) []string {
	for i, p := range payloads {
		payloads[i] = `{"traceId": "t1","response": ` + p + `,"more": {"response": 1}}`
	}
	return payloads
}

// elements returns the elements of an array as the client gets it.
func elements(t *testing.T, out []byte) (all []string) {
	t.Helper()
	var list []json.RawMessage
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	for _, e := range list {
		all = append(all, string(e))
	}
	if want := array(all...); string(out) != want {
		t.Errorf("got %q\nwant %q", out, want)
	}
	return all
}

func TestArrayIsOneArray(t *testing.T) {
	f := func(want []string, streams ...string) {
		t.Helper()
		p := newFormPlayer(Form{Framing: Array})
		for _, s := range streams {
			p.play(t, s)
		}
		got := elements(t, p.s.AppendEnd(p.out))
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if again := p.s.AppendEnd(nil); len(again) > 0 {
			t.Errorf("ended twice: %q", again)
		}
	}
	f([]string{say("a")}, sse(say("a")))
	f([]string{say("a"), sayEnd("b", "STOP")}, sse(say("a"), sayEnd("b", "STOP")))
	f([]string{say("a"), sayEnd("b", "STOP")}, sse(say("a"), finish("SAFETY")), sse(sayEnd("b", "STOP")))
	// What is held and let go keeps its place.
	f([]string{empty, empty, say("a")}, sse(empty, empty, say("a")))
	f([]string{say("a"), sayEnd("b", "STOP")}, sse(empty), sse(say("a"), sayEnd("b", "STOP")))
	// Thoughts that are dropped leave no gap.
	f([]string{think("hm"), sayEnd("b", "STOP")}, sse(think("hm")), sse(think("hm"), sayEnd("b", "STOP")))
	// Nothing was delivered: nothing is begun, nothing ended.
	p := newFormPlayer(Form{Framing: Array})
	p.play(t, sse(empty))
	if out := p.s.AppendEnd(p.out); len(out) > 0 {
		t.Errorf("%q", out)
	}
	if held, ok := p.s.AppendHeld(nil); !ok || string(p.s.AppendEnd(held)) != array(empty) {
		t.Errorf("%q", held)
	}
}

func TestArrayKeepsLineBreaksBetweenTokens(t *testing.T) {
	f := func(payload, want string) {
		t.Helper()
		p := newFormPlayer(Form{Framing: Array})
		p.out, _ = p.s.Take(nil, Event{Data: []byte(payload)})
		if got := string(p.s.AppendEnd(p.out)); got != array(want) || !json.Valid([]byte(got)) {
			t.Errorf("got %q\nwant %q", got, array(want))
		}
	}
	pretty := strings.ReplaceAll(say(`a\n\"\\`), ",", ",\r\n\t")
	f(pretty, pretty)
	f(say("\u2028\u2029\u0085"), say("\u2028\u2029\u0085"))
	// JSON forbids these.
	f(say("a\nb\tc\x01"), say(`a\nb\tc\u0001`))
	f("{\n\"a\": \"\n\\\"\n\",\n\"b\": \"\\\\\"\n}", "{\n\"a\": \"\\n\\\"\\n\",\n\"b\": \"\\\\\"\n}")
}

func TestWrappedIsReadAndMergedInside(t *testing.T) {
	p := newFormPlayer(Form{Dialect: Wrapped})
	p.play(t, sse(wrap(with(say("a"), firstUsage+","+firstNames))...))
	if v := p.play(t, sse(wrap(think("hm"), with(sayEnd("b", "STOP"), secondUsage+","+secondNames))...)); v != Complete {
		t.Fatal(v)
	}
	want := sse(wrap(with(say("a"), firstUsage+","+firstNames), with(sayEnd("b", "STOP"), mergedUsage+","+firstNames))...)
	// The thought of the second attempt went, wrapper and all.
	if got := string(p.out); got != want || p.transcript() != "ab" {
		t.Errorf("%q\n%s\nwant\n%s", p.transcript(), got, want)
	}
}

func TestWrappedVerdicts(t *testing.T) {
	f := func(want Verdict, stream string) {
		t.Helper()
		p := newFormPlayer(Form{Dialect: Wrapped})
		if v := p.play(t, stream); v != want {
			t.Errorf("%s: %v, want %v", stream, v, want)
		}
		mustStrict(t, p.out)
	}
	f(Complete, sse(wrap(say("a"), finish("STOP"))...))
	f(Empty, sse(wrap(finish("STOP"))...))
	f(Finish, sse(wrap(say("a"), finish("SAFETY"))...))
	f(Policy, sse(wrap(say("a"), finish("SPII"))...))
	f(Policy, sse(wrap(blocked)...))
	f(Cut, sse(wrap(say("a"))...))
	f(Cut, sse(`{"traceId": "x"}`))
	f(Cut, sse(`{"response": null}`))
	f(Cut, sse(`{"response": []}`))
	f(Cut, sse(`{"response": `+say("a")))
	f(Failed, sse(failure))
	f(Failed, sse(wrap(say("a"))...)+failure)
	// The text of an answer proves nothing.
	f(Cut, sse(wrap(say(`{\"finishReason\": \"STOP\"}`))...))
	f(Cut, sse(`{"other": `+sayEnd("a", "STOP")+`}`))
}

func TestErrorBodyHasTheFraming(t *testing.T) {
	f := func(framing Framing, text, want string) {
		t.Helper()
		if got := string(framing.AppendErrorBody(nil, []byte(text))); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	f(SSE, "{}\n", "{}\n")
	f(Array, "{}\n", "[{}\n]")
	f(Array, "{}", "[{}\n]")
	f(Array, "[{}\n]\n", "[{}\n]\n")
	const alone = `{"error": {"code": 503,"message": "]["}}`
	for _, framing := range []Framing{SSE, Lines, Document} {
		f(framing, alone, alone)
		f(framing, "["+alone+"\n]\n", alone)
		f(framing, "[ "+alone+" ] ", alone)
		f(framing, "["+alone+","+alone+"]", "["+alone+","+alone+"]")
		f(framing, "[{}]", "[{}]")
		f(framing, "["+alone, "["+alone)
	}
	f(Array, "["+alone+"]", "["+alone+"]")
}

func TestWhatTheProxyAddsHasTheForm(t *testing.T) {
	const end = `{"candidates": [{"content": {"parts": [{"text": ""}],"role": "model"},"finishReason": "STOP","index": 0}]}`
	const text = `{"error": {"code": 503}}`
	f := func(form Form, finish, failure, echo string) {
		t.Helper()
		p := newFormPlayer(form)
		if got := string(p.s.AppendEnd(p.s.AppendFinish(nil, "STOP"))); got != finish {
			t.Errorf("%v: got %q\nwant %q", form, got, finish)
		}
		if got := string(p.s.AppendEnd(p.s.AppendError(nil, []byte(text)))); got != failure {
			t.Errorf("%v: got %q\nwant %q", form, got, failure)
		}
		if got := string(p.s.AppendEcho(nil, []byte(text))); got != echo {
			t.Errorf("%v: got %q\nwant %q", form, got, echo)
		}
	}
	f(Form{}, sse(end), sse(text), text)
	f(Form{Array, Native}, array(end), array(text), "")
	f(Form{SSE, Wrapped}, sse(`{"response": `+end+`}`), sse(text), text)
	f(Form{Array, Wrapped}, array(`{"response": `+end+`}`), array(text), "")
}
