package stream

import (
	"strings"
	"testing"
)

// goOn plays a first attempt that says transcript and begins the next, which
// continues it.
func goOn(t *testing.T, x Expect, payloads ...string) *player {
	t.Helper()
	p := newPlayer()
	if v := p.play(t, sse(payloads...)); v != Cut {
		t.Fatalf("the first attempt: %v", v)
	}
	p.s.NextAttempt()
	p.s.Continue(x)
	p.out = nil
	return p
}

// take feeds payloads one by one; want is what goes out.
func (p *player) take(t *testing.T, verdict Verdict, want string, payloads ...string) {
	t.Helper()
	p.out = nil
	v := More
	for _, payload := range payloads {
		if v != More {
			t.Errorf("%v before %s", v, payload)
		}
		p.out, v = p.s.Take(p.out, Event{Data: []byte(payload)})
	}
	if v != verdict || string(p.out) != want {
		t.Errorf("%q: %v\n%s\nwant %v\n%s", payloads, v, p.out, verdict, want)
	}
	mustStrict(t, p.out)
}

func TestHeldTextIsBounded(t *testing.T) {
	p := goOn(t, anchored, say(inside(prose[:200])))
	n := 0
	for ; !p.s.Holding() || n < 2*MaxHeldRunes; n++ {
		if p.out, _ = p.s.Take(p.out, Event{Data: []byte(say("あ"))}); len(p.out) > 0 {
			break
		}
	}
	if n+1 != MaxHeldRunes || p.s.Holding() {
		t.Errorf("held until the event %d", n+1)
	}
	p.take(t, More, sse(say("b")), say("b"))
}

func TestSettleDecidesOnWhatHasCome(t *testing.T) {
	f := func(kind SeamKind, want string, holding bool, payloads ...string) {
		t.Helper()
		p := goOn(t, anchored, say(inside(prose[:200])))
		p.take(t, More, "", payloads...)
		out, v := p.s.Settle(nil)
		if got, _ := p.s.Seam(); got != kind || v != More || string(out) != want || p.s.Holding() != holding {
			t.Errorf("%q: %v %v %t\n%s\nwant %v %t\n%s", payloads, got, v, p.s.Holding(), out, kind, holding, want)
		}
	}
	f(SeamDirect, sse(say("p went")), false, say("p went"))
	f(SeamDirect, sse(say("p"), say(" went")), false, say("p"), say(" went"))
	f(SeamOverlap, sse(say("p went")), false, say(prose[180:200]+"p went"))
	f(SeamRestart, "", false, say(prose[50:95]))
	f(SeamNone, "", false)
	// A part of the anchor goes on being held.
	anchor, _ := anchorOf([]byte(prose[:200]))
	f(SeamNone, "", true, say(string(anchor[:10])))
	f(SeamNone, "", true, say(string(anchor[:30])), think("hm"))
	p := goOn(t, anchored, say(inside(prose[:200])))
	p.take(t, More, "", say(string(anchor[:10])))
	if out, v := p.s.Settle(nil); len(out) > 0 || v != More {
		t.Errorf("%q %v", out, v)
	}
	p.take(t, More, sse(say("p")), say(string(anchor[10:])), say("p"))
	// So does white space that was delivered behind it, and what stands behind marks.
	p = goOn(t, anchored, say(inside(prose[:200]+" \n")))
	for _, piece := range []string{string(anchor), " "} {
		p.take(t, More, "", say(piece))
		if out, v := p.s.Settle(nil); len(out) > 0 || v != More {
			t.Errorf("%q: %q %v", piece, out, v)
		}
	}
	p.take(t, More, sse(say("p")), say(inside("\np")))
	p = goOn(t, anchored, say(inside(prose[:200])))
	for _, piece := range []string{"<", "<<", string(anchor[:10]), string(anchor[10:]), ">"} {
		p.take(t, More, "", say(piece))
		if out, v := p.s.Settle(nil); len(out) > 0 || v != More {
			t.Errorf("%q: %q %v", piece, out, v)
		}
	}
	p.take(t, More, sse(say("p went")), say(">>p went"))
	// So does the answer's own beginning, with which a model starts over.
	f(SeamNone, "", true, say(prose[:1]))
	f(SeamNone, "", true, say(prose[:10]), say(prose[10:24]))
	f(SeamDirect, sse(say(prose[:10]+"?")), false, say(prose[:10]+"?"))
	p = goOn(t, anchored, say(inside(prose[:200])))
	p.take(t, More, "", say(prose[:24]))
	if out, v := p.s.Settle(nil); len(out) > 0 || v != More {
		t.Errorf("%q %v", out, v)
	}
	p.take(t, More, sse(say(prose[200:204])), say(inside(prose[24:204])))
}

// TestSettleWaitsForARepeatFromFartherBack: words that were said once, before those
// that the model was asked to repeat, are held until it is known what becomes of
// them; where there are few, or they were said more often, they are the model's.
func TestSettleWaitsForARepeatFromFartherBack(t *testing.T) {
	again := prose[50:80]
	p := goOn(t, anchored, say(inside(prose[:200])))
	for _, piece := range []string{again[:17], again[17:25], again[25:]} {
		p.take(t, More, "", say(piece))
		if out, v := p.s.Settle(nil); len(out) > 0 || v != More || !p.s.Holding() {
			t.Errorf("%q: %q %v", piece, out, v)
		}
	}
	p.take(t, More, sse(say(prose[200:204])), say(inside(prose[80:204])))
	// It was no repeat.
	p = goOn(t, anchored, say(inside(prose[:200])))
	p.take(t, More, "", say(again))
	if out, v := p.s.Settle(nil); len(out) > 0 || v != More {
		t.Errorf("%q %v", out, v)
	}
	p.take(t, More, "", say("?!"))
	if out, v := p.s.Settle(nil); string(out) != sse(say(again), say("?!")) || v != More {
		t.Errorf("%q %v", out, v)
	}
	for before, piece := range map[string]string{prose[:200]: prose[50:60], prose[:100] + again + prose[100:200]: again, prose[:100]: "It was none of it at all"} {
		p = goOn(t, anchored, say(inside(before)))
		p.take(t, More, "", say(piece))
		if out, v := p.s.Settle(nil); string(out) != sse(say(piece)) || v != More {
			t.Errorf("%q behind %q: %q %v", piece, before, out, v)
		}
	}
}

func TestCutInsideTheHeldPartLosesNothing(t *testing.T) {
	f := func(verdict Verdict, kept string, stream string) {
		t.Helper()
		p := newPlayer()
		p.play(t, sse(say(inside(prose[:200]))))
		p.expect = &anchored
		if v := p.play(t, stream); v != verdict || p.transcript() != prose[:200]+kept {
			t.Errorf("%q: %v, transcript %q", stream, v, p.transcript())
		}
		if p.s.Holding() {
			t.Error("text is held after the end")
		}
		// The next attempt begins from what was delivered.
		p.expect = &anchored
		if v := p.play(t, sse(sayEnd(inside(prose[150+len(kept):]), "STOP"))); v != Complete || p.transcript() != prose {
			t.Errorf("%q: then %v, transcript %q", stream, v, p.transcript())
		}
		mustStrict(t, p.out)
	}
	anchor, _ := anchorOf([]byte(prose[:200]))
	f(Cut, "", "")
	f(Cut, "", sse(say("Sure, here")))
	f(Cut, "", sse(say("Sure:\\n\\n"), say(string(anchor[:20]))))
	f(Cut, "", sse(say(string(anchor[:len(anchor)-1]))))
	f(Cut, "", sse(say(string(anchor))))
	f(Cut, "", sse(say(prose[:100])))
	f(Cut, "", sse(say(prose[:100]), say(prose[100:200])))
	f(Cut, "", sse(say(`\ud83d`)))
	f(Failed, "", sse(say("Sure"), failure))
	f(Finish, "", sse(say("Sure"), finish("SAFETY")))
	f(Finish, "", sse(say(string(anchor[:20])), sayEnd(string(anchor[20:])+"!", "SAFETY")))
	// What is known to be new is kept.
	f(Cut, prose[200:210], sse(say(string(anchor)), say(prose[200:210])))
	f(Cut, prose[200:210], sse(say(prose[:150]), say(prose[150:210])))
}

func TestHeldFinishShowsNoRepeat(t *testing.T) {
	p := newPlayer()
	p.play(t, sse(say(inside(prose[:200]))))
	p.expect = &anchored
	p.play(t, sse(sayEnd(inside(prose[160:230]), "SAFETY")))
	if want := sse(sayEnd("", "SAFETY")); p.held() != want {
		t.Errorf("held %s, want %s", p.held(), want)
	}
}

func TestRepeatIsSwallowedAcrossEvents(t *testing.T) {
	p := goOn(t, anchored, with(say(inside(prose[:200])), firstNames))
	for i := 0; i < 195; i += 5 {
		p.take(t, More, "", with(say(inside(prose[i:i+5])), secondUsage))
	}
	kind, _ := p.s.Seam()
	if kind != SeamRestart || p.s.Holding() || p.s.Progress() {
		t.Errorf("%v, holding %t, progress %t", kind, p.s.Holding(), p.s.Progress())
	}
	p.take(t, More, sse(with(say(prose[200:210]), firstNames)), with(say(prose[195:210]), secondNames))
	p.take(t, More, sse(say(prose[210:220])), say(prose[210:220]))
	if _, dropped := p.s.Seam(); dropped != 200 || p.transcript() != prose[:220] {
		t.Errorf("%d dropped, transcript %q", dropped, p.transcript())
	}
}

func TestFinishStaysWhenItsTextIsDropped(t *testing.T) {
	end := with(sayEnd("", "STOP"), mergedUsage+","+firstNames)
	f := func(payloads ...string) {
		t.Helper()
		p := goOn(t, anchored, with(say(inside(prose[:200])), firstUsage+","+firstNames))
		p.take(t, More, end, payloads...)
		if out, v := p.s.End(nil, Event{}, false); v != Complete || len(out) > 0 || p.transcript() != prose[:200] {
			t.Errorf("%v %s, transcript %q", v, out, p.transcript())
		}
	}
	end = sse(end)
	anchor, _ := anchorOf([]byte(prose[:200]))
	last := func(text string) string { return with(sayEnd(inside(text), "STOP"), secondUsage+","+secondNames) }
	f(last(string(anchor)))
	f(say(string(anchor)), last(""))
	f(last(prose[:200]))
	f(say(prose[:150]), last(prose[150:200]))
	f(last(prose[170:200]))
	f(last(string(anchor[:20])))
}

func TestOrderIsKeptWhileTextIsHeld(t *testing.T) {
	anchor, _ := anchorOf([]byte(prose[:200]))
	signed := candidate(`{"text": "`+string(anchor)+`","thoughtSignature": "c2ln/+=="}`, "")
	kept := candidate(`{"text": "","thoughtSignature": "c2ln/+=="}`, "")
	p := goOn(t, anchored, say(inside(prose[:200])))
	p.take(t, More, sse(kept, say("p")), signed, say("p"))
	// A part that is no text decides; thoughts do not, and are dropped.
	p = goOn(t, anchored, say(inside(prose[:200])))
	p.take(t, More, sse(say("p "), call("f")), think("hm"), say("p "), think("hm"), call("f"))
	p = goOn(t, anchored, say(inside(prose[:200])))
	p.take(t, Diverged, "", say(prose[:100]), call("f"))
	// Events that say nothing are not held while no text is.
	p = goOn(t, anchored, say(inside(prose[:200])))
	p.take(t, More, sse(`{"x": 1}`), `{"x": 1}`)
	// A finish that is final is, whatever was repeated.
	p = goOn(t, anchored, say(inside(prose[:200])))
	p.take(t, More, sse(sayEnd("", "SPII")), say(prose[:100]), sayEnd(prose[100:110], "SPII"))
	p = goOn(t, anchored, say(inside(prose[:200])))
	p.take(t, More, sse(sayEnd("", "MAX_TOKENS")), say(prose[:100]), sayEnd(prose[100:110], "MAX_TOKENS"))
}

// Where there is no room for more than a few words of the repeat, or a policy
// ends it there, the client gets the finish and none of them.
func TestFinishAmongTheFirstWordsOfARepeat(t *testing.T) {
	anchor, _ := anchorOf([]byte(prose[:200]))
	for _, repeat := range []string{string(anchor), prose} {
		for _, finish := range []string{"MAX_TOKENS", "SPII"} {
			for n := 1; n <= min(len(repeat), 100); n++ {
				text := repeat[:n]
				p := goOn(t, anchored, say(inside(prose[:200])))
				p.take(t, More, sse(sayEnd("", finish)), sayEnd(inside(text), finish))
				p = goOn(t, anchored, say(inside(prose[:200])))
				p.take(t, More, sse(sayEnd("", finish)), say(inside(text)), sayEnd("", finish))
			}
		}
	}
	// Other words are the answer's.
	p := goOn(t, anchored, say(inside(prose[:200])))
	p.take(t, More, sse(sayEnd(inside(prose[200:210]), "MAX_TOKENS")), sayEnd(inside(prose[200:210]), "MAX_TOKENS"))
}

func TestModelGoesOnFromItsOwnTurn(t *testing.T) {
	p := goOn(t, Expect{Prefilled: true}, say("ha ha "))
	p.take(t, More, sse(say("ha "), say("ha")), say("ha "), say("ha"))
	if kind, dropped := p.s.Seam(); kind != SeamDirect || dropped != 0 {
		t.Errorf("%v, %d", kind, dropped)
	}
}

func TestAnchorIsTheEndOfTheText(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		var s Splice
		s.Reset(Form{}, retriedReasons, 1<<20)
		s.Take(nil, Event{Data: []byte(say(text))})
		if got := string(s.Anchor()); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	f("Hi", "Hi")
	f(`\n\n`, "")
	f("ha ha ha", "")
	f("|---|---|", "")
	f(`One two.\ud83d`, "One two.")
	f(inside(prose), "within a minute or so. She wrote it all down.")
	f("x "+strings.Repeat("=", 600), "")
	f(prose[:60]+strings.Repeat("=", 30), "of the year came "+strings.Repeat("=", 30))
}
