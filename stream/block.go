package stream

import (
	"math/bits"
	"sync"
)

// block is memory for a text that grows: when it is full, a block of twice the
// size takes its place, and it is there for another text at once. Thousands of
// answers a second then grow without making garbage.
type block struct {
	b     []byte
	class int
}

// Blocks have 1 KiB, 2 KiB, and so on up to 1 MiB.
const (
	firstBlock = 10 // its size is 1 << firstBlock
	lastBlock  = 20
)

var blocks [lastBlock - firstBlock + 1]sync.Pool

// getBlock returns the smallest block that holds n bytes, nil when none does.
func getBlock(n int) *block {
	class := bits.Len(uint(max(n-1, 0) >> firstBlock))
	if class >= len(blocks) {
		return nil
	}
	if m, ok := blocks[class].Get().(*block); ok {
		return m
	}
	return &block{make([]byte, 0, 1<<(firstBlock+class)), class}
}

func (m *block) giveBack() { blocks[m.class].Put(m) }
