package upstream

import (
	"bufio"
	"errors"
	"net"
	"os"
	"time"
)

// watch reads ahead on the connection while an answer runs and calls gone when
// the peer closes or resets it. What it reads stays in c.br for the next
// request; when that many bytes wait that c.br is full, it sees no further.
//
// br belongs to the watcher until stop returns. stop does not close the
// connection and does not call gone.
func (c *conn) watch(gone func()) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ; n = c.br.Buffered() + 1 {
			if _, err := c.br.Peek(n); err != nil {
				if byPeer(err) {
					gone()
				}
				return
			}
		}
	}()
	return func() {
		c.tcp.SetReadDeadline(time.Unix(1, 0)) // wakes the read
		<-done
		c.tcp.SetReadDeadline(time.Time{})
	}
}

// byPeer tells an end made by the peer from one made here.
func byPeer(err error) bool {
	return !errors.Is(err, os.ErrDeadlineExceeded) &&
		!errors.Is(err, net.ErrClosed) &&
		!errors.Is(err, bufio.ErrBufferFull)
}
