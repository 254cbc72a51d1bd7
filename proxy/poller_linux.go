package proxy

import (
	"io"
	"syscall"
	"unsafe"
)

// poller reads a descriptor without waiting, a few reads at a time. The
// descriptor is held, see rawIO.hold, and reports edges to an epoll: what was
// not there when a read was made is announced.
type poller struct {
	fd    uintptr
	reads int  // how many more may be made this time
	drain bool // read until there is nothing: the end of a connection is no edge of its own
	full  bool // the last read was filled
}

// begin allows so many reads. A read that is not filled is the last one,
// unless drain asks to go on until there is nothing.
func (p *poller) begin(reads int, drain bool) { p.reads, p.drain, p.full = reads, drain, false }

// more tells whether there may be more than could be read this time.
func (p *poller) more() bool { return p.full || p.drain }

// read reads once, or returns errAgain. Every other error is the connection's
// end.
func (p *poller) read(b []byte) (int, error) {
	for p.reads > 0 {
		n, errno := receive(p.fd, b)
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN:
			p.begin(0, false)
			return 0, errAgain
		case errno != 0:
			return 0, errno
		case n == 0:
			return 0, io.EOF
		}
		p.reads--
		if p.full = n == len(b); !p.full && !p.drain {
			p.reads = 0
		}
		return n, nil
	}
	return 0, errAgain
}

// receive reads from the socket fd once. The calls for sockets do without the
// way of files through the kernel: a fiftieth of the cost of a short request.
func receive(fd uintptr, b []byte) (n int, errno syscall.Errno) {
	r, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
	return int(r), errno
}

// writeNow writes to fd, which is held, what the peer takes at once, and
// returns how much that was. An error shows in the next write.
func writeNow(fd uintptr, b []byte) int {
	n, _ := writeSome(fd, b)
	return n
}

// writeSome writes b, which is not empty, as far as that goes without waiting.
// With less than all of it comes the reason, EAGAIN when the peer takes no more
// for now.
func writeSome(fd uintptr, b []byte) (done int, errno syscall.Errno) {
	for done < len(b) {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&b[done])), uintptr(len(b)-done), syscall.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			done += int(n)
		case syscall.EINTR:
		default:
			return done, errno
		}
	}
	return done, 0
}
