package upstream

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Handler returns the script that answers a request. The body has been read.
// It is called on the goroutine of the connection, so it may block for as long
// as the answer shall wait, but not beyond Upstream.Close.
type Handler func(*Request) Script

// Always is a Handler that answers every request with s.
func Always(s Script) Handler {
	return func(*Request) Script { return s }
}

// InTurn is a Handler that answers the n-th request since New or the last Reset
// with the n-th script, and all further ones with the last.
func InTurn(scripts ...Script) Handler {
	return func(r *Request) Script { return scripts[min(r.Seq, len(scripts)-1)] }
}

// Upstream is a scripted server on a loopback port of its own.
type Upstream struct {
	listener *net.TCPListener
	handler  atomic.Pointer[Handler]
	streamer atomic.Pointer[Streamer]
	record   atomic.Bool
	closed   chan struct{} // closed by Close, ends every waiting step
	once     sync.Once
	wg       sync.WaitGroup

	mu        sync.Mutex
	wake      chan struct{} // closed and replaced when anything below changes
	conns     map[*conn]struct{}
	accepted  int
	requests  []*Request
	count     int
	live      int
	malformed int
}

// New listens on 127.0.0.1:0 and serves each request with the script that h
// returns. The caller owns the Upstream and must Close it.
func New(h Handler) (*Upstream, error) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	u := &Upstream{
		listener: listener,
		closed:   make(chan struct{}),
		wake:     make(chan struct{}),
		conns:    make(map[*conn]struct{}),
	}
	u.SetHandler(h)
	u.SetRecord(true)
	u.wg.Go(u.accept)
	return u, nil
}

// Addr is the address listened on, as host:port.
func (u *Upstream) Addr() string { return u.listener.Addr().String() }

// URL is the base URL of the server, without a slash at its end.
func (u *Upstream) URL() string { return "http://" + u.Addr() }

// Close stops listening, closes every connection, ends every script that waits,
// and returns when all goroutines have ended. Further calls only wait.
func (u *Upstream) Close() {
	u.once.Do(func() {
		close(u.closed)
		u.listener.Close()
		u.CloseConns()
	})
	u.wg.Wait()
}

// CloseConns closes every connection open now, whatever it is doing; the
// listener stays. Requests being answered are cut.
func (u *Upstream) CloseConns() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for c := range u.conns {
		c.tcp.Close()
	}
}

// SetHandler replaces the handler, for requests whose body is read from now on.
func (u *Upstream) SetHandler(h Handler) { u.handler.Store(&h) }

// SetStreamer makes s see every request before its body is read; nil ends that.
func (u *Upstream) SetStreamer(s Streamer) { u.streamer.Store(&s) }

// SetRecord switches the recording of requests on (the default) or off. Off,
// Requests keeps what it had, and Count goes on counting.
func (u *Upstream) SetRecord(on bool) { u.record.Store(on) }

// Requests returns the requests recorded so far, in order of arrival. The slice
// is the caller's, the requests are shared.
func (u *Upstream) Requests() []*Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]*Request(nil), u.requests...)
}

// Count is the number of requests that arrived since New or the last Reset.
func (u *Upstream) Count() int { return u.read(&u.count) }

// Live is the number of requests that have arrived and whose answer is not over.
func (u *Upstream) Live() int { return u.read(&u.live) }

// Malformed is the number of request heads, since New or the last Reset, that
// were no HTTP/1 or broke off; they are answered 400 and are not in Requests.
func (u *Upstream) Malformed() int { return u.read(&u.malformed) }

// OpenConns is the number of connections open now, idle ones too.
func (u *Upstream) OpenConns() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.conns)
}

// Reset forgets the recorded requests and counts from zero again, so that the
// next request has Seq 0. Answers that run go on.
func (u *Upstream) Reset() {
	u.change(func() { u.requests, u.count, u.malformed = nil, 0, 0 })
}

// Await returns true as soon as ok does, and false when ok still does not after
// d. It asks again whenever a connection opens or closes, a request arrives, or
// an answer ends; ok may call the methods of u.
func (u *Upstream) Await(d time.Duration, ok func() bool) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		u.mu.Lock()
		wake := u.wake // taken before asking, so that no change is missed
		u.mu.Unlock()
		if ok() {
			return true
		}
		select {
		case <-wake:
		case <-timer.C:
			return ok()
		}
	}
}

func (u *Upstream) read(n *int) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return *n
}

// change runs f under the lock and wakes those who await.
func (u *Upstream) change(f func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f()
	close(u.wake)
	u.wake = make(chan struct{})
}

// arrive numbers and records a request; depart is its end.
func (u *Upstream) arrive(r *Request) {
	u.change(func() {
		r.Seq = u.count
		u.count++
		u.live++
		if u.record.Load() {
			u.requests = append(u.requests, r)
		}
	})
}

func (u *Upstream) depart(r *Request) {
	close(r.Done)
	u.change(func() { u.live-- })
}

func (u *Upstream) accept() {
	for {
		tcp, err := u.listener.AcceptTCP()
		switch {
		case err == nil:
			u.adopt(tcp)
		case errors.Is(err, net.ErrClosed):
			return
		default: // out of descriptors: it may pass
			select {
			case <-time.After(5 * time.Millisecond):
			case <-u.closed:
				return
			}
		}
	}
}

// adopt serves a new connection on a goroutine of its own. A connection that
// was accepted while Close went over the others is closed here.
func (u *Upstream) adopt(tcp *net.TCPConn) {
	c := newConn(u, tcp)
	u.change(func() {
		c.number = u.accepted
		u.accepted++
		u.conns[c] = struct{}{}
		select {
		case <-u.closed:
			tcp.Close()
		default:
		}
	})
	u.wg.Go(func() {
		defer u.change(func() { delete(u.conns, c) })
		c.serve()
	})
}
