package stream

import (
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"
)

// ledger is a Memory that knows what is lent, and writes over what comes back:
// who uses it still is found out.
type ledger struct {
	t   *testing.T
	out map[*byte]int
	all int // bytes that were ever lent

	classes bool // pieces are powers of two, and not as small as they can be
}

// most is what a ledger lends in one piece, in bytes.
const most = 256 << 10

func (l *ledger) Get(n int) []byte {
	if n > most {
		return nil
	}
	if n = max(n, 1); l.classes {
		n = 1 << bits.Len(uint(max(n, 1<<10)-1))
	}
	b := make([]byte, 0, n)
	l.out[&b[:1][0]] = cap(b)
	l.all += cap(b)
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

// TestLongTextsLieWhereTheyCame: a text that grows is not copied time and again,
// whatever its length when it is asked for, and what is made of it is the same as
// without a memory.
func TestLongTextsLieWhereTheyCame(t *testing.T) {
	words := strings.Repeat("all work and no play \\ud83d\\ude00 makes a dull boy, ", 40)
	for _, size := range []int{20, 333, 1500} { // bytes of an event
		for _, total := range []int{3000, 4096, 4097, 9000, 70000, 400000} {
			payloads := []string{say("It begins: ")}
			for n := 0; n < total; n += size {
				at := n % 100 // in the middle of a character, too
				payloads = append(payloads, say(words[at:at+size]))
			}
			l := &ledger{t: t, out: map[*byte]int{}, classes: true}
			lent, grown := newPlayer(), newPlayer()
			lent.s.UseMemory(l)
			for _, p := range []*player{lent, grown} {
				p.s.Reset(Form{}, retriedReasons, 1<<20)
				p.play(t, sse(payloads...))
			}
			want := string(grown.s.transcript.raw)
			if most := len(want)*5/4 + 4*leastBlock; l.all > most {
				t.Errorf("%d bytes in events of %d: %d bytes were lent", len(want), size, l.all)
			}
			if got := string(lent.s.transcript.appendRaw(nil)); got != want || lent.s.transcript.Len() != len(want) {
				t.Errorf("%d bytes in events of %d: %d other ones, said to be %d", len(want), size, len(got), lent.s.transcript.Len())
			}
			if lent.transcript() != grown.transcript() {
				t.Errorf("%d bytes in events of %d are read otherwise", len(want), size)
			}
			if got := string(lent.s.transcript.Raw()); got != want {
				t.Errorf("%d bytes in events of %d: joined they are others", len(want), size)
			}
			if lent.s.Release(); len(l.out) != 0 {
				t.Errorf("not given back: %v", l.out)
			}
		}
	}
}

// TestTextsOfAllKindsOfEvents: events that are like the one before and such that
// are not, small and large ones, with what is dropped of them, and seams among
// them: the text is what the events said, and all memory comes back.
func TestTextsOfAllKindsOfEvents(t *testing.T) {
	words := strings.Repeat("all work and no play makes a dull boy, ", 600)
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		l := &ledger{t: t, out: map[*byte]int{}, classes: seed%2 == 0}
		var s Splice
		s.UseMemory(l)
		for range 2 {
			const bound = 300 << 10
			s.Reset(Form{}, retriedReasons, bound)
			want, seams := "", 0
			for range r.IntN(200) {
				text := words[:1+r.IntN(1<<r.IntN(14))]
				payload := say(text)
				switch r.IntN(12) {
				case 0:
					payload = candidate(`{"text": "`+text[:len(text)/2]+`"},{"text": "`+text[len(text)/2:]+`"}`, "")
				case 1:
					payload = with(payload, firstNames)
				case 2:
					// Two candidates, of which one is the answer.
					payload = `{"candidates": [{"content": {"parts": [{"text": "` + text + `"}]}},{"content": {"parts": [{"text": "` + text + text + `"}]},"index": 1}]}`
				case 3:
					if _, v := s.Take(nil, Event{Data: []byte(payload[:len(payload)-1])}); v != Cut {
						t.Fatalf("half a payload: %v", v)
					}
					fallthrough
				case 4:
					if seams++; want != "" && seams < 4 {
						s.NextAttempt()
						s.Continue(Expect{Prefilled: true})
					}
				}
				if _, v := s.Take(nil, Event{Data: []byte(payload)}); v != More {
					t.Fatalf("%.80s…: %v", payload, v)
				}
				if want += text; len(want) > bound || s.Transcript().Full() {
					want = ""
				}
				if got := string(s.Transcript().AppendText(nil)); got != want || len(got) != s.Transcript().Len() {
					t.Fatalf("seed %d: a text of %d bytes, want %d", seed, len(got), len(want))
				}
			}
			if got := string(s.Transcript().Raw()); got != want {
				t.Fatalf("seed %d: joined it has %d bytes, want %d", seed, len(got), len(want))
			}
		}
		if s.Release(); len(l.out) != 0 {
			t.Errorf("not given back: %v", l.out)
		}
	}
}
