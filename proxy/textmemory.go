package proxy

import (
	"math/bits"
	"sync"
)

// textMemory is memory for texts that grow: what one answer needs no more is
// there for another at once, and thousands of answers a second then grow without
// making garbage. Its pieces have 1 KiB, 2 KiB, and so on up to 1 MiB.
type textMemory struct{}

const (
	firstPiece = 10 // its size is 1 << firstPiece
	lastPiece  = 20
)

var (
	textPieces [lastPiece - firstPiece + 1]sync.Pool // of *buffer
	noPieces   = sync.Pool{New: func() any { return new(buffer) }}
)

// Get is that of a stream.Memory.
func (textMemory) Get(n int) []byte {
	class := bits.Len(uint(max(n-1, 0) >> firstPiece))
	if class >= len(textPieces) {
		return nil
	}
	if piece, ok := textPieces[class].Get().(*buffer); ok {
		b := piece.B[:0]
		piece.B = nil
		noPieces.Put(piece)
		return b
	}
	return make([]byte, 0, 1<<(firstPiece+class))
}

// Put is that of a stream.Memory.
func (textMemory) Put(b []byte) {
	piece := noPieces.Get().(*buffer)
	piece.B = b
	textPieces[bits.Len(uint(cap(b)-1)>>firstPiece)].Put(piece)
}
