package proxy

import (
	"sync"
	"syscall"
)

// watcher notices clients that leave: one epoll descriptor for all of them
// and one goroutine, which sleeps while nobody leaves. fasthttp itself gives
// no signal before a write fails, and a stream that is silent writes nothing.
//
// A client that closes only its sending side counts as gone, as with
// net/http: no client of the API does that and stays.
//
// A connection that was watched once stays with the watcher until it is closed,
// since most carry one request after another; between them nobody is told.
type watcher struct {
	*epollFile
	done chan struct{}

	mu     sync.Mutex
	nextID uint64
	byID   map[uint64]*clientConn

	events [64]syscall.EpollEvent // of the goroutine
}

// watch is what a watcher knows of a connection. It is under watcher.mu.
type watch struct {
	id   uint64    // 0: the watcher does not know the connection
	left bool      // its client has left
	told *exchange // is canceled then, nil while nobody asks
}

func newWatcher() (*watcher, error) {
	f, err := openEpoll()
	if err != nil {
		return nil, err
	}
	w := &watcher{epollFile: f, done: make(chan struct{}), byID: map[uint64]*clientConn{}}
	go w.run()
	return w, nil
}

// close ends the goroutine and waits for it.
func (w *watcher) close() {
	w.file.Close()
	<-w.done
}

// watch cancels e when the peer of c leaves, or has left, until unwatch. A
// connection that cannot be watched is not.
func (w *watcher) watch(c *clientConn, e *exchange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.raw == nil {
		return
	}
	c.watch.told = e
	switch {
	case c.watch.left:
		e.cancel(causeGone)
	case c.watch.id == 0:
		w.add(c)
	}
}

// add begins to watch c. The caller holds mu.
func (w *watcher) add(c *clientConn) {
	w.nextID++
	id := w.nextID
	c.watch.id, w.byID[id] = id, c
	c.watching.Store(w)
	if !addToEpoll(c.raw, w.epoll, epollRDHUP|epollOneshot, id) {
		c.watch.id = 0
		delete(w.byID, id)
	}
}

// unwatch ends what watch began. After it returns no exchange is canceled
// because of c.
func (w *watcher) unwatch(c *clientConn) {
	w.mu.Lock()
	c.watch.told = nil
	w.mu.Unlock()
}

// forget lets go of a connection that is being closed.
func (w *watcher) forget(c *clientConn) {
	w.mu.Lock()
	delete(w.byID, c.watch.id)
	w.mu.Unlock()
}

func (w *watcher) run() {
	defer close(w.done)
	// It returns when the descriptor is closed.
	w.raw.Read(w.turn)
}

// turn tells of those that have left, then lets the poller wait.
func (w *watcher) turn(fd uintptr) bool {
	for {
		n, ok := readyNow(fd, w.events[:])
		if !ok || n == 0 {
			return false
		}
		w.mu.Lock()
		for i := range n {
			c := w.byID[epollID(&w.events[i])]
			if c == nil {
				continue
			}
			c.watch.left = true
			// The lock is held through cancel, so that after unwatch the
			// exchange is out of reach.
			if e := c.watch.told; e != nil {
				e.cancel(causeGone)
			}
		}
		w.mu.Unlock()
	}
}
