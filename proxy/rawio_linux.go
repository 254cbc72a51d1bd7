package proxy

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// rawIO is a connection whose reads and writes do not tell the scheduler that
// they enter the kernel. Every other call does, and on a process that is
// mostly idle each such call after a pause wakes the runtime's monitor thread,
// which then spins for a while: a third of the cost of a relayed event. It is
// safe because the descriptor does not block: a call that cannot go on returns
// at once, and the wait for more is the poller's, with deadlines as ever.
//
// One goroutine may read and one may write at a time.
type rawIO struct {
	net.Conn
	raw syscall.RawConn

	readBuf, writeBuf []byte
	space             space // where to read to, in place of readBuf
	readN, writeN     int
	writeLeast        int // after which a write need not wait
	readErr, writeErr syscall.Errno
	readOnce          func(fd uintptr) bool
	writeOnce         func(fd uintptr) bool

	asked []byte // what the next read writes first
	full  bool   // the peer did not take all of it
	news  news   // what is waited for, when that is not a read

	poller *poller // not nil: what reads in place of read
}

// newRawIO wraps c, or returns it as it is when it has no descriptor.
func newRawIO(c net.Conn) net.Conn {
	raw := rawConn(c)
	if raw == nil {
		return c
	}
	r := &rawIO{Conn: c, raw: raw}
	// Made once: a closure for each call would be an allocation for each.
	r.readOnce, r.writeOnce = r.tryRead, r.tryWrite
	return r
}

// unwrapped returns what newRawIO has wrapped.
func unwrapped(c net.Conn) net.Conn {
	if r, ok := c.(*rawIO); ok {
		return r.Conn
	}
	return c
}

// SyscallConn gives access to the descriptor.
func (r *rawIO) SyscallConn() (syscall.RawConn, error) { return r.raw, nil }

// Read is net.Conn's.
func (r *rawIO) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.readBuf = p
	return r.read()
}

// readSpace reads into memory that is given back while there is nothing to
// read.
func (r *rawIO) readSpace(sp space) (int, error) {
	r.space = sp
	return r.read()
}

func (r *rawIO) read() (int, error) {
	if r.poller != nil {
		b := r.readBuf
		r.readBuf = nil
		return r.poller.read(b)
	}
	err := r.wait()
	r.readBuf, r.space = nil, nil
	switch {
	case err != nil:
		return 0, err
	case r.readErr != 0:
		return 0, r.fault("read", r.readErr)
	case r.readN == 0:
		return 0, io.EOF
	}
	return r.readN, nil
}

// wait asks, and reads once there is something to read.
func (r *rawIO) wait() error {
	err := r.raw.Read(r.readOnce)
	if r.full {
		if err = r.askRest(); err == nil {
			err = r.raw.Read(r.readOnce)
		}
	}
	return err
}

// news is what a wait without a read has come to.
type news uint8

const (
	unwanted news = iota // it is a read
	wanted
	awaited // when the poller calls again, there is some
)

// await waits until there is something to read, or a read would fail. It needs no
// memory to read to. As a read does, it writes first what is to be asked.
func (r *rawIO) await() error {
	r.news, r.readErr = wanted, 0
	err := r.wait()
	r.news = unwanted
	if err == nil && r.readErr != 0 {
		err = r.fault("read", r.readErr)
	}
	return err
}

// tryNews is tryRead for await.
func (r *rawIO) tryNews(fd uintptr) bool {
	if r.news == wanted && silent(fd) {
		r.news = awaited
		return false
	}
	return true
}

// ask has the next Read write b before it reads. An answer cannot be there yet
// then, so the read is not tried before there is news of it: that saves one
// call of the kernel for each request. b must not change until the read
// returns. A read whose deadline has passed may leave it to the one after it.
func (r *rawIO) ask(b []byte) { r.asked = b }

// tryAsk writes what is to be written first. It is false when the read is to
// wait for an answer. The runtime's poller forgets what it knew of the
// descriptor before it calls this, so that no news can be missed.
func (r *rawIO) tryAsk(fd uintptr) bool {
	n, errno := writeSome(fd, r.asked)
	if errno == syscall.EAGAIN {
		r.asked, r.full = r.asked[n:], true
		return true
	}
	r.asked = nil
	r.readN, r.readErr = 0, errno
	if r.news == wanted {
		r.news = awaited
	}
	return errno != 0
}

// askRest writes the rest of what the peer did not take at once.
func (r *rawIO) askRest() error {
	b := r.asked
	r.asked, r.full = nil, false
	_, err := r.Write(b)
	return err
}

// tryRead reads once; false waits until there is something to read.
func (r *rawIO) tryRead(fd uintptr) bool {
	switch {
	case r.asked != nil:
		return r.tryAsk(fd)
	case r.news != unwanted:
		return r.tryNews(fd)
	}
	if r.space != nil {
		r.readBuf = r.space.lend()
	}
	for {
		n, errno := receive(fd, r.readBuf)
		switch errno {
		case syscall.EINTR:
		case syscall.EAGAIN:
			if r.space != nil {
				r.readBuf = nil
				r.space.giveBack()
			}
			return false
		default:
			r.readN, r.readErr = n, errno
			return true
		}
	}
}

// hold calls f while the descriptor cannot be closed.
func (r *rawIO) hold(f func(fd uintptr)) error { return r.raw.Control(f) }

// pollBy makes reads those of p, which do not wait; nil ends that.
func (r *rawIO) pollBy(p *poller) { r.poller = p }

// Write is net.Conn's.
func (r *rawIO) Write(p []byte) (int, error) { return r.write(p, len(p)) }

// writePiece writes what the peer takes of p at once, and waits when that is less
// than a piece.
func (r *rawIO) writePiece(p []byte) (int, error) { return r.write(p, writePiece) }

func (r *rawIO) write(p []byte, least int) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.writeBuf, r.writeN, r.writeErr, r.writeLeast = p, 0, 0, least
	err := r.raw.Write(r.writeOnce)
	r.writeBuf = nil
	if err == nil && r.writeErr != 0 {
		err = r.fault("write", r.writeErr)
	}
	return r.writeN, err
}

// tryWrite writes what the peer takes; false waits until it takes more, for which
// there must be a need.
func (r *rawIO) tryWrite(fd uintptr) bool {
	n, errno := writeSome(fd, r.writeBuf[r.writeN:])
	r.writeN += n
	if errno == syscall.EAGAIN {
		return r.writeN >= r.writeLeast
	}
	r.writeErr = errno
	return true
}

// silent tells that the peer of fd has neither sent anything nor closed.
func silent(fd uintptr) bool {
	var b byte
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return errno == syscall.EAGAIN
}

// fault is the error that package net would return.
func (r *rawIO) fault(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: r.LocalAddr().Network(), Source: r.LocalAddr(), Addr: r.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}
