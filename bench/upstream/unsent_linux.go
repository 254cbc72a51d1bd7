package upstream

import (
	"net"
	"syscall"
	"unsafe"
)

const siocOutqNSD = 0x894b // SIOCOUTQNSD: bytes queued and not sent

// unsent is the number of bytes written to tcp that have not left for the peer.
func unsent(tcp *net.TCPConn) int {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0
	}
	var n int32
	raw.Control(func(fd uintptr) {
		syscall.Syscall(syscall.SYS_IOCTL, fd, siocOutqNSD, uintptr(unsafe.Pointer(&n)))
	})
	return int(n)
}
