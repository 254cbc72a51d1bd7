package proxy

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// loop waits for the upstreams of many streams in one goroutine and relays
// what they bring there and then. A stream in the plain middle of its answer
// needs no goroutine of its own to wake up, and two or more events that come
// together cost one wake-up.
//
// An idle loop is a parked goroutine, so that the scheduler stays in charge.
//
// What a stream meets outside of that plain middle is its own goroutine's
// business: it sleeps while the loop has the stream, and the loop wakes it
// with the first thing that is not an event to be passed on.
type loop struct {
	panicked func(where string, p any)
	*epollFile
	done chan struct{}

	mu      sync.Mutex
	rides   []*ride   // by the identity that epoll gives back; nil is free
	free    []uint32  // identities
	sweepAt time.Time // when the first silence may have become too long
	sweeps  atomic.Int64

	others loops // itself among them
	use    usage

	// Of the loop's goroutine.
	events  [128]syscall.EpollEvent
	ready   []readyRide
	expired []*ride
	left    leftover
	mate    mate
}

// leftover is what is left of serving some streams.
type leftover struct {
	again  []*ride // had more than they could take at once
	shed   int     // streams to be given to other loops
	warmth byte    // so that no compiler leaves out what is read for warmth
}

// readyRide is a stream that has something to read. ended tells that it may be
// the end of the connection.
type readyRide struct {
	*ride
	ended bool
}

func newLoop(panicked func(where string, p any)) (*loop, error) {
	f, err := openEpoll()
	if err != nil {
		return nil, err
	}
	l := &loop{panicked: panicked, epollFile: f, done: make(chan struct{}), mate: newMate()}
	go l.run()
	go l.assist()
	return l, nil
}

// close ends the loop. No stream is on it any more.
func (l *loop) close() {
	l.file.Close()
	<-l.done
	close(l.mate.work)
}

// run is the loop's goroutine.
func (l *loop) run() {
	defer close(l.done)
	turn, look := l.turn, func(fd uintptr) { l.turn(fd) }
	for {
		err := l.raw.Read(turn)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		// Whoever was kept from running must not take for silence what waits.
		l.raw.Control(look)
		if now := time.Now(); l.due(now) {
			l.sweep(now)
		}
	}
}

// turn serves what is ready until nothing is, then lets the poller wait.
func (l *loop) turn(fd uintptr) bool {
	for {
		n, ok := readyNow(fd, l.events[:])
		if !ok || n == 0 && len(l.left.again) == 0 {
			return false
		}
		now := time.Now()
		l.serveAll(l.collect(n), now)
		clear(l.ready)
		if l.due(now) {
			l.sweep(now)
		}
		l.balance(now, time.Now())
		if n < len(l.events) && len(l.left.again) == 0 {
			// Nothing was left behind, and what has come since is an edge that
			// the poller knows of.
			return false
		}
	}
}

// collect makes those streams the loop's that have something to read: those of
// the first n events, and those that had left something over.
func (l *loop) collect(n int) []readyRide {
	ready := l.ready[:0]
	for _, r := range l.left.again {
		// Its edge has passed, whatever it said.
		ready = append(ready, readyRide{r, true})
	}
	clear(l.left.again)
	l.left.again = l.left.again[:0]
	l.mu.Lock()
	for i := range n {
		ev := &l.events[i]
		if r := l.rides[uint32(ev.Fd)]; r != nil {
			ready = append(ready, readyRide{r, ev.Events&^syscall.EPOLLIN != 0})
		}
	}
	l.mu.Unlock()
	l.ready = ready
	// Lets the memory answer for many at once, see serveSome.
	for _, r := range ready {
		l.left.warmth += byte(r.state.Load())
	}
	got := ready[:0]
	for _, r := range ready {
		// An event may be about a stream that has left, or has left and come
		// back: it then finds nothing to read. While another loop finds that out
		// the stream is taken, and its edge must not be lost.
		if r.acquire() {
			got = append(got, r)
		} else if r.state.Load() != rideOff {
			l.left.again = append(l.left.again, r.ride)
		}
	}
	return got
}

// serveSome serves streams that were acquired one after another.
func (l *loop) serveSome(some []readyRide, now time.Time, left *leftover) {
	// Among a thousand streams, none finds anything of its own in the cache.
	// Reading all of it first lets the memory answer for many streams at once,
	// where serving them would wait for one line after the other.
	for _, r := range some {
		left.warmth += r.rider.warm()
	}
	for _, r := range some {
		l.serve(r, now, left)
	}
}

// due tells whether it is time to sweep.
func (l *loop) due(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.sweepAt.IsZero() && !now.Before(l.sweepAt)
}

// balance notes how long a turn took, and has some streams go to another loop
// when this one goes on being too busy and another has time.
func (l *loop) balance(begin, end time.Time) {
	if !l.use.work(ticks(begin), ticks(end)) {
		return
	}
	l.left.shed = 0
	if l.use.crammed < patience || l.others.choose().use.share(ticks(end)) >= busy {
		return
	}
	l.mu.Lock()
	l.left.shed = (len(l.rides) - len(l.free)) / 4
	l.mu.Unlock()
}

// serve lets a stream that was acquired take what there is.
func (l *loop) serve(r readyRide, now time.Time, left *leftover) {
	todo := nextLeave
	defer func() {
		if p := recover(); p != nil {
			l.panicked("loop", p)
			r.broken = true
		}
		if todo == nextLeave || !r.release() {
			// An event that came late may be about a stream that has since
			// boarded another loop.
			r.loop.drop(r.ride)
		} else if todo == nextAgain {
			left.again = append(left.again, r.ride)
		}
	}()
	r.last = now
	todo = r.rider.ready(r.ended)
	if left.shed > 0 && todo == nextWait {
		// Its goroutine comes back, to whichever loop has time.
		left.shed--
		todo = nextLeave
	}
}

// leastSweep is the least time between two sweeps.
const leastSweep = 5 * time.Millisecond

// sweep lets those go that have been silent for too long. It looks at all of
// them, but seldom: streams that are alive move their time on, and the next
// sweep is due when the first of them could have stopped doing so.
func (l *loop) sweep(now time.Time) {
	next := time.Time{}
	l.sweeps.Add(1)
	l.mu.Lock()
	for _, r := range l.rides {
		if r == nil {
			continue
		}
		if !r.acquire() {
			// Another loop has it for a moment, see collect.
			next = now
			continue
		}
		at := r.rider.until(r.last)
		if !at.After(now) {
			r.expired = at
			l.expired = append(l.expired, r)
			continue
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
		if !r.release() {
			l.expired = append(l.expired, r)
		}
	}
	if soon := now.Add(leastSweep); !next.IsZero() && next.Before(soon) {
		next = soon
	}
	l.sweepAt = next
	l.file.SetReadDeadline(next)
	l.mu.Unlock()
	for i, r := range l.expired {
		l.expired[i] = nil
		l.drop(r)
	}
	l.expired = l.expired[:0]
}

// board gives a stream to the loop, whose goroutine then waits for r.wake;
// until that comes nothing of the stream is its own, and the descriptor must
// stay open. False: the loop cannot have it.
func (l *loop) board(r *ride) bool {
	r.loop, r.last = l, time.Now()
	due := r.rider.until(r.last)
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		r.id, l.free = l.free[n-1], l.free[:n-1]
	} else {
		r.id = uint32(len(l.rides))
		l.rides = append(l.rides, nil)
	}
	l.rides[r.id] = r
	// Before the descriptor is added: what is ready is then served at once.
	r.state.Store(rideIdle)
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN | epollRDHUP | epollET, Fd: int32(r.id)}
	if syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, int(r.poller.fd), &ev) != nil && r.acquire() {
		// Else whoever has it takes it off.
		r.state.Store(rideOff)
		l.forget(r)
		return false
	}
	if l.sweepAt.IsZero() || due.Before(l.sweepAt) {
		l.sweepAt = due
		l.file.SetReadDeadline(due)
	}
	return true
}

// forget frees the identity of r. The caller holds mu.
func (l *loop) forget(r *ride) {
	l.rides[r.id] = nil
	l.free = append(l.free, r.id)
}

// drop takes a stream that was acquired off the loop and wakes its goroutine.
func (l *loop) drop(r *ride) {
	l.mu.Lock()
	syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_DEL, int(r.poller.fd), nil)
	l.forget(r)
	l.mu.Unlock()
	r.state.Store(rideOff)
	r.wake <- struct{}{}
}
