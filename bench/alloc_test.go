//go:build !race

package bench

import (
	"io"
	"net"
	"testing"
)

// The relay of an event of the first attempt allocates nothing in steady
// state: not in the reading, the scan, the record of the text, nor the
// writing. The test's own upstream and client allocate nothing either, so
// the count is exact.
func TestRelayedEventAllocatesNothing(t *testing.T) {
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
	cl := dial(t, startProxy(t, up))
	cl.ask()
	one := func() {
		next <- struct{}{}
		cl.events(1)
	}
	for range 100 {
		one()
	}
	if n := testing.AllocsPerRun(2000, one); n != 0 {
		t.Errorf("%v allocations per relayed event, want 0", n)
	}
}
