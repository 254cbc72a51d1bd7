package proxy

import (
	"fmt"
	"strings"
	"testing"
)

func TestFrame(t *testing.T) {
	for _, n := range []int{1, 9, 10, 15, 16, 17, 255, 256, 4095, 4096, 65535, 65536, 1 << 20, 1<<20 + 1, 1<<24 - 1, 1 << 24} {
		data := strings.Repeat("x", n)
		b := append(emptyFrame([]byte("what was there before")), data...)
		if got := string(sealFrame(b)); got != fmt.Sprintf("%x\r\n%s\r\n", n, data) {
			t.Errorf("%d bytes: %.20q", n, got)
		}
	}
	if b := emptyFrame(nil); len(b) != frameRoom {
		t.Errorf("an empty frame has %d bytes", len(b))
	}
}

func TestFrameDoesNotAllocate(t *testing.T) {
	b := make([]byte, 0, 200)
	if n := testing.AllocsPerRun(100, func() { sealFrame(append(emptyFrame(b), "hello"...)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzFrame reads back what was framed.
func FuzzFrame(f *testing.F) {
	f.Add("a")
	f.Add("\r\n0\r\n\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" {
			return
		}
		wire := string(sealFrame(append(emptyFrame(nil), s...))) + "0\r\n\r\n"
		if data, rest, finished, err := dechunk(wire); data != s || rest != 0 || !finished || err != nil {
			t.Errorf("%q: %q %d %v %v", wire, data, rest, finished, err)
		}
	})
}
