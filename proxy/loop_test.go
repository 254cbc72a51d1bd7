//go:build linux

package proxy

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// socket is one end of a connected pair, whose descriptor is held.
func socketPair(t testing.TB) (held net.Conn, fd uintptr, peer net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if peer, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if held, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Close(); peer.Close() })
	rawConn(held).Control(func(d uintptr) { fd = d })
	return held, fd, peer
}

// passenger is a rider that reads lines of 8 bytes and counts them.
type passenger struct {
	ride
	quiet time.Duration
	room  int // of its buffer, 0: 64
	got   atomic.Int64
	heard chan int64 // the count after each call that read something
	on    func() next
}

func newPassenger(fd uintptr) *passenger {
	p := &passenger{quiet: time.Hour, heard: make(chan int64, 1000)}
	p.ride.rider, p.ride.wake, p.ride.poller.fd = p, make(chan struct{}, 1), fd
	return p
}

func (p *passenger) warm() byte                     { return 0 }
func (p *passenger) until(last time.Time) time.Time { return last.Add(p.quiet) }

func (p *passenger) ready(ended bool) next {
	if p.on != nil {
		if n := p.on(); n != nextWait {
			return n
		}
	}
	room := p.room
	if room == 0 {
		room = 64
	}
	buf := make([]byte, room)
	p.poller.begin(2, ended)
	for {
		n, err := p.poller.read(buf)
		switch {
		case err == errAgain:
			p.heard <- p.got.Load()
			if p.poller.more() {
				return nextAgain
			}
			return nextWait
		case err != nil:
			return nextLeave
		}
		p.got.Add(int64(n))
	}
}

func newTestLoops(t testing.TB) loops {
	t.Helper()
	all, err := openLoops(func(string, any) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(all.close)
	return all
}

// await waits until the passenger has read so much.
func (p *passenger) await(t *testing.T, want int64) {
	t.Helper()
	for p.got.Load() < want {
		select {
		case <-p.heard:
		case <-time.After(10 * time.Second):
			t.Fatalf("%d bytes read, want %d", p.got.Load(), want)
		}
	}
}

func (p *passenger) left(t *testing.T) {
	t.Helper()
	select {
	case <-p.wake:
	case <-time.After(10 * time.Second):
		t.Fatal("still on the loop")
	}
}

func TestLoopReadsAllThatComes(t *testing.T) {
	l := newTestLoops(t)[0]
	for _, room := range []int{1, 3, 64, 4096} {
		_, fd, peer := socketPair(t)
		p := newPassenger(fd)
		p.room = room
		// What lies there before the ride counts as well.
		io.WriteString(peer, "12345678")
		if !l.board(&p.ride) {
			t.Fatal("not taken aboard")
		}
		p.await(t, 8)
		for i := int64(2); i <= 50; i++ {
			io.WriteString(peer, "abcdefgh")
			p.await(t, 8*i)
		}
		// Data and the end at once: no edge is left for the end.
		io.WriteString(peer, "12345678")
		peer.Close()
		p.left(t)
		if got := p.got.Load(); got != 8*51 {
			t.Errorf("room %d: %d bytes, want %d", room, got, 8*51)
		}
	}
}

// What comes while somebody else has the stream for a moment is read after it.
func TestLoopKeepsEdges(t *testing.T) {
	l := newTestLoops(t)[0]
	_, fd, peer := socketPair(t)
	_, fd2, peer2 := socketPair(t)
	p, other := newPassenger(fd), newPassenger(fd2)
	if !l.board(&p.ride) || !l.board(&other.ride) {
		t.Fatal("not taken aboard")
	}
	for !p.acquire() {
	}
	io.WriteString(peer, "12345678")
	// The loop has met the first event when it serves another that came later.
	io.WriteString(peer2, "12345678")
	other.await(t, 8)
	if p.got.Load() != 0 || !p.release() {
		t.Fatal("served while it was taken")
	}
	p.await(t, 8)
}

func TestLoopEndsSilence(t *testing.T) {
	l := newTestLoops(t)[0]
	_, fd, _ := socketPair(t)
	_, fd2, _ := socketPair(t)
	long, short := newPassenger(fd), newPassenger(fd2)
	short.quiet = 30 * time.Millisecond
	begun := time.Now()
	if !l.board(&long.ride) || !l.board(&short.ride) {
		t.Fatal("not taken aboard")
	}
	short.left(t)
	if short.expired.IsZero() || time.Since(begun) < short.quiet {
		t.Errorf("left after %v, expired %v", time.Since(begun), short.expired)
	}
	select {
	case <-long.wake:
		t.Error("another left with it")
	default:
	}
	long.eject()
	long.left(t)
	if !long.expired.IsZero() {
		t.Error("ejected, but marked as expired")
	}
	long.eject() // does nothing
}

// Silence ends, too, of a stream that somebody else has when it is looked for.
func TestLoopForgetsNoSilence(t *testing.T) {
	l := newTestLoops(t)[0]
	_, fd, _ := socketPair(t)
	_, fd2, _ := socketPair(t)
	p, other := newPassenger(fd), newPassenger(fd2)
	p.quiet, other.quiet = 20*time.Millisecond, 40*time.Millisecond
	if !l.board(&p.ride) || !l.board(&other.ride) {
		t.Fatal("not taken aboard")
	}
	if !p.acquire() {
		t.Fatal("taken")
	}
	other.left(t)
	if !p.release() {
		t.Fatal("dropped")
	}
	p.left(t)
	if p.expired.IsZero() {
		t.Error("left, but not for its silence")
	}
}

// What came in time counts, also when the loop could not look for it in time.
func TestLoopThatWasKeptServesFirst(t *testing.T) {
	l := newTestLoops(t)[0]
	_, fd, peer := socketPair(t)
	_, fd2, peer2 := socketPair(t)
	p, other := newPassenger(fd), newPassenger(fd2)
	p.quiet = 20 * time.Millisecond
	stuck, free := make(chan struct{}), make(chan struct{})
	other.on = func() next {
		close(stuck)
		<-free
		return nextLeave
	}
	if !l.board(&other.ride) {
		t.Fatal("not taken aboard")
	}
	io.WriteString(peer2, "12345678")
	<-stuck
	if !l.board(&p.ride) {
		t.Fatal("not taken aboard")
	}
	io.WriteString(peer, "12345678")
	<-time.After(2 * p.quiet)
	close(free)
	other.left(t)
	p.left(t)
	if p.got.Load() != 8 {
		t.Error("what came was not served")
	}
}

func TestLoopSurvivesPanics(t *testing.T) {
	var panics atomic.Int32
	all, err := openLoops(func(string, any) { panics.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	defer all.close()
	_, fd, peer := socketPair(t)
	p := newPassenger(fd)
	p.on = func() next { panic("no") }
	if !all[0].board(&p.ride) {
		t.Fatal("not taken aboard")
	}
	io.WriteString(peer, "12345678")
	p.left(t)
	if !p.broken || panics.Load() != 1 {
		t.Errorf("broken %t, panics %d", p.broken, panics.Load())
	}
}

func TestLoopTellsWhatItCannotHave(t *testing.T) {
	l := newTestLoops(t)[0]
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := newPassenger(f.Fd()) // nothing that epoll knows
	if l.board(&p.ride) || p.state.Load() != rideOff || l.rides[p.id] != nil {
		t.Error("taken aboard")
	}
}

// TestLoopUnderTraffic boards, ejects and ends many streams at once: each is
// woken exactly once a ride, and nothing is lost.
func TestLoopUnderTraffic(t *testing.T) {
	all := newTestLoops(t)
	var wg sync.WaitGroup
	for i := range 60 {
		_, fd, peer := socketPair(t)
		p := newPassenger(fd)
		wg.Add(2)
		go func() {
			defer wg.Done()
			for range 200 {
				io.WriteString(peer, "abcdefgh")
				if i%3 == 0 {
					p.eject()
				}
			}
			peer.Close()
		}()
		go func() {
			defer wg.Done()
			defer close(p.heard)
			for n := 0; p.got.Load() < 200*8; n++ {
				if !all[(i+n)%len(all)].board(&p.ride) {
					t.Error("not taken aboard")
					return
				}
				<-p.wake
			}
		}()
		go func() {
			for range p.heard {
			}
		}()
	}
	wg.Wait()
	for _, l := range all {
		if len(l.rides) != len(l.free) {
			t.Errorf("%d streams are still on a loop", len(l.rides)-len(l.free))
		}
	}
}

func TestLoopsChoose(t *testing.T) {
	now := ticks(time.Now())
	f := func(want int, shares ...int64) {
		t.Helper()
		all := make(loops, len(shares))
		for i, share := range shares {
			all[i] = &loop{}
			all[i].use.last.Store(share)
			all[i].use.settled.Store(now)
		}
		if got := all.choose(); got != all[want] {
			t.Errorf("shares %d: not the loop %d", shares, want)
		}
	}
	f(0, 0, 0)
	f(0, busy-1, 0)
	f(1, busy, busy-1)
	f(1, busy, 0, 0)
	f(2, 900, 800, 600)
	f(0, 900, 900)
}

func TestUsage(t *testing.T) {
	var u usage
	u.began = 1
	begin := int64(1)
	// Half of its time.
	for range 20 {
		u.work(begin, begin+int64(window)/20)
		begin += int64(window) / 10
	}
	if got := u.share(begin); got < 400 || got > 600 {
		t.Errorf("share %d, want about 500", got)
	}
	if got := u.share(begin + int64(time.Second)); got != 0 {
		t.Errorf("share %d after a second of rest", got)
	}
}

// TestBalance: streams are given away in the third window in a row in which the
// loop has time for nothing else, and in those behind it.
func TestBalance(t *testing.T) {
	l := &loop{rides: make([]*ride, 50), free: make([]uint32, 10)}
	l.others = loops{l, &loop{}}
	now := time.Now()
	l.use.began = ticks(now)
	for i, x := range []struct {
		share time.Duration // of the window, in a hundred
		shed  int
	}{{80, 0}, {90, 0}, {60, 0}, {90, 0}, {75, 0}, {99, 10}, {71, 10}, {20, 0}, {90, 0}} {
		end := now.Add(window)
		l.left.shed = 0
		l.balance(end.Add(-window*x.share/100), end)
		if l.left.shed != x.shed {
			t.Errorf("window %d: %d streams are given away, want %d", i, l.left.shed, x.shed)
		}
		now = end
	}
}

// A loop that is too busy gives streams to one that has time.
func TestLoopSheds(t *testing.T) {
	all := newTestLoops(t)
	if len(all) < 2 {
		t.Skip("one processor only")
	}
	l := all[0]
	_, fd, peer := socketPair(t)
	p := newPassenger(fd)
	p.on = func() next {
		// As after a window of nothing but work.
		l.left.shed = 1
		return nextWait
	}
	if !l.board(&p.ride) {
		t.Fatal("not taken aboard")
	}
	io.WriteString(peer, "12345678")
	p.left(t)
	if p.got.Load() != 8 || p.broken || !p.expired.IsZero() {
		t.Errorf("%d bytes, broken %t, expired %v", p.got.Load(), p.broken, p.expired)
	}
}
