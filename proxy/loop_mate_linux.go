package proxy

import "time"

// crowd is how many streams that are ready at once a loop shares with its mate.
// To wake it takes about as long as to serve one of them, and the last of n waits
// for n-1 others.
const crowd = 16

// mate is a goroutine that serves the second half of a crowd while the loop
// serves the first: streams that were silent together, because the processor was
// somebody else's, then wait half as long. Two loops that share all streams would
// do the same, and wake up twice as often for as much.
type mate struct {
	work chan []readyRide // acquired; holds one
	now  time.Time        // of the work
	done chan struct{}    // holds one
	left leftover
}

func newMate() mate {
	return mate{work: make(chan []readyRide, 1), done: make(chan struct{}, 1)}
}

// assist is the mate's goroutine.
func (l *loop) assist() {
	m := &l.mate
	for some := range m.work {
		l.serveSome(some, m.now, &m.left)
		m.done <- struct{}{}
	}
}

// serveAll serves what is ready, with the mate when that is worth it. The mate
// sheds no streams.
func (l *loop) serveAll(ready []readyRide, now time.Time) {
	if len(ready) < crowd || !l.others.idle(l, ticks(now)) {
		l.serveSome(ready, now, &l.left)
		return
	}
	m, half := &l.mate, len(ready)/2
	m.now = now
	m.work <- ready[half:]
	l.serveSome(ready[:half], now, &l.left)
	<-m.done
	l.left.again = append(l.left.again, m.left.again...)
	clear(m.left.again)
	m.left.again = m.left.again[:0]
}
