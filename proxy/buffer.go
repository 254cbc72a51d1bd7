package proxy

import (
	"math/bits"
	"sync"
)

// buffer is a pooled byte slice.
type buffer struct{ B []byte }

// maxPooled is the capacity above which a buffer is not kept: a pool holds on
// to the largest it has ever seen.
const maxPooled = 256 << 10

var buffers = sync.Pool{New: func() any { return &buffer{B: make([]byte, 0, 512)} }}

func getBuffer() *buffer { return buffers.Get().(*buffer) }

func putBuffer(b *buffer) {
	if cap(b.B) <= maxPooled {
		b.B = b.B[:0]
		buffers.Put(b)
	}
}

// heldBuffers are for what is held for as long as a stream runs: its request,
// what a continuation asks. A class has capacities from its size to twice that,
// beginning with 512 bytes: a small request must not hold what a large one has
// left, with thousands of them open.
var heldBuffers [10]sync.Pool // of *buffer

const firstHeld = 9 // the size of the first class is 1 << firstHeld

// getHeld returns memory for n bytes, and for more as it grows.
func getHeld(n int) *buffer {
	class := bits.Len(uint(max(n-1, 0) >> firstHeld))
	if class >= len(heldBuffers) {
		return &buffer{B: make([]byte, 0, n)}
	}
	if b, ok := heldBuffers[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{B: make([]byte, 0, 1<<(firstHeld+class))}
}

// putHeld gives it back, also when it has grown. nil is none.
func putHeld(b *buffer) {
	if b == nil || cap(b.B) < 1<<firstHeld || cap(b.B) > maxPooled {
		return
	}
	b.B = b.B[:0]
	heldBuffers[bits.Len(uint(cap(b.B)>>firstHeld))-1].Put(b)
}

// fastFrame is the capacity in bytes that a frame for what a fast inbox holds
// has from the beginning.
const fastFrame = fastInbox + 8<<10

var fastFrames = sync.Pool{New: func() any { return &buffer{B: make([]byte, 0, fastFrame)} }}

// getFrame returns the memory of a frame, for a stream that comes fast or not.
func getFrame(fast bool) *buffer {
	if fast {
		return fastFrames.Get().(*buffer)
	}
	return getBuffer()
}

// putFrame gives the memory of a frame back.
func putFrame(b *buffer) {
	if n := cap(b.B); n < fastFrame || n > maxPooled {
		putBuffer(b)
		return
	}
	b.B = b.B[:0]
	fastFrames.Put(b)
}

// copyBuffer is a pooled slice for bodies that pass through.
type copyBuffer [32 << 10]byte

var copyBuffers = sync.Pool{New: func() any { return new(copyBuffer) }}
