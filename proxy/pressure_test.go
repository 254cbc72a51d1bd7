package proxy

import (
	"math"
	"runtime/debug"
	"testing"
)

// TestMemoryLimitChanges: the limit of a cgroup may be set, raised and taken away
// while the program runs.
func TestMemoryLimitChanges(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	s := &Server{}
	for i, step := range []struct {
		limit int64
		over  bool
	}{
		{math.MaxInt64, false}, {1 << 20, true}, {1 << 40, false}, {1 << 20, true}, {math.MaxInt64, false},
	} {
		debug.SetMemoryLimit(step.limit)
		if s.observeMemory(); s.memory.Over() != step.over {
			t.Errorf("step %d: over is %v", i, s.memory.Over())
		}
	}
}
