package proxy

import (
	"math/bits"
	"sync"
)

// heldBuffers are for what is held for as long as a stream runs: its request,
// what a continuation asks. They lie in classes by capacity, so that a small
// request does not hold what a large one has left, with thousands of them open,
// and that large ones leave no garbage. A class has capacities from its size to
// that of the next, which is twice as much, and from 64 KiB on, where memory
// counts, an eighth more.
var heldBuffers [largeHeld - firstHeld + eighths*(lastHeld-largeHeld) + 1]sync.Pool // of *buffer

const (
	firstHeld = 9  // the size of the first class is 1 << firstHeld
	largeHeld = 16 // that of the first from which there are eight in a doubling
	lastHeld  = 23 // that of the last
	eighths   = 8
)

// heldClass returns the class of a capacity, which is that of the first at least.
func heldClass(n int) int {
	k := bits.Len(uint(n)) - 1
	if k < largeHeld {
		return k - firstHeld
	}
	return largeHeld - firstHeld + eighths*(k-largeHeld) + (n-1<<k)/(1<<k/eighths)
}

// heldSize returns the size of a class.
func heldSize(class int) int {
	large := class - (largeHeld - firstHeld)
	if large < 0 {
		return 1 << (firstHeld + class)
	}
	double := 1 << (largeHeld + large/eighths)
	return double + large%eighths*(double/eighths)
}

// getHeld returns memory for n bytes, and for more as it grows.
func getHeld(n int) *buffer {
	n = max(n, heldSize(0))
	class := heldClass(n)
	if heldSize(class) < n {
		class++
	}
	if class >= len(heldBuffers) {
		return &buffer{B: make([]byte, 0, n)}
	}
	if b, ok := heldBuffers[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{B: make([]byte, 0, heldSize(class))}
}

// putHeld gives it back, also when it has grown. nil is none.
func putHeld(b *buffer) {
	if b == nil || cap(b.B) < heldSize(0) {
		return
	}
	if class := heldClass(cap(b.B)); class < len(heldBuffers) {
		b.B = b.B[:0]
		heldBuffers[class].Put(b)
	}
}

// reach gives b memory for n bytes, if it has less. What it had is there for
// others then.
func (b *buffer) reach(n int) {
	if cap(b.B) >= n {
		return
	}
	more := getHeld(n)
	more.B = append(more.B, b.B...)
	b.B, more.B = more.B, b.B
	putHeld(more)
}
