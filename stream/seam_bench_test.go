package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// transcripts are answers of n bytes that a seam may find hard.
func transcripts(n int) map[string]string {
	fill := func(unit string) string { return strings.Repeat(unit, n/len(unit)+1)[:n] }
	var words strings.Builder
	for i := 0; words.Len() < n; i++ {
		fmt.Fprintf(&words, "word %d of many, ", i)
	}
	return map[string]string{
		"words":    words.String()[:n],
		"letter":   fill("a"),
		"row":      fill("| the same | row |\n"),
		"long row": fill(numbered(60)),
		"odd end":  fill("ab")[:n-40] + prose[:40],
		"odd head": prose + fill("ab")[:n-len(prose)],
	}
}

// seamWork finds a seam in text that comes in one-letter events.
func seamWork(s *Splice, transcript []byte, pieces [][]byte) {
	s.Reset(Form{}, retriedReasons, 4<<20)
	s.Take(nil, Event{Data: transcript})
	s.NextAttempt()
	s.Anchor()
	s.Continue(Expect{Anchored: true, Stops: [][]byte{[]byte("END")}})
	var out []byte
	for _, piece := range pieces {
		out, _ = s.Take(out[:0], Event{Data: piece})
	}
}

func BenchmarkSeam(b *testing.B) {
	for _, n := range []int{1 << 10, 32 << 10, 1 << 20} {
		for name, text := range transcripts(n) {
			b.Run(fmt.Sprintf("size=%d/%s", n, strings.ReplaceAll(name, " ", "")), func(b *testing.B) {
				transcript := []byte(say(inside(text)))
				var pieces [][]byte
				for _, letter := range letters(inside(text[:600])) {
					pieces = append(pieces, []byte(say(letter)))
				}
				b.ReportAllocs()
				b.SetBytes(int64(n))
				var s Splice
				defer measureCPU(b)()
				for b.Loop() {
					seamWork(&s, transcript, pieces)
				}
			})
		}
	}
}

// TestSeamTakesTimeInProportion compares a transcript with one that is eight
// times as long. What is bounded by constants takes most of the time of a
// short one, so that only a square shows.
func TestSeamTakesTimeInProportion(t *testing.T) {
	const n = 128 << 10
	took := func(text string) time.Duration {
		transcript, best := []byte(say(inside(text))), time.Hour
		pieces := [][]byte{[]byte(say(inside(text[:400]))), []byte(say(inside(text[400:800]))), []byte(say("END"))}
		var s Splice
		for range 3 {
			start := time.Now()
			seamWork(&s, transcript, pieces)
			best = min(best, time.Since(start))
		}
		return best
	}
	long := transcripts(8 * n)
	for name, text := range transcripts(n) {
		if short, long := took(text), took(long[name]); long > 30*short+50*time.Millisecond {
			t.Errorf("%s: %v, eight times as much %v", name, short, long)
		}
	}
}
