package stream

import (
	"hash/fnv"
	"math/bits"
	"strconv"
	"strings"
	"testing"
)

// sizes are texts of one event: a token, what the API usually sends, a lot.
var sizes = []struct {
	name string
	text string
}{
	{"size=small", "Hi"},
	{"size=typical", strings.Repeat("The quick brown fox. ", 10)},
	{"size=large", strings.Repeat(`Lines\nand \u003cb\u003e, `, 2_000)},
}

func event(text string) string { return with(say(text), firstUsage+","+firstNames) }

// BenchmarkReference looks at each byte of a typical event once, in a loop that
// does not change: beside it, the others' times mean the same on any machine.
func BenchmarkReference(b *testing.B) {
	input := []byte(sse(event(sizes[1].text)))
	b.ReportAllocs()
	b.SetBytes(int64(len(input)))
	h := fnv.New64a()
	defer measureCPU(b)()
	for b.Loop() {
		h.Write(input)
	}
}

func BenchmarkScanner(b *testing.B) {
	run := func(name string, input []byte, piece int) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(input)))
			var sc Scanner
			defer measureCPU(b)()
			for b.Loop() {
				sc.Reset()
				for from, to := 0, 0; to < len(input); {
					to = min(to+piece, len(input))
					for ok := true; ok; {
						var n int
						_, n, ok = sc.Next(input[from:to])
						from += n
					}
				}
			}
		})
	}
	for _, s := range sizes {
		run(s.name, []byte(sse(event(s.text))), 1<<20)
	}
	typical := sse(event(sizes[1].text))
	run("pieces=7", []byte(typical), 7)
	run("slow", []byte(": ping\n"+strings.ReplaceAll(typical, ",", ",\ndata: ")), 1<<20)
	run("bare", []byte(event(sizes[1].text)), 1<<20)
	// The same bytes per event must take the same time however many there are.
	run("loneCR/events=100", []byte(strings.Repeat("data: 1\r\r", 100)), 1<<20)
	run("loneCR/events=10000", []byte(strings.Repeat("data: 1\r\r", 10_000)), 1<<20)
}

func BenchmarkArrayScanner(b *testing.B) {
	run := func(name string, input []byte, piece int) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(input)))
			var sc ArrayScanner
			defer measureCPU(b)()
			for b.Loop() {
				sc.Reset()
				for from, to := 0, 0; to < len(input); {
					to = min(to+piece, len(input))
					for ok := true; ok; {
						var n int
						_, n, ok = sc.Next(input[from:to])
						from += n
					}
				}
			}
		})
	}
	for _, s := range sizes {
		run(s.name, []byte(array(event(s.text))), 1<<20)
	}
	// A byte must cost the same whatever the element's size.
	for _, size := range []int{1 << 20, 4 << 20} {
		run("pieces=512/size="+strconv.Itoa(size), []byte(array(event(strings.Repeat("QUJD", size/4)))), 512)
	}
}

func BenchmarkChunk(b *testing.B) {
	for _, s := range sizes {
		b.Run(s.name, func(b *testing.B) {
			payload := []byte(event(s.text))
			b.ReportAllocs()
			b.SetBytes(int64(len(payload)))
			var c Chunk
			var text []byte
			defer measureCPU(b)()
			for b.Loop() {
				text, _ = c.Parse(payload, text[:0])
			}
		})
	}
}

// shelf is a Memory for one text at a time: pieces of powers of two that were
// given back lie there for the next one, as a proxy has them.
type shelf [64][]byte

func (s *shelf) Get(n int) []byte {
	class := bits.Len(uint(n - 1))
	if s[class] == nil {
		s[class] = make([]byte, 0, 1<<class)
	}
	return s[class]
}

func (s *shelf) Put([]byte) {}

func BenchmarkSplice(b *testing.B) {
	for _, attempt := range []string{"attempt=first", "attempt=second"} {
		for _, s := range sizes {
			b.Run(attempt+"/"+s.name, func(b *testing.B) {
				payload := []byte(event(s.text))
				b.ReportAllocs()
				b.SetBytes(int64(len(payload)))
				var sp Splice
				sp.UseMemory(new(shelf))
				var out []byte
				defer measureCPU(b)()
				for b.Loop() {
					if sp.transcript.Len() == 0 || sp.transcript.Len() > 1<<20 {
						sp.Reset(Form{}, retriedReasons, 4<<20)
						if attempt == "attempt=second" {
							sp.Take(out[:0], Event{Data: payload})
							sp.NextAttempt()
						}
					}
					out, _ = sp.Take(out[:0], Event{Data: payload})
				}
			})
		}
	}
}

// BenchmarkSpliceUnlike is BenchmarkSplice for events that are not like the one
// before, which are all parsed.
func BenchmarkSpliceUnlike(b *testing.B) {
	for _, s := range sizes {
		b.Run(s.name, func(b *testing.B) {
			payloads := [][]byte{[]byte(event(s.text)), []byte(with(say(s.text), firstNames))}
			b.ReportAllocs()
			b.SetBytes(int64(len(payloads[0])))
			var sp Splice
			sp.UseMemory(new(shelf))
			var out []byte
			i := 0
			defer measureCPU(b)()
			for b.Loop() {
				if sp.transcript.Len() == 0 || sp.transcript.Len() > 1<<20 {
					sp.Reset(Form{}, retriedReasons, 4<<20)
				}
				i++
				out, _ = sp.Take(out[:0], Event{Data: payloads[i&1]})
			}
		})
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	run := func(name, payload string) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(payload)))
			var out []byte
			in := []byte(payload)
			defer measureCPU(b)()
			for b.Loop() {
				out = AppendEvent(out[:0], in)
			}
		})
	}
	for _, s := range sizes {
		run(s.name, event(s.text))
	}
	run("unsafe", event(sizes[1].text+"\u2028"))
}

func BenchmarkContinuation(b *testing.B) {
	for _, s := range sizes {
		b.Run(s.name, func(b *testing.B) {
			body := []byte(`{"contents":[{"role":"user","parts":[{"text":"` + s.text + `"}]}],"generationConfig":{"maxOutputTokens":65536}}`)
			b.ReportAllocs()
			b.SetBytes(int64(len(body) + len(s.text)))
			var out []byte
			defer measureCPU(b)()
			for b.Loop() {
				r, _ := ParseRequest(Native, body)
				out, _ = r.AppendContinuation(out[:0], []byte(s.text), "Go on.", 100)
			}
		})
	}
}

func BenchmarkWithoutKey(b *testing.B) {
	for _, s := range sizes {
		b.Run(s.name, func(b *testing.B) {
			body := []byte(`{"apiKey":"K","contents":[{"parts":[{"text":"` + s.text + `"}]}]}`)
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			var out []byte
			defer measureCPU(b)()
			for b.Loop() {
				out = AppendWithoutKey(out[:0], body)
			}
		})
	}
}

func BenchmarkFailure(b *testing.B) {
	body := []byte(failure)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	defer measureCPU(b)()
	for b.Loop() {
		ParseFailure(body)
	}
}
