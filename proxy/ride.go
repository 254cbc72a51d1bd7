package proxy

import (
	"sync/atomic"
	"time"
)

// rider is a stream that a loop can carry: it does what its goroutine would
// do, as far as that goes without waiting.
type rider interface {
	// ready takes what the upstream has sent and passes it on. ended tells that
	// the upstream has closed its side.
	ready(ended bool) next
	// warm reads the memory that ready will need, and returns something made
	// of it, so that no compiler leaves it out.
	warm() byte
	// until returns when silence since last becomes too long.
	until(last time.Time) time.Time
}

// next says what follows a call of ready.
type next uint8

const (
	nextWait  next = iota // for more
	nextAgain             // there was more than one call takes
	nextLeave             // the stream's own goroutine must go on
)

// The states of a ride. Whoever moves it out of rideIdle owns the stream.
const (
	rideOff     int32 = iota // the stream's goroutine owns it
	rideIdle                 // it is on the loop, and nobody's
	rideBusy                 // the loop's, or whoever is taking it off
	rideEjected              // the loop's, which is to let it go
)

// ride is a stream's place on a loop.
type ride struct {
	rider  rider
	poller poller        // of what is waited for
	wake   chan struct{} // holds one value when the ride is over

	loop  *loop
	id    uint32
	state atomic.Int32

	last    time.Time // when the upstream had something to say
	expired time.Time // not zero: the ride ended because nothing came until then
	broken  bool      // it ended in a panic
}

// acquire makes an idle stream the caller's.
func (r *ride) acquire() bool { return r.state.CompareAndSwap(rideIdle, rideBusy) }

// release ends acquire. False: the stream is to be dropped.
func (r *ride) release() bool { return r.state.CompareAndSwap(rideBusy, rideIdle) }

// eject ends the ride, now or as soon as the loop has done with the stream.
// It may be called from any goroutine, and does nothing when there is no ride.
func (r *ride) eject() {
	for {
		switch r.state.Load() {
		case rideIdle:
			if r.acquire() {
				r.loop.drop(r)
				return
			}
		case rideBusy:
			if r.state.CompareAndSwap(rideBusy, rideEjected) {
				return
			}
		default:
			return
		}
	}
}
