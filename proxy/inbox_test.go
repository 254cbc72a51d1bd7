package proxy

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// What goes in comes out, in order, however it is read and consumed and
// whenever memory is given back.
func TestInboxKeepsWhatIsNotConsumed(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var in inbox
		var want []byte
		next := byte(0)
		for range 400 {
			if rnd.IntN(4) == 0 {
				in.giveBack()
			}
			if !in.room() {
				t.Fatal("no room")
			}
			room := in.lend()
			if len(room) == 0 {
				t.Fatal("room for nothing")
			}
			n := 1 + rnd.IntN(min(len(room), 2*firstInbox))
			if rnd.IntN(3) == 0 && len(want) < fastInbox {
				n = len(room)
			}
			for i := range n {
				room[i] = next
				next++
			}
			want = append(want, room[:n]...)
			in.took(n)
			if !bytes.Equal(in.bytes(), want) {
				t.Fatalf("seed %d: %d bytes, want %d", seed, len(in.bytes()), len(want))
			}
			used := len(want)
			if rnd.IntN(3) > 0 {
				used = rnd.IntN(len(want) + 1)
			}
			in.consume(used)
			want = want[used:]
		}
		in.reset()
		if in.mem != nil || in.fast {
			t.Fatal("reset kept something")
		}
	}
}

func TestInboxGrowsWithTheStream(t *testing.T) {
	var in inbox
	read := func(n int) {
		t.Helper()
		if !in.room() || len(in.lend()) < n {
			t.Fatalf("room for %d bytes, want %d", len(in.lend()), n)
		}
		in.took(n)
	}
	read(firstInbox)
	in.consume(firstInbox - 300)
	// The rest of an event is in the way of no large read.
	read(fastInbox - 300)
	in.consume(fastInbox - 100)
	in.giveBack()
	if len(in.bytes()) != 100 || len(in.mem.B) != firstInbox {
		t.Fatalf("%d bytes in %d", len(in.bytes()), len(in.mem.B))
	}
	read(fastInbox - 100)
	in.consume(fastInbox)
	// A stream that has become slow.
	read(200)
	in.consume(200)
	in.giveBack()
	if in.mem != nil || in.fast {
		t.Fatal("an idle stream keeps memory")
	}
	read(firstInbox)
	if len(in.mem.B) != firstInbox {
		t.Errorf("a slow stream reads into %d bytes", len(in.mem.B))
	}
	in.reset()
}

// An event of any size is held, up to the bound.
func TestInboxIsBounded(t *testing.T) {
	var in inbox
	defer in.reset()
	total := 0
	for in.room() {
		n := min(len(in.lend()), 1<<20)
		in.took(n)
		total += n
	}
	if total != maxEvent {
		t.Errorf("%d bytes fitted, want %d", total, maxEvent)
	}
}
