//go:build unix

package main

import (
	"os"
	"syscall"
)

// listens tells whether f is a stream socket that can be accepted from. Package
// net takes others for listeners, too, which fail when they are used.
func listens(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	is := false
	raw.Control(func(fd uintptr) {
		kind, failed := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TYPE)
		accepts, unknown := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
		is = failed == nil && kind == syscall.SOCK_STREAM && (accepts != 0 || unknown != nil)
	})
	return is
}

// isOpen tells whether fd is a descriptor of the process.
func isOpen(fd int) bool {
	var st syscall.Stat_t
	return syscall.Fstat(fd, &st) == nil
}
