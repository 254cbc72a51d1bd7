//go:build linux

package proxy

import (
	"context"
	"io"
	"testing"
	"time"
)

// A loop that waits answers, one that is stuck in a stream does not, and does
// again when it no longer is.
func TestLoopsThatAreStuckAreNotAlive(t *testing.T) {
	all := newTestLoops(t)
	// A stuck one must be given up long before the test is.
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	well := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := all.alive(ctx); err != nil {
			t.Error(err)
		}
	}
	well()
	_, fd, peer := socketPair(t)
	p := newPassenger(fd)
	stuck, free := make(chan struct{}), make(chan struct{})
	p.on = func() next {
		close(stuck)
		<-free
		return nextLeave
	}
	if !all[0].board(&p.ride) {
		t.Fatal("not taken aboard")
	}
	well()
	io.WriteString(peer, "12345678")
	<-stuck
	if all.alive(soon()) == nil {
		t.Error("a loop is stuck, and taken for alive")
	}
	close(free)
	p.left(t)
	well()
}

// TestNudgeKeepsDeadlines: a stream whose silence is too long leaves, however
// often the loop is looked at.
func TestNudgeKeepsDeadlines(t *testing.T) {
	all := newTestLoops(t)
	_, fd, _ := socketPair(t)
	p := newPassenger(fd)
	p.quiet = 100 * time.Millisecond
	if !all[0].board(&p.ride) {
		t.Fatal("not taken aboard")
	}
	if err := all.alive(context.Background()); err != nil {
		t.Error(err)
	}
	p.left(t)
	if p.expired.IsZero() {
		t.Error("it did not leave for its silence")
	}
}
