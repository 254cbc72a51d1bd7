//go:build !race

package proxy

import "testing"

func TestTextMemory(t *testing.T) {
	var m textMemory
	for _, c := range []struct{ n, size int }{
		{0, 1 << 10}, {1, 1 << 10}, {1 << 10, 1 << 10}, {1<<10 + 1, 2 << 10}, {1 << 20, 1 << 20},
	} {
		b := m.Get(c.n)
		if len(b) != 0 || cap(b) != c.size {
			t.Errorf("for %d bytes: %d, %d", c.n, len(b), cap(b))
		}
		m.Put(b)
	}
	if b := m.Get(1<<20 + 1); b != nil {
		t.Errorf("%d bytes", cap(b))
	}
}

func TestTextMemoryDoesNotAllocate(t *testing.T) {
	var m textMemory
	if n := testing.AllocsPerRun(100, func() { m.Put(m.Get(5000)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
