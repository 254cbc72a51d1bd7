package stream

import (
	"bytes"
	"testing"
)

func TestTranscriptKeepsEscapesAsTheyCame(t *testing.T) {
	p := newPlayer()
	p.play(t, sse(say(`a\n\u003c`), say(`\ud83d`), say(`\ude00é`)))
	tr := p.s.Transcript()
	if got := string(tr.Raw()); got != `a\n\u003c\ud83d\ude00é` || tr.Len() != len(got) {
		t.Errorf("raw %q, %d", got, tr.Len())
	}
	if got := string(tr.AppendText([]byte("x"))); got != "xa\n<😀é" {
		t.Errorf("text %q", got)
	}
}

func TestTranscriptThatOverflowsIsGoneAndTheStreamGoesOn(t *testing.T) {
	p := newPlayer()
	p.s.Reset(Form{}, retriedReasons, 10)
	stream := sse(say("12345"), say("67890"))
	v := p.play(t, stream)
	if v != Cut || p.s.Transcript().Full() || p.transcript() != "1234567890" {
		t.Fatalf("%s, full %t, %q: the bound itself is allowed", v, p.s.Transcript().Full(), p.transcript())
	}
	more := sse(say("1"), say("2"), sayEnd("3", "STOP"))
	p = newPlayer()
	p.s.Reset(Form{}, retriedReasons, 10)
	v = p.play(t, stream+more)
	tr := p.s.Transcript()
	if v != Complete || !tr.Full() || tr.Len() != 0 || len(tr.Raw()) != 0 {
		t.Errorf("%s, full %t, raw %q", v, tr.Full(), tr.Raw())
	}
	if string(p.out) != stream+more {
		t.Errorf("the client got %q", p.out)
	}
	if p.s.Delivered()&Text == 0 || !p.s.Progress() {
		t.Error("text was delivered")
	}
	// The next attempt and the next answer.
	p.s.NextAttempt()
	if !tr.Full() || p.s.Spent() < 0 {
		t.Errorf("full %t, spent %d", tr.Full(), p.s.Spent())
	}
	p.s.Reset(Form{}, retriedReasons, 10)
	if tr.Full() || tr.Len() != 0 {
		t.Error("full after Reset")
	}
}

// lender is a Memory of powers of two up to a bound, which counts.
type lender struct{ most, out int }

func (l *lender) Get(n int) []byte {
	size := 16
	for size < n {
		size *= 2
	}
	if size > l.most {
		return nil
	}
	l.out++
	return make([]byte, 0, size)
}

func (l *lender) Put(b []byte) {
	l.out--
	clear(b[:cap(b)])
}

func TestTranscriptGrowsThroughItsMemory(t *testing.T) {
	l := &lender{most: 1 << 16}
	tr := Transcript{memory: l}
	tr.Reset(8 << 20)
	var want []byte
	for size := 1; len(want) < 1<<20; size *= 3 {
		text := bytes.Repeat([]byte{byte('a' + size%26)}, size)
		tr.set(tr.append(tr.raw, text))
		if want = append(want, text...); !bytes.Equal(tr.Raw(), want) {
			t.Fatalf("not the same after %d bytes", len(want))
		}
		if l.out > 1 || l.out == 0 && len(want) <= l.most {
			t.Fatalf("%d pieces are out", l.out)
		}
	}
	tr.Reset(1)
	if tr.raw != nil || l.out != 0 {
		t.Errorf("memory was kept, %d pieces are out", l.out)
	}
}

// What an overflow leaves must not be somebody else's memory.
func TestTranscriptGivesItsMemoryBackOnce(t *testing.T) {
	l := &lender{most: 1 << 16}
	tr := Transcript{memory: l}
	tr.Reset(2000)
	add := func(n int) {
		tr.set(tr.append(tr.raw, make([]byte, n)))
	}
	add(1500)
	add(1500)
	if !tr.full || l.out != 0 || tr.raw != nil {
		t.Fatalf("full %t, %d pieces are out", tr.full, l.out)
	}
	add(10)
	if tr.Len() != 0 {
		t.Errorf("%d bytes", tr.Len())
	}
	tr.Reset(10)
	if l.out != 0 {
		t.Errorf("%d pieces are out", l.out)
	}
}

func TestEstimateCountsCharactersNotEscapes(t *testing.T) {
	f := func(inside string, want int64) {
		t.Helper()
		if got := estimateTokens([]byte(inside)); got != want {
			t.Errorf("%s: %d, want %d", inside, got, want)
		}
	}
	f("", 0)
	f("a", 1)
	f("abcd", 1)
	f("abcde", 2)
	f(`\u003c\u003c\u003c\u003c`, 1)
	f(`\ud83d\ude00éé世`, 1)
}
