//go:build !linux

package proxy

import (
	"net"
	"syscall"
)

// newRawIO returns c as it is.
func newRawIO(c net.Conn) net.Conn { return c }

// silent tells that the peer of fd has neither sent anything nor closed.
func silent(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
	return err == syscall.EAGAIN
}
