package stream

import "testing"

// Payloads of a long decode.
func checkpoint(text, token string) string {
	return candidate(`{"text": "`+text+`"}`, `,"continuationToken": "`+token+`"`)
}

func hopEnd(text, token string) string {
	return candidate(`{"text": "`+text+`"}`, `,"finishReason": "CONTINUATION","continuationToken": "`+token+`"`)
}

func TestResumedAnswerIsSwallowedUpToTheClient(t *testing.T) {
	first := []string{say("One, "), checkpoint("two, ", "dDI="), say("three, "), say("fo")}
	f := func(verdict Verdict, want string, payloads ...string) *player {
		t.Helper()
		p := goOn(t, Expect{Resumed: true, From: len("One, two, ")}, first...)
		p.take(t, verdict, want, payloads...)
		return p
	}
	f(More, sse(say("ur")), say("thr"), say("ee, "), say("four"))
	f(More, sse(say("ur")), say("three, four"))
	f(More, sse(say("ur"), checkpoint("five", "dDU=")), say("three, four"), checkpoint("five", "dDU="))
	f(More, sse(checkpoint("ur", "dDQ=")), checkpoint("three, four", "dDQ="))
	// A checkpoint from before where the client is would bring it the same again.
	f(More, sse(say("ur")), checkpoint("three, ", "dDM="), say("four"))
	f(More, sse(say(""), say("ur")), checkpoint("", "dDM="), say("three, four"))
	f(Diverged, "", say("thr"), say("eat"))
	f(Diverged, "", hopEnd("three, ", "dDM="))
	f(Diverged, "", sayEnd("three, f", "STOP"))
	// White space and quotes may differ.
	f(More, sse(say("ur")), say("three,\\nfour"))
	// Characters that are cut in two.
	p := goOn(t, Expect{Resumed: true}, say(`a \ud83d\ude00 b`))
	p.take(t, More, sse(say("!")), say(`a \ud83d`), say(`\ude00 `), say("b"), say("!"))
	p = goOn(t, Expect{Resumed: true}, say("a 😀 b"))
	p.take(t, Diverged, "", say(`a \ud83d`), say(`b`))
	// Nothing came after the checkpoint.
	p = goOn(t, Expect{Resumed: true, From: 2}, checkpoint("ab", "dA=="))
	p.take(t, More, sse(hopEnd("c", "dDM=")), hopEnd("c", "dDM="))
	if kind, dropped := p.s.Seam(); kind != SeamResumed || dropped != 0 {
		t.Errorf("%v, %d", kind, dropped)
	}
}

func TestTokenIsThatOfTheNewestCheckpoint(t *testing.T) {
	f := func(p *player, token string, at int) {
		t.Helper()
		if got, n := p.s.Token(); string(got) != token || n != at {
			t.Errorf("%s at %d, want %s at %d", got, n, token, at)
		}
	}
	p := newPlayer()
	f(p, "", 0)
	p.play(t, sse(say("One, "), checkpoint("tw\\u006f", "dDI="), say("three")))
	f(p, `"dDI="`, len(`One, tw\u006f`))
	// Text before the client does not move it, text after does.
	p.expect = &Expect{Resumed: true, From: len(`One, tw\u006f`)}
	p.play(t, sse(checkpoint("thr", "dDM=")))
	f(p, `"dDI="`, len(`One, tw\u006f`))
	p.expect = &Expect{Resumed: true, From: len(`One, tw\u006f`)}
	p.play(t, sse(checkpoint("three, four", "dDQ=")))
	f(p, `"dDQ="`, len(`One, tw\u006fthree, four`))
	// That of a request which the client does not know is none.
	p.expect = &Expect{Prefilled: true}
	p.play(t, sse(checkpoint("five", "dDU=")))
	f(p, `"dDQ="`, len(`One, tw\u006fthree, four`))
}

func TestTokenOfAContinuationIsNotForTheClient(t *testing.T) {
	f := func(x Expect, want string, payloads ...string) {
		t.Helper()
		p := goOn(t, x, say(prose[:100]))
		p.take(t, More, want, payloads...)
	}
	f(Expect{Prefilled: true}, sse(say("a"), say("b")), checkpoint("a", "dA=="), checkpoint("b", "dA=="))
	f(anchored, sse(say("is"), say("b")), checkpoint(prose[60:100]+"is", "dA=="), checkpoint("b", "dA=="))
	f(anchored, "", checkpoint("", "dA=="))
}

// A client that cannot go on from the end of a hop is not left with it.
func TestHopOfAContinuationIsNotTheEnd(t *testing.T) {
	f := func(x Expect, v Verdict, want, held string, payloads ...string) {
		t.Helper()
		p := goOn(t, x, say(prose[:100]))
		p.take(t, v, want, payloads...)
		if got := p.held(); got != held {
			t.Errorf("held %q, want %q", got, held)
		}
	}
	f(Expect{Prefilled: true}, Finish, sse(say("a")), sse(sayEnd("b", "CONTINUATION")), say("a"), hopEnd("b", "dA=="))
	f(anchored, Finish, sse(say("is")), sse(sayEnd("b", "CONTINUATION")), say(prose[60:100]+"is"), hopEnd("b", "dA=="))
	f(anchored, Finish, "", sse(sayEnd("", "CONTINUATION")), hopEnd(prose[60:100], "dA=="))
	p := newFormPlayer(Form{Framing: Document})
	p.takeBody(say("a"))
	p.expect = &Expect{Prefilled: true}
	if got, v := p.takeBody(hopEnd("b", "dA==")); v != Finish || got != sse(say("b")) || p.held() != sse(sayEnd("", "CONTINUATION")) {
		t.Errorf("%v, delivered %q, held %q", v, got, p.held())
	}
	// One that can is.
	f(Expect{Resumed: true, From: 100}, More, sse(hopEnd("b", "dA==")), "", hopEnd("b", "dA=="))
	f(Expect{Resumed: true, From: 100}, More, sse(say("a"), hopEnd("b", "dA==")), "", say("a"), hopEnd("b", "dA=="))
}

func TestOpenCall(t *testing.T) {
	open := `{"functionCall": {"name": "f","willContinue": true}}`
	more := `{"functionCall": {"partialArgs": [{"jsonPath": "$.a","stringValue": "x","willContinue": true}],"willContinue": true}}`
	done, whole := `{"functionCall": {}}`, `{"functionCall": {"name": "g","args": {"willContinue": true}}}`
	f := func(want bool, payloads ...string) {
		t.Helper()
		p := newPlayer()
		p.play(t, sse(payloads...))
		if p.s.OpenCall() != want || p.s.Delivered()&Untextual == 0 {
			t.Errorf("%q: %t", payloads, p.s.OpenCall())
		}
	}
	f(false, candidate(whole, ""))
	f(true, candidate(open, ""))
	f(true, candidate(open, ""), candidate(more, ""))
	f(true, candidate(open, ""), candidate(more, ""), say("x"))
	f(false, candidate(open, ""), candidate(more, ""), candidate(done, ""))
	f(false, candidate(open+","+more+","+done, ""))
	f(true, candidate(whole+","+open, ""))
	f(true, candidate(open+","+done+","+open, ""))
	f(false, candidate(open, ""), candidate(done+","+whole, ""))
	f(true, candidate(`{"functionCall": {"willC\u006fntinue": true}}`, ""))
	f(false, candidate(`{"functionCall": {"willContinue": false}}`, ""))
	f(false, candidate(`{"functionCall": null},{"inlineData": {}}`, ""))
}

func TestLogprobsCannotBeContinued(t *testing.T) {
	f := func(want bool, rest string) {
		t.Helper()
		p := newPlayer()
		p.play(t, sse(candidate(`{"text": "a"}`, rest)))
		if got := p.s.Delivered()&Logprobs != 0; got != want || got != (p.s.Delivered()&Untextual != 0) {
			t.Errorf("%s: %t", rest, got)
		}
	}
	f(true, `,"logprobsResult": {"chosenCandidates": []}`)
	f(false, `,"logprobsResult": null`)
	f(false, `,"avgLogprobs": -0.1`)
}
