//go:build unix

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// upgradeSignal asks for a handover.
var upgradeSignal os.Signal = syscall.SIGUSR2

func closeOnExec(fd int) { syscall.CloseOnExec(fd) }

// duplicate returns another descriptor of a listener's socket. That of its own
// method File becomes a blocking one as soon as it is used, and the listener's
// with it: both are the same socket. Accept could then not be interrupted.
func duplicate(l net.Listener) (*os.File, error) {
	sc, ok := l.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("a %T cannot be handed over", l)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var failed error
	// No process is started while the descriptor is not closed in it.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	err = raw.Control(func(own uintptr) {
		if fd, failed = syscall.Dup(int(own)); failed == nil {
			syscall.CloseOnExec(fd)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), l.Addr().String()), nil
}
