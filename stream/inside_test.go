package stream

import (
	"bytes"
	"strings"
	"testing"
)

// slowInsideEnd is insideEnd, one rule after the other.
func slowInsideEnd(b []byte, i int) int {
	end := skipString(b, i-1) - 1
	if end < i || !isSafe(b[i:end]) || !validEscapes(b[i:end]) {
		return bad
	}
	return end
}

func sameInsideEnd(t *testing.T, inside string) {
	t.Helper()
	// At every place within a word, and with all that may follow.
	for before := range 9 {
		for _, after := range []string{"", `"`, `"}`, `","a":"\u2028"`, "\"\x01\u2028 "} {
			b := []byte(strings.Repeat(" ", before) + `"` + inside + after)
			if got, want := insideEnd(b, before+1), slowInsideEnd(b, before+1); got != want {
				t.Fatalf("%q: %d, want %d", b, got, want)
			}
		}
	}
}

func TestInsideEnd(t *testing.T) {
	for _, inside := range []string{
		"", "a", "Once upon a time", "世界", "a\u0085b", "a\u2028b", "a\u2029", "\u2027\u202a", "\xc2", "\xe2\x80", "\x7f\x80\xff",
		`\n`, `\"`, `\\`, `\\\"`, `\u00e9`, `\u00E9`, `\u00eg`, `\u00e`, `\u`, `\`, `\x`, `\ `, "\\\x01", "\t", "\x00", "\x1f ", " !#[]",
		strings.Repeat("a", 100) + `\"` + strings.Repeat("b", 100), strings.Repeat(`\u4e16`, 20), strings.Repeat("é", 50) + "\u2028",
	} {
		sameInsideEnd(t, inside)
		for i := range inside {
			sameInsideEnd(t, inside[:i])
		}
	}
}

func FuzzInsideEnd(f *testing.F) {
	f.Add(`Once \"upon\" a \u00e9 世界`)
	f.Fuzz(func(t *testing.T, inside string) { sameInsideEnd(t, inside) })
}

func TestInsideEndAllocatesNothing(t *testing.T) {
	b := []byte(strings.Repeat(`Once \"upon\" é `, 20) + `"`)
	if n := testing.AllocsPerRun(100, func() { insideEnd(b, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkInsideEnd(b *testing.B) {
	for name, s := range map[string]string{"plain": strings.Repeat("Once upon a time ", 6), "escapes": strings.Repeat(`a line\n`, 12), "beyond": strings.Repeat("世界", 17)} {
		in := []byte(s + `"`)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			defer measureCPU(b)()
			for b.Loop() {
				insideEnd(in, 0)
			}
		})
	}
}

func TestIndexNear(t *testing.T) {
	for size := range 100 {
		for _, fill := range []byte{0, 'a', '\\' - 1, '\\' + 1, '\\' ^ 0x80, 0xff} {
			b := bytes.Repeat([]byte{fill}, size)
			if n := indexNear(b, '\\'); n != -1 {
				t.Errorf("%d of %#x: %d", size, fill, n)
			}
			for at := range size {
				b[at] = '\\'
				if n := indexNear(b, '\\'); n != at {
					t.Errorf("%d of %#x: %d, want %d", size, fill, n, at)
				}
				for more := at + 1; more < size; more += 3 {
					b[more] = '\\'
				}
				if n := indexNear(b, '\\'); n != at {
					t.Errorf("%d of %#x, more behind it: %d, want %d", size, fill, n, at)
				}
				for i := at; i < size; i++ {
					b[i] = fill
				}
			}
		}
	}
}
