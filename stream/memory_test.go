package stream

import (
	"strings"
	"testing"
)

// ledger is a Memory that knows what is lent, and writes over what comes back:
// who uses it still is found out.
type ledger struct {
	t   *testing.T
	out map[*byte]int
}

func (l *ledger) Get(n int) []byte {
	b := make([]byte, 0, max(n, 1))
	l.out[&b[:1][0]] = cap(b)
	return b
}

func (l *ledger) Put(b []byte) {
	b = b[:cap(b)]
	if l.out[&b[0]] != len(b) {
		l.t.Errorf("%d bytes come back that are not lent", len(b))
	}
	delete(l.out, &b[0])
	for i := range b {
		b[i] = '!'
	}
}

// TestMemoryComesBack: an answer in the middle of which the attempts of all
// kinds of continuation break off gives back all that it was lent, and what a
// continuation alone needs is not kept for answers that need none.
func TestMemoryComesBack(t *testing.T) {
	long := strings.Repeat("all work and no play makes a dull boy, ", 3000)
	p, l := newPlayer(), &ledger{t: t, out: map[*byte]int{}}
	p.s.UseMemory(l)
	for range 3 {
		p.s.Reset(Form{}, retriedReasons, 1<<20)
		p.attempts, p.out = 0, nil
		p.play(t, sse(say(long), say("The end is")))
		for _, x := range []Expect{{Anchored: true}, {Anchored: true, Stops: [][]byte{[]byte("STOP HERE")}}, {Resumed: true, From: 1000}, {Prefilled: true}, {Document: true}} {
			p.expect = &x
			p.play(t, sse(say("dull boy, The end is"), say(" near, very near. ")))
		}
		if !strings.HasPrefix(p.transcript(), long+"The end is") || strings.Contains(p.transcript(), "!") {
			t.Errorf("the answer is %.100s… of %d bytes", p.transcript()[len(long):], len(p.transcript()))
		}
		p.s.Release()
		if len(l.out) != 0 {
			t.Errorf("not given back: %v", l.out)
		}
	}
	p.s.Reset(Form{}, retriedReasons, 1<<20)
	j := &p.s.join
	if n := cap(j.whole) + cap(j.sw.want) + cap(j.queue) + cap(j.raw) + cap(j.plain); n > 2*maxJoin {
		t.Errorf("%d bytes are kept for the next answer", n)
	}
	p = &player{}
	p.s.Reset(Form{}, retriedReasons, 1<<20)
	if p.play(t, sse(say(long), say("The end."))); p.s.join.jointWork != nil {
		t.Error("an answer that is not continued has memory for a seam")
	}
}

// A payload whose texts outgrow the memory between one and the next is read as
// without one.
func TestTextsMoveWithinAPayload(t *testing.T) {
	a, b, c := strings.Repeat("a", 3000), strings.Repeat("b", 5000), strings.Repeat("c", 9000)
	for name, x := range map[string]struct {
		form    Form
		payload string
	}{
		"parts and candidates": {Form{}, `{"candidates": [{"content": {"parts": [{"text": "` + a + `"},{"text": "` + b + `"}]}},{"content": {"parts": [{"text": "` + c + `"}]},"index": 1}]}`},
		"choices":              {openAIForm, `{"choices": [{"index": 0,"delta": {"content": "` + a + b + `"}},{"index": 1,"delta": {"content": "` + c + `"}}]}`},
		"no JSON":              {Form{}, `{"candidates": [{"content": {"parts": [{"text": "` + a + `"}]}}],`},
	} {
		t.Run(name, func(t *testing.T) {
			var s Splice
			l := &ledger{t: t, out: map[*byte]int{}}
			s.UseMemory(l)
			s.Reset(x.form, retriedReasons, 1<<20)
			before := with(say("before "), firstNames)
			if x.form == openAIForm {
				before = tell("before ")
			}
			s.Take(nil, Event{Data: []byte(before)})
			want := "before "
			if _, v := s.Take(nil, Event{Data: []byte(x.payload)}); v == More {
				want += a + b
			}
			if got := string(s.transcript.Raw()); got != want {
				t.Errorf("%.20q… of %d bytes, want %d", got, len(got), len(want))
			}
			if s.Release(); len(l.out) != 0 {
				t.Errorf("not given back: %v", l.out)
			}
		})
	}
}
