//go:build linux

package proxy

import (
	"runtime"
	"testing"
)

// TestCanceledWhereItCannotBoard: the identity of a stream that a loop cannot have,
// and that is canceled in that moment, is free once, and not given to two others.
func TestCanceledWhereItCannotBoard(t *testing.T) {
	l := newTestLoops(t)[0]
	const none = 1 << 30 // no descriptor
	for i := range 20_000 {
		p := newPassenger(none)
		p.loop = l
		begun, over, gone := make(chan struct{}), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(gone)
			close(begun)
			for {
				select {
				case <-over:
					return
				default:
					p.eject()
					runtime.Gosched()
				}
			}
		}()
		<-begun
		if l.board(&p.ride) {
			<-p.wake
		}
		close(over)
		<-gone
		if len(l.rides) != len(l.free) {
			t.Fatalf("stream %d: %d of %d identities are free", i, len(l.free), len(l.rides))
		}
	}
}
