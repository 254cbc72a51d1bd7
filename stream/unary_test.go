package stream

import (
	"strconv"
	"strings"
	"testing"
)

// takeBody plays an attempt that answers with a document, and returns what it
// delivered, as events.
func (p *player) takeBody(body string) (delivered string, v Verdict) {
	if p.attempts++; p.attempts > 1 {
		p.s.NextAttempt()
	}
	if p.expect != nil {
		p.s.Continue(*p.expect)
		p.expect = nil
	}
	out, v, whole := p.s.TakeBody(nil, []byte(body), false)
	if whole != IsDocument([]byte(body)) {
		panic("whole is " + strconv.FormatBool(whole) + " of " + body)
	}
	return string(out), v
}

func TestTakeBody(t *testing.T) {
	f := func(body string, want Verdict, delivered, held string) {
		t.Helper()
		p := newFormPlayer(Form{Framing: Document})
		got, v := p.takeBody(body)
		if v != want || got != delivered || p.held() != held {
			t.Errorf("%s\n%v, delivered %q, held %q\nwant %v, %q, %q", body, v, got, p.held(), want, delivered, held)
		}
	}
	// What is all of the answer is not made an event.
	f(sayEnd("a", "STOP"), Complete, "", "")
	f(" "+sayEnd("a", "STOP")+"\n", Complete, "", "")
	f(sayEnd("a", "MAX_TOKENS"), Complete, "", "")
	f(finish("MAX_TOKENS"), Complete, "", "")
	f(call("f"), Cut, sse(call("f")), "")
	f(sayEnd("a", "SPII"), Policy, "", "")
	f(blocked, Policy, "", "")
	f(empty, Empty, "", sse(empty))
	f(failure, Failed, "", "")
	f(finish("SAFETY"), Finish, "", sse(finish("SAFETY")))
	f("", Cut, "", "")
	f("{}", Cut, sse("{}"), "")
	f("[]", Cut, "", "")
	f("null", Cut, "", "")
	f("<html>", Cut, "", "")
	f(say("a"), Cut, sse(say("a")), "")
	f(strings.TrimSuffix(say("ab"), `b"}],"role": "model"},"index": 0}]}`), Cut, sse(say("a")), "")
	// Text under a finish that is retried is delivered, the finish is held.
	const ratings = `,"finishReason": "SAFETY","safetyRatings": [1],"finishMessage": "no","avgLogprobs": -0.5,"tokenCount": 1`
	f(candidate(`{"text": "a"}`, ratings), Finish, sse(candidate(`{"text": "a"}`, `,"safetyRatings": [1]`)), sse(candidate(`{"text": ""}`, ratings)))
	f(candidate(`{"text": "hm","thought": true}`, ratings), Finish, "", sse(candidate(`{"text": "hm","thought": true}`, ratings)))
	f(candidate(`{"text": "a"},{"functionCall": {}}`, ending("MALFORMED_FUNCTION_CALL")), Finish, "",
		sse(candidate(`{"text": "a"},{"functionCall": {}}`, ending("MALFORMED_FUNCTION_CALL"))))
	// The finish of a body that breaks off behind it.
	cut := strings.TrimSuffix(sayEnd("a", "SAFETY"), `,"index": 0}]}`)
	f(cut, Finish, sse(strings.TrimSuffix(say("a"), `,"index": 0}]}`)+"}]}"), sse(candidate(`{"text": ""}`, ending("SAFETY"))[:len(candidate(`{"text": ""}`, ending("SAFETY")))-len(`,"index": 0}]}`)]+"}]}"))
}

// Whatever the break, the next document joins what was delivered.
func TestTakeBodyAfterTakeBody(t *testing.T) {
	f := func(first string, verdict Verdict) {
		t.Helper()
		p := newFormPlayer(Form{Framing: Document})
		out, v := p.takeBody(first)
		if v != verdict || p.transcript() != "once upon a " {
			t.Fatalf("%s: %v, %q", first, v, p.transcript())
		}
		p.expect = &Expect{Prefilled: true}
		more, v := p.takeBody(with(sayEnd("time", "STOP"), secondUsage))
		if v != Complete || p.transcript() != "once upon a time" {
			t.Errorf("%s: %v, %q", first, v, p.transcript())
		}
		var fo Folder
		for _, ev := range strings.SplitAfter(out+more, "\r\n\r\n") {
			if data, ok := strings.CutPrefix(ev, "data: "); ok {
				fo.Take([]byte(strings.TrimSpace(data)))
			}
		}
		if got := string(fo.Append(nil)); !strings.Contains(got, `{"text": "once upon a time"}`) || strings.Count(got, "finishReason") != 1 {
			t.Errorf("%s: %s", first, got)
		}
	}
	body := sayEnd("once upon a ", "STOP")
	f(body[:strings.Index(body, `"}]`)], Cut)
	f(body[:strings.Index(body, `"STOP`)], Cut)
	f(sayEnd("once upon a ", "SAFETY"), Finish)
	f(with(sayEnd("once upon a ", "RECITATION"), firstUsage), Finish)
}

// A whole body is the answer behind attempts of which nothing was delivered, and
// none that is behind others.
func TestTakeBodyAsItIs(t *testing.T) {
	for first, want := range map[string]bool{"": true, "{": true, empty: true, finish("SAFETY"): true, failure: true, call("f"): false, say("a"): false, "{}": false} {
		p := newFormPlayer(Form{Framing: Document})
		before, _ := p.takeBody(first)
		more, v := p.takeBody(sayEnd("time", "STOP"))
		if v != Complete || (more == "") != want || (before == "") != want || p.s.Finish() != "" || p.s.Events() != 1 {
			t.Errorf("%s: %q, then %v %q", first, before, v, more)
		}
		if prompt, output, known := p.s.Usage(); known {
			t.Errorf("%s: %d and %d tokens", first, prompt, output)
		}
	}
}

// A document is whole or it is not, wherever it is cut.
func TestTakeBodyKnowsAWholeBody(t *testing.T) {
	for _, body := range []string{
		" " + sayEnd(`a\n\u00e9`, "STOP") + "\n", sayEnd("a", "SAFETY"), finish("STOP"), call("f"), failure, empty, "[" + failure + "]", "{}", "12", "nul",
		`{"a": "\x"}`, sayEnd("a", "STOP") + "}",
	} {
		for n := range len(body) + 1 {
			newFormPlayer(Form{Framing: Document}).takeBody(body[:n])
		}
	}
}

func TestTakeBodyLeavesSeveral(t *testing.T) {
	one := sayEnd("a", "STOP")
	for body, want := range map[string]bool{
		one + one: true, "\xef\xbb\xbf " + one + "\r\n" + one: true, "{}\n{": true, "{}{}{}": true,
		"": false, "{": false, one: false, one + " \n": false, one + "]": false, one + "," + one: false, "[{}]{}": false, "1{}": false,
		`{"a": "}{"`: false, one[:len(one)-1]: false, "null\n{}": false,
	} {
		p := newFormPlayer(Form{Framing: Document})
		if _, v := p.takeBody(body); (v == More) != want || want && (p.s.Events() != 0 || p.transcript() != "") {
			t.Errorf("%q: %v", body, v)
		}
	}
}
