package proxy

import "sync"

// buffer is a pooled byte slice.
type buffer struct{ B []byte }

// maxPooled is the capacity above which a buffer does not lie with those of any
// size: a pool holds on to the largest it has ever seen.
const maxPooled = 256 << 10

var buffers = sync.Pool{New: func() any { return &buffer{B: make([]byte, 0, 512)} }}

func getBuffer() *buffer { return buffers.Get().(*buffer) }

func putBuffer(b *buffer) {
	if cap(b.B) > maxPooled {
		putHeld(b)
		return
	}
	b.B = b.B[:0]
	buffers.Put(b)
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
