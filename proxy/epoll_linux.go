package proxy

import "syscall"

// The flags of epoll_ctl(2) that package syscall lacks or has with a type that
// does not fit.
const (
	epollRDHUP   = 0x2000
	epollOneshot = 1 << 30
	epollET      = 1 << 31
)

// epollEntry puts a connection's descriptor into an epoll and takes it out
// again. Its functions are made once for each connection, since they are
// called for each request. It is used by one goroutine at a time.
type epollEntry struct {
	raw   syscall.RawConn // the connection
	epoll int
	event syscall.EpollEvent
	err   error
	addTo func(fd uintptr)
	delOf func(fd uintptr)
}

// add puts the descriptor of conn into epoll: events are then reported with id.
func (en *epollEntry) add(conn syscall.RawConn, epoll int, events uint32, id uint64) bool {
	if en.addTo == nil {
		en.addTo, en.delOf = en.addFD, en.delFD
	}
	en.raw, en.epoll = conn, epoll
	en.event = syscall.EpollEvent{Events: events, Fd: int32(id), Pad: int32(id >> 32)}
	return conn.Control(en.addTo) == nil && en.err == nil
}

// del undoes add.
func (en *epollEntry) del() { en.raw.Control(en.delOf) }

func (en *epollEntry) addFD(fd uintptr) {
	en.err = syscall.EpollCtl(en.epoll, syscall.EPOLL_CTL_ADD, int(fd), &en.event)
}

func (en *epollEntry) delFD(fd uintptr) {
	syscall.EpollCtl(en.epoll, syscall.EPOLL_CTL_DEL, int(fd), nil)
}

// epollID is the identity that an event was added with.
func epollID(ev *syscall.EpollEvent) uint64 {
	return uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
}
