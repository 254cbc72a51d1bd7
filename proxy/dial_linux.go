package proxy

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// dialAddress connects to an address that needs no resolver and has no
// alternative. It does what net.Dialer does, but for its ten calls of the kernel
// that tell the scheduler of themselves: each of them wakes the runtime's monitor
// thread on a process that is mostly idle, see rawIO, and together they cost more
// than the connection.
//
// The connection is an os.File, since package net takes no descriptor without
// duplicating it. Its deadlines and its closing are those of the same poller.
func dialAddress(addr netip.AddrPort, until time.Time) (net.Conn, error) {
	fail := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
	}
	to, size := sockaddr(addr)
	fd, _, errno := syscall.RawSyscall(syscall.SYS_SOCKET, uintptr(to.Family), syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return nil, fail(os.NewSyscallError("socket", errno))
	}
	setUpstreamOptions(fd)
	try := func(fd uintptr) bool {
		_, _, errno = syscall.RawSyscall(syscall.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&to)), size)
		return errno != syscall.EINPROGRESS && errno != syscall.EALREADY && errno != syscall.EINTR
	}
	done := try(fd)
	c := &fileConn{File: os.NewFile(fd, "tcp"), remote: addr}
	raw, err := c.SyscallConn()
	if err == nil && !done {
		c.SetWriteDeadline(until)
		// Asked again, connect tells what has become of it.
		err = raw.Write(try)
		c.SetWriteDeadline(time.Time{})
	}
	if err == nil && (errno == 0 || errno == syscall.EISCONN) && c.toItself() {
		errno = syscall.ECONNREFUSED
	}
	if err == nil && errno != 0 && errno != syscall.EISCONN {
		err = os.NewSyscallError("connect", errno)
	}
	if err != nil {
		c.Close()
		return nil, fail(err)
	}
	return c, nil
}

// setUpstreamOptions makes a socket what net.Dialer would. None of it fails on a
// TCP socket, and a connection without it is one all the same.
func setUpstreamOptions(fd uintptr) {
	set := func(level, name uintptr, value int32) {
		syscall.RawSyscall6(syscall.SYS_SETSOCKOPT, fd, level, name, uintptr(unsafe.Pointer(&value)), unsafe.Sizeof(value), 0)
	}
	seconds := int32(upstreamKeepAlive / time.Second)
	set(syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	set(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1)
	set(syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, seconds)
	set(syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, seconds)
}

// sockaddr returns addr as the kernel takes it, and the size of that in bytes.
func sockaddr(addr netip.AddrPort) (to syscall.RawSockaddrInet6, size uintptr) {
	port := [2]byte{byte(addr.Port() >> 8), byte(addr.Port())}
	to.Port = *(*uint16)(unsafe.Pointer(&port))
	if ip := addr.Addr().Unmap(); ip.Is4() {
		// Both forms begin with family and port.
		v4 := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&to))
		v4.Family, v4.Addr = syscall.AF_INET, ip.As4()
		return to, unsafe.Sizeof(*v4)
	}
	to.Family, to.Addr = syscall.AF_INET6, addr.Addr().As16()
	return to, unsafe.Sizeof(to)
}

// fileConn is a TCP connection on an os.File.
type fileConn struct {
	*os.File
	remote netip.AddrPort
}

// toItself tells that the kernel has chosen the port that is dialed for this end
// as well: then the two ends are one (RFC 9293, 3.5, simultaneous open), and
// nobody listens. Only where both are of this machine can that happen.
func (c *fileConn) toItself() bool {
	if !c.remote.Addr().Unmap().IsLoopback() {
		return false
	}
	local, _ := c.LocalAddr().(*net.TCPAddr)
	return local.Port == int(c.remote.Port()) && local.IP.Equal(net.IP(c.remote.Addr().AsSlice()))
}

// RemoteAddr is net.Conn's.
func (c *fileConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// LocalAddr is net.Conn's. Only errors ask for it.
func (c *fileConn) LocalAddr() net.Addr {
	local := &net.TCPAddr{}
	if raw, err := c.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			switch sa, _ := syscall.Getsockname(int(fd)); sa := sa.(type) {
			case *syscall.SockaddrInet4:
				local.IP, local.Port = sa.Addr[:], sa.Port
			case *syscall.SockaddrInet6:
				local.IP, local.Port = sa.Addr[:], sa.Port
			}
		})
	}
	return local
}
