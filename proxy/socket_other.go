//go:build unix && !linux

package proxy

import "syscall"

// silent tells that the peer of fd has neither sent anything nor closed.
func silent(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
	return err == syscall.EAGAIN
}
