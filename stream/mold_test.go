package stream

import (
	"fmt"
	"strings"
	"testing"
)

// counted is usageMetadata with running totals.
func counted(prompt, candidates, total int) string {
	return fmt.Sprintf(`"usageMetadata": {"promptTokenCount": %d,"candidatesTokenCount": %d,"totalTokenCount": %d}`, prompt, candidates, total)
}

func TestMoldFits(t *testing.T) {
	first := with(say("Once upon"), counted(7, 9, 16)+","+firstNames)
	for _, c := range []struct {
		name, next string
		fits       bool
	}{
		{"the same", first, true},
		{"text and counts", with(say(` a time \n\"世界\" \u003c`), counted(7, 1234, 1241)+","+firstNames), true},
		{"the largest count", with(say("x"), counted(7, 999999999999999999, 0)+","+firstNames), true},
		{"a longer count than any", with(say("x"), counted(7, 1000000000000000000, 0)+","+firstNames), false},
		{"no text", with(say(""), counted(7, 9, 16)+","+firstNames), false},
		{"a thought", with(think("x"), counted(7, 9, 16)+","+firstNames), false},
		{"a finish", with(sayEnd("x", "STOP"), counted(7, 9, 16)+","+firstNames), false},
		{"another name", with(say("x"), counted(7, 9, 16)+","+secondNames), false},
		{"no usage", with(say("x"), firstNames), false},
		{"negative", with(say("x"), counted(7, -9, 16)+","+firstNames), false},
		{"a fraction", strings.Replace(first, ": 9,", ": 9.5,", 1), false},
		{"a leading zero", strings.Replace(first, ": 9,", ": 09,", 1), false},
		{"an exponent", strings.Replace(first, ": 9,", ": 9e1,", 1), false},
		{"a string", strings.Replace(first, ": 9,", `: "9",`, 1), false},
		{"no digits", strings.Replace(first, ": 9,", ": ,", 1), false},
		{"more behind it", first + " ", false},
		{"cut short", first[:len(first)-1], false},
		{"a quote in the text", with(say(`x","a":"`), counted(7, 9, 16)+","+firstNames), false},
		{"an escape that is none", with(say(`\x`), counted(7, 9, 16)+","+firstNames), false},
		{"an escape cut short", with(say(`\u00e`), counted(7, 9, 16)+","+firstNames), false},
		{"a raw control", with(say("a\x01"), counted(7, 9, 16)+","+firstNames), false},
		{"a line separator", with(say("a\u2028"), counted(7, 9, 16)+","+firstNames), false},
		{"nothing", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m mold
			var chunk Chunk
			if _, ok := chunk.Parse([]byte(first), nil); !ok {
				t.Fatal("not parsed")
			}
			m.learn(&chunk)
			u := noUsage
			if _, ok := m.fit([]byte(c.next), &u); ok != c.fits {
				t.Errorf("fits: %t", ok)
			}
			sameSplices(t, Form{}, first, c.next, first)
		})
	}
}

// What is no plain text, and what has much beside it, makes no mold.
func TestMoldIsOfPlainText(t *testing.T) {
	for name, payload := range map[string]string{
		"thought":        think("x"),
		"call":           call("f"),
		"empty":          say(""),
		"finish":         sayEnd("x", "STOP"),
		"two parts":      candidate(`{"text": "a"},{"text": "b"}`, ""),
		"two candidates": `{"candidates": [{"content": {"parts": [{"text": "a"}]}},{"content": {"parts": [{"text": "b"}]},"index": 1}]}`,
		"twice":          `{"candidates": [{"content": {"parts": [{"text": "a"}]}}],"candidates": [{"content": {"parts": [{"text": "b"}]}}]}`,
		"token":          candidate(`{"text": "a"}`, `,"continuationToken": "t"`),
		"line breaks":    "{\n" + say("x")[1:],
		"much beside it": with(say("x"), `"x": "`+strings.Repeat("y", maxMold)+`"`),
		"blocked":        with(say("x"), `"promptFeedback": {"blockReason": "SAFETY"}`),
	} {
		t.Run(name, func(t *testing.T) {
			var m mold
			var chunk Chunk
			if _, ok := chunk.Parse([]byte(payload), nil); !ok {
				t.Fatal("not parsed")
			}
			m.learn(&chunk)
			if len(m.frame) > 0 {
				t.Error("made one")
			}
			sameSplices(t, Form{}, payload, payload, say("x"), say("y"), payload)
		})
	}
}

// How much text an event has says nothing of the next one's, and nothing in the
// text of the first is asked of the next one's.
func TestMoldOfAnyText(t *testing.T) {
	for _, text := range []string{strings.Repeat("x", 10*maxMold), "a\u2028b", `\u00e4`} {
		first, next := with(say(text), counted(7, 9, 16)+","+firstNames), with(say(strings.Repeat("y", 20*maxMold)), counted(7, 19, 26)+","+firstNames)
		var m mold
		var chunk Chunk
		chunk.Parse([]byte(first), nil)
		m.learn(&chunk)
		u := noUsage
		if _, ok := m.fit([]byte(next), &u); !ok || u.Candidates != 19 || len(m.frame) > maxMold {
			t.Errorf("%.10q: fits %t, %+v, %d bytes", text, ok, u, len(m.frame))
		}
		sameSplices(t, Form{}, first, next, first, next)
	}
}

func TestMoldMembersInAnyOrder(t *testing.T) {
	say := func(n int, text string) string {
		return fmt.Sprintf(`{"usageMetadata":{"totalTokenCount":%d,"thoughtsTokenCount":%d,"toolUsePromptTokenCount":0},"candidates":[{"content":{"role":"model","parts":[{"text":"%s"}]}}]}`, n, n, text)
	}
	sameSplices(t, Form{}, say(1, "a"), say(22, `b\n`), say(333, "c"), say(4, "d"))
	var chunk Chunk
	var m mold
	chunk.Parse([]byte(say(1, "a")), nil)
	m.learn(&chunk)
	u := noUsage
	next := []byte(say(333, "ccc"))
	if text, ok := m.fit(next, &u); !ok || string(text.of(next)) != "ccc" || u.Thoughts != 333 || u.ToolUse != 0 || u.Prompt != -1 {
		t.Errorf("%q %t %+v", text.of(next), ok, u)
	}
}

// A prompt's count that only an attempt named of which nothing was delivered
// outlives events that name none.
func TestMoldKeepsThePrompt(t *testing.T) {
	p := newPlayer()
	p.play(t, sse(with(finish("SAFETY"), counted(7, 0, 7))))
	p.play(t, sse(say("a"), say("b"), say("c")))
	if p.s.tally.prompt != 7 || p.transcript() != "abc" {
		t.Errorf("prompt %d, %q", p.s.tally.prompt, p.transcript())
	}
}

// In every form the events of a mold come as the others do.
func TestMoldInEveryForm(t *testing.T) {
	events := []string{say("a"), say("bc"), say("de"), sayEnd("f", "STOP")}
	for _, f := range []Form{{}, {Framing: Array}, {Framing: Document}, {Dialect: Wrapped}, {Framing: Lines, Dialect: OpenAI}} {
		list := events
		switch f.Dialect {
		case Wrapped:
			list = wrap(events...)
		case OpenAI:
			list = []string{tell("a"), tell("bc"), tell("de"), tellEnd("f", "stop")}
		}
		if n := sameSplices(t, f, list...); n != 2 {
			t.Errorf("%+v: %d events fit, want 2", f, n)
		}
	}
}

func TestMoldAgreesWithTheParser(t *testing.T) {
	fitted := 0
	for _, r := range recordings(t, "streams.jsonl") {
		var payloads []string
		var sc Reader
		for b := []byte(r.Body); ; {
			ev, n, ok := sc.Next(b)
			if !ok {
				break
			}
			payloads, b = append(payloads, string(ev.Data)), b[n:]
		}
		fitted += sameSplices(t, Form{}, payloads...)
	}
	if fitted == 0 {
		t.Error("no recorded event fits the mold of the one before it")
	}
	t.Logf("%d events fit", fitted)
}

func FuzzMold(f *testing.F) {
	first := with(say("Once upon"), counted(7, 9, 16)+","+firstNames)
	f.Add([]byte(first), []byte(strings.Replace(first, ": 9,", ": 10,", 1)))
	f.Add([]byte(first), []byte(strings.Replace(first, "upon", `\"\\`, 1)))
	f.Add([]byte(say("a")), []byte(say("b")))
	f.Add([]byte(tell("a")), []byte(tell("b")))
	f.Add([]byte(muse("a")), []byte(tell("</thought>b")))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		sameSplices(t, Form{}, string(a), string(b), string(a), string(a), string(b), string(b))
		sameSplices(t, Form{Framing: Array}, string(a), string(b), string(b))
		sameSplices(t, openAIForm, string(a), string(b), string(a), string(a), string(b), string(b))
	})
}

// sameSplices takes the payloads with and without molds and fails when that
// makes a difference. It returns how many of them fitted the mold of the one
// before.
func sameSplices(t *testing.T, form Form, payloads ...string) (fitted int) {
	t.Helper()
	var with, without Splice
	var got, want []byte
	for _, s := range []*Splice{&with, &without} {
		s.Reset(form, retriedReasons, 1<<20)
	}
	for i, p := range payloads {
		var v, wanted Verdict
		u := noUsage
		if _, ok := with.mold.fit([]byte(p), &u); ok {
			fitted++
		}
		got, v = with.Take(got, Event{Data: []byte(p)})
		without.mold.forget()
		want, wanted = without.Take(want, Event{Data: []byte(p)})
		if string(got) != string(want) || v != wanted {
			t.Fatalf("payload %d, %q: %v %q, without mold %v %q", i, p, v, got, wanted, want)
		}
		if what := differs(&with, &without); what != "" {
			t.Fatalf("payload %d, %q: %s", i, p, what)
		}
	}
	return fitted
}

func differs(a, b *Splice) string {
	x, y := *a, *b
	state := func(s *Splice) string {
		u := s.attempt.usage
		s.attempt.usage = Usage{}
		return fmt.Sprintf("%q %+v %+v %+v %+v %v %t %t %q %q %q %q", s.transcript.Raw(), s.tally, s.attempt, u, s.openAI,
			s.delivered, s.any, s.behindCall, s.held, s.responseID, s.version, s.token)
	}
	if p, q := state(&x), state(&y); p != q {
		return p + "\nwithout mold: " + q
	}
	return ""
}
