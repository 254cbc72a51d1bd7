//go:build !race

package bench

import (
	"io"
	"net"
	"testing"
)

// An event of a traced stream allocates nothing either.
func TestTracedEventAllocatesNothing(t *testing.T) {
	for _, how := range traces {
		next := make(chan struct{})
		t.Cleanup(func() { close(next) })
		piece := []byte(chunk(event))
		up := startUpstream(t, func(c net.Conn, _ int) bool {
			io.WriteString(c, responseHead)
			for range next {
				if _, err := c.Write(piece); err != nil {
					return false
				}
			}
			return false
		})
		cl := dial(t, startTracing(t, up, how.sampler))
		cl.ask()
		one := func() {
			next <- struct{}{}
			cl.events(1)
		}
		for range 100 {
			one()
		}
		if n := testing.AllocsPerRun(2000, one); n != 0 {
			t.Errorf("%s: %v allocations per event, want 0", how.name, n)
		}
	}
}

// A request that is not sampled allocates what one without traces does.
func TestUnsampledRequestAllocatesNothingMore(t *testing.T) {
	answer := []byte(responseHead + chunk(event) + chunk(lastEvent) + "0\r\n\r\n")
	count := func(sampler string) float64 {
		up := startUpstream(t, func(c net.Conn, _ int) bool {
			_, err := c.Write(answer)
			return err == nil
		})
		cl := dial(t, startTracing(t, up, sampler))
		one := func() {
			cl.ask()
			cl.events(-1)
		}
		for range 200 {
			one()
		}
		return testing.AllocsPerRun(2000, one)
	}
	if off, unsampled := count(""), count("always_off"); unsampled > off {
		t.Errorf("%v allocations for a request that is not sampled, %v without traces", unsampled, off)
	}
}
