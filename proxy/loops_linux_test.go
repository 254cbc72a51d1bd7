package proxy

import (
	"runtime"
	"testing"
)

// There are as many loops as processors may be used, which the Go runtime
// takes from the cgroup or from GOMAXPROCS.
func TestLoopsAreAsManyAsProcessors(t *testing.T) {
	for _, n := range []int{1, 3} {
		before := runtime.GOMAXPROCS(n)
		all, err := openLoops(func(where string, p any) { t.Errorf("%s: %v", where, p) })
		runtime.GOMAXPROCS(before)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != n {
			t.Errorf("%d loops for %d processors", len(all), n)
		}
		all.close()
	}
}
