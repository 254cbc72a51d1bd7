package proxy

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// The flags of epoll_ctl(2) that package syscall lacks or has with a type that
// does not fit.
const (
	epollRDHUP   = 0x2000
	epollOneshot = 1 << 30
	epollET      = 1 << 31
)

// epollFile is an epoll descriptor that lies itself in the runtime's poller:
// who waits for it is a parked goroutine, and no thread is blocked in the kernel.
type epollFile struct {
	epoll int
	file  *os.File // owns epoll
	raw   syscall.RawConn
}

func openEpoll() (*epollFile, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	// Without this package os would not give it to the poller.
	if err = syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	f := &epollFile{epoll: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if f.raw, err = f.file.SyscallConn(); err == nil {
		// Only descriptors in the poller have deadlines.
		err = f.file.SetReadDeadline(time.Time{})
	}
	if err != nil {
		f.file.Close()
		return nil, err
	}
	return f, nil
}

// readyNow returns how many events there are of an epoll descriptor, without
// waiting, the first of them in events. ok is false on an error.
func readyNow(epoll uintptr, events []syscall.EpollEvent) (n int, ok bool) {
	for {
		got, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, epoll, uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		if errno != syscall.EINTR {
			return int(got), errno == 0
		}
	}
}

// addToEpoll has events of a connection's descriptor reported with id, until it
// is closed.
func addToEpoll(conn syscall.RawConn, epoll int, events uint32, id uint64) bool {
	var err error
	event := syscall.EpollEvent{Events: events, Fd: int32(id), Pad: int32(id >> 32)}
	held := conn.Control(func(fd uintptr) {
		err = syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, int(fd), &event)
	})
	return held == nil && err == nil
}

// epollID is the identity that an event was added with.
func epollID(ev *syscall.EpollEvent) uint64 {
	return uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
}
