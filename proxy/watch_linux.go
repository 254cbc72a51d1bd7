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
type watcher struct {
	epoll int
	stop  [2]int // pipe that ends the goroutine
	done  chan struct{}

	mu     sync.Mutex
	nextID uint64
	byID   map[uint64]*exchange
}

func newWatcher() (*watcher, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	w := &watcher{epoll: epoll, done: make(chan struct{}), byID: map[uint64]*exchange{}}
	if err = syscall.Pipe2(w.stop[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		syscall.Close(epoll)
		return nil, err
	}
	// Identity 0 is the pipe.
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN}
	if err = syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, w.stop[0], &ev); err != nil {
		w.closeFDs()
		return nil, err
	}
	go w.run()
	return w, nil
}

func (w *watcher) closeFDs() {
	syscall.Close(w.epoll)
	syscall.Close(w.stop[0])
	syscall.Close(w.stop[1])
}

// close ends the goroutine and waits for it.
func (w *watcher) close() {
	syscall.Write(w.stop[1], []byte{0})
	<-w.done
	w.closeFDs()
}

// watch cancels e when the peer of c leaves. It returns an identity for
// unwatch, 0 when c cannot be watched.
func (w *watcher) watch(c *clientConn, e *exchange) (id uint64) {
	if c.raw == nil {
		return 0
	}
	w.mu.Lock()
	w.nextID++
	id = w.nextID
	w.byID[id] = e
	w.mu.Unlock()
	if !c.watched.add(c.raw, w.epoll, epollRDHUP|epollOneshot, id) {
		w.forget(id)
		return 0
	}
	return id
}

// unwatch ends what watch began. After it returns e is not canceled by w.
func (w *watcher) unwatch(c *clientConn, id uint64) {
	if id == 0 {
		return
	}
	c.watched.del()
	w.forget(id)
}

func (w *watcher) forget(id uint64) {
	w.mu.Lock()
	delete(w.byID, id)
	w.mu.Unlock()
}

func (w *watcher) run() {
	defer close(w.done)
	var events [64]syscall.EpollEvent
	for {
		n, err := syscall.EpollWait(w.epoll, events[:], -1)
		if err != nil && err != syscall.EINTR {
			return
		}
		for i := range max(n, 0) {
			id := epollID(&events[i])
			if id == 0 {
				return
			}
			// The lock is held through cancel, so that after forget the
			// exchange is out of reach.
			w.mu.Lock()
			if e := w.byID[id]; e != nil {
				e.cancel(causeGone)
			}
			w.mu.Unlock()
		}
	}
}
