package proxy

import (
	"bytes"
	"testing"
)

// TestGrowBody: a body takes no more memory than it needs, and none for what has
// only been announced.
func TestGrowBody(t *testing.T) {
	for _, length := range []int{1, 100, 4 << 10, 64 << 10, 70_000, 1 << 20, 5<<20 + 3, 19_000_000} {
		var b buffer
		made := 0
		for len(b.B) <= length {
			was := cap(b.B)
			if b.growBody(length + 1 - len(b.B)); cap(b.B) != was {
				made += cap(b.B)
			}
			if most := max(11*len(b.B), 8<<10); cap(b.B) > most {
				t.Fatalf("of %d bytes %d had come, and there is room for %d", length, len(b.B), cap(b.B))
			}
			b.B = append(b.B, bytes.Repeat([]byte("x"), min(1<<10, cap(b.B)-len(b.B)))...)
		}
		if most := max(length+length/8+1, 8<<10); cap(b.B) > most {
			t.Errorf("%d bytes lie in %d", length, cap(b.B))
		}
		if most := max(length*3/2, 16<<10); made > most {
			t.Errorf("%d bytes took %d", length, made)
		}
	}
	// Without a length it doubles.
	b := buffer{B: make([]byte, 1<<20)}
	if b.growBody(-1 << 20); cap(b.B) < 2<<20 || cap(b.B) > 3<<20 {
		t.Error(cap(b.B))
	}
}
