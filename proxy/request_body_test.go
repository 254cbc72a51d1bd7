package proxy

import (
	"bytes"
	"testing"
)

// TestGrowBody: a body takes no more memory than it needs, and none for what has
// only been announced.
func TestGrowBody(t *testing.T) {
	for _, length := range []int{1, 100, 4 << 10, 64 << 10, 70_000, 1 << 20, 5<<20 + 3, 19_000_000} {
		var b []byte
		made := 0
		for len(b) <= length {
			was := cap(b)
			if b = growBody(b, length+1-len(b)); cap(b) != was {
				made += cap(b)
			}
			if most := max(10*len(b), 8<<10); cap(b) > most {
				t.Fatalf("of %d bytes %d had come, and there is room for %d", length, len(b), cap(b))
			}
			b = append(b, bytes.Repeat([]byte("x"), min(1<<10, cap(b)-len(b)))...)
		}
		if most := max(length+length/8, 8<<10); cap(b) > most {
			t.Errorf("%d bytes lie in %d", length, cap(b))
		}
		if most := max(length*3/2, 16<<10); made > most {
			t.Errorf("%d bytes took %d", length, made)
		}
	}
	// Without a length it doubles.
	b := growBody(make([]byte, 1<<20), -1<<20)
	if cap(b) < 2<<20 || cap(b) > 3<<20 {
		t.Error(cap(b))
	}
}
