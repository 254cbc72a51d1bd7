package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// acceptPause is how long nothing is accepted after the system has refused to.
const acceptPause = 10 * time.Millisecond

// clientListener hands out clientConns and knows which of them are open:
// fasthttp leaves those alone that have not sent a request yet. While there are
// as many as there may be, it accepts nothing: who comes waits in the kernel's
// queue, and who is there can have an upstream.
type clientListener struct {
	net.Listener
	stall time.Duration
	certs *certificates // nil: no TLS
	room  chan struct{} // holds one value for each connection, and is shared by all listeners
	spare func()        // closes what lies idle, see Server.closeIdle; nil: nothing does

	reached, apart atomic.Bool // what Probe found, see there

	once   sync.Once
	closed chan struct{}
	mu     sync.Mutex
	open   map[*clientConn]struct{}
}

func newClientListener(l net.Listener, stall time.Duration, certs *certificates, room chan struct{}) *clientListener {
	return &clientListener{Listener: l, stall: stall, certs: certs, room: room, closed: make(chan struct{}), open: map[*clientConn]struct{}{}}
}

// Accept is net.Listener's. It returns an error only when nothing more can be
// accepted ever: a process that is out of descriptors or memory goes on once it
// has some again.
func (l *clientListener) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		conn, err := l.Listener.Accept()
		if err == nil {
			return l.admit(conn), nil
		}
		if !passing(err) {
			<-l.room
			return nil, err
		}
		if l.spare != nil && outOfDescriptors(err) {
			l.spare()
		}
		time.Sleep(acceptPause)
	}
}

// passingErrors are those of accept(2) that say nothing of the listener: the
// process or the system is short of something, or one connection was lost or is
// not allowed. Linux passes on what the network has said of a new connection.
var passingErrors = []error{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
	syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EPERM, syscall.EPROTO, syscall.ENOPROTOOPT, syscall.ETIMEDOUT,
	syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.ENETUNREACH,
}

// passing tells whether accept(2) may succeed later.
func passing(err error) bool {
	return slices.ContainsFunc(passingErrors, func(e error) bool { return errors.Is(err, e) })
}

func (l *clientListener) admit(conn net.Conn) *clientConn {
	below := newRawIO(conn)
	conn = below
	if l.certs != nil {
		// The handshake is made by the first read, in the connection's own
		// goroutine and within the time for a request's head.
		conn = tls.Server(below, l.certs.top)
	}
	c := newClientConn(conn, below, l.stall)
	c.from = l
	if l.certs != nil {
		c.shaking = l.certs.handshakes.begin(below, time.Now())
	}
	l.mu.Lock()
	l.open[c] = struct{}{}
	l.mu.Unlock()
	return c
}

// full tells that there is no room for another connection.
func (l *clientListener) full() bool { return len(l.room) == cap(l.room) }

// forget gives the room of a connection that is closed to another.
func (l *clientListener) forget(c *clientConn) {
	l.mu.Lock()
	_, known := l.open[c]
	delete(l.open, c)
	l.mu.Unlock()
	if known {
		<-l.room
	}
}

// Close ends Accept.
func (l *clientListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// count returns how many connections are open.
func (l *clientListener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// active tells whether a request has begun on any of the connections, and is not
// over.
func (l *clientListener) active() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		if c.active.Load() {
			return true
		}
	}
	return false
}

// closeConns closes the connections that are still open.
func (l *clientListener) closeConns() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		// Not through TLS, which would wait to say so.
		c.below.Close()
	}
}
