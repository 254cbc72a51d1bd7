package proxy

import (
	"syscall"
	"unsafe"
)

var wsaPoll = syscall.NewLazyDLL("ws2_32.dll").NewProc("WSAPoll")

// pollFD is WSAPOLLFD
// (https://learn.microsoft.com/en-us/windows/win32/api/winsock2/ns-winsock2-wsapollfd).
type pollFD struct {
	fd              uintptr
	events, revents int16
}

// silent tells that the peer of fd has neither sent anything nor closed.
func silent(fd uintptr) bool {
	const readable = 0x0300 // POLLRDNORM | POLLRDBAND
	p := pollFD{fd: fd, events: readable}
	n, _, _ := wsaPoll.Call(uintptr(unsafe.Pointer(&p)), 1, 0)
	return n == 0
}

// shutWrite says to the peer of fd that nothing more will come.
func shutWrite(fd uintptr) { syscall.Shutdown(syscall.Handle(fd), syscall.SHUT_WR) }
