//go:build unix

package proxy

import "syscall"

// shutWrite says to the peer of fd that nothing more will come.
func shutWrite(fd uintptr) { syscall.Shutdown(int(fd), syscall.SHUT_WR) }
