//go:build linux

package proxy

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestLoopSharesACrowd: of streams that are ready at once two are served at a
// time; what they leave over is served, those that must leave do, and a panic
// ends one alone.
func TestLoopSharesACrowd(t *testing.T) {
	var panics atomic.Int32
	all, err := openLoops(func(string, any) { panics.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(all.close)
	if len(all) < 2 {
		t.Skip("one processor only")
	}
	l := all[0]
	// The first stream keeps the loop until the others are ready.
	gate, waits := make(chan struct{}), make(chan struct{})
	_, fd, first := socketPair(t)
	opener := newPassenger(fd)
	entered := sync.OnceFunc(func() { close(waits) })
	opener.on = func() next { entered(); <-gate; return nextWait }
	if !l.board(&opener.ride) {
		t.Fatal("not taken aboard")
	}
	var inside atomic.Int32
	met := make(chan struct{})
	crowded := make([]*passenger, 5*crowd)
	peers := make([]net.Conn, len(crowded))
	for i := range crowded {
		_, fd, peers[i] = socketPair(t)
		p := newPassenger(fd)
		p.room = 1 // more than one turn for all of it
		var turns int
		p.on = func() next {
			if inside.Add(1) == 2 {
				close(met)
			}
			select {
			case <-met:
			case <-time.After(10 * time.Second):
				t.Error("served one after another")
			}
			switch turns++; {
			case i%5 == 3 && turns == 2:
				panic("no")
			case i%5 == 4 && turns == 2:
				return nextLeave
			}
			return nextWait
		}
		if crowded[i] = p; !l.board(&p.ride) {
			t.Fatal("not taken aboard")
		}
	}
	io.WriteString(first, "12345678")
	// Alone: it would else wait with some of the others behind it.
	<-waits
	for _, peer := range peers {
		io.WriteString(peer, "12345678")
	}
	close(gate)
	for i, p := range crowded {
		switch i % 5 {
		case 3, 4:
			p.left(t)
			if p.got.Load() != 2 || p.broken != (i%5 == 3) {
				t.Errorf("%d bytes, broken %t", p.got.Load(), p.broken)
			}
		default:
			p.await(t, 8)
		}
	}
	if n := int(panics.Load()); n != crowd {
		t.Errorf("%d panics, want %d", n, crowd)
	}
}
