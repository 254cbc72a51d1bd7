package proxy

import "testing"

// TestHeldBuffers: what one request has left is not held by a much smaller one.
func TestHeldBuffers(t *testing.T) {
	for _, left := range []int{1, 511, 512, 513, 1000, 1024, 65_000, 65_536, 200_000, maxPooled, maxPooled + 1, 5 << 20} {
		b := getHeld(left)
		if len(b.B) != 0 || cap(b.B) < left {
			t.Errorf("for %d bytes: %d, %d", left, len(b.B), cap(b.B))
		}
		// It may have grown meanwhile.
		b.B = append(b.B[:cap(b.B)], "xyz"...)
		putHeld(b)
		for _, n := range []int{-1, 0, 1, 512, 700, 1025, 30_000, 65_537, maxPooled, 1 << 20, 1<<20 + 1, 7_000_000, 9 << 20} {
			c := getHeld(n)
			most := max(4*n, 2<<10)
			if n > 1<<largeHeld {
				most = n + n/4
			}
			if len(c.B) != 0 || cap(c.B) < n || cap(c.B) > most {
				t.Errorf("for %d bytes behind %d: %d, %d", n, left, len(c.B), cap(c.B))
			}
			putHeld(c)
		}
	}
	putHeld(nil)
}

// The classes follow one another without a gap, and what is given back is got again.
func TestHeldClasses(t *testing.T) {
	for class := range heldBuffers {
		size := heldSize(class)
		if heldClass(size) != class || heldClass(heldSize(class+1)-1) != class {
			t.Errorf("class %d of %d bytes: %d, and %d at its end", class, size, heldClass(size), heldClass(heldSize(class+1)-1))
		}
		if b := getHeld(size); cap(b.B) < size || cap(b.B) >= heldSize(class+1) {
			t.Errorf("for %d bytes: %d", size, cap(b.B))
		}
	}
}
