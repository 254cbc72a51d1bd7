package main

import (
	"errors"
	"os"
	"syscall"
)

// start starts the process as a child of this one's parent (CLONE_PARENT in
// clone(2)). That is the service manager, which waits for none but its own
// children: when one of another's was its main process, systemd would kill the
// whole service as soon as it is told to stop, and not notice when it fails.
//
// The first process of a container has no parent to give it to.
func (n *successor) start() error {
	n.pidfd = -1
	n.cmd.SysProcAttr = &syscall.SysProcAttr{PidFD: &n.pidfd}
	if os.Getpid() != 1 {
		n.cmd.SysProcAttr.Cloneflags = syscall.CLONE_PARENT
	}
	if err := n.cmd.Start(); err != nil {
		return err
	}
	n.waited = make(chan struct{})
	go func() {
		// It fails for a child of another, and reaps one of this process.
		n.cmd.Wait()
		close(n.waited)
	}()
	return nil
}

// awaitExit returns when the process has ended. It is called once, and gives back
// what this process had of that one.
func (n *successor) awaitExit() error {
	defer func() {
		// Package os has a descriptor of its own, which it keeps after a Wait that
		// failed.
		<-n.waited
		n.cmd.Process.Release()
	}()
	if n.pidfd < 0 {
		return errors.New("the kernel has no descriptors of processes (Linux 5.3)")
	}
	defer syscall.Close(n.pidfd)
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	defer syscall.Close(epoll)
	// It can be read when the process has ended, pidfd_open(2).
	if err := syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, n.pidfd, &syscall.EpollEvent{Events: syscall.EPOLLIN}); err != nil {
		return err
	}
	for {
		var events [1]syscall.EpollEvent
		if _, err := syscall.EpollWait(epoll, events[:], -1); err != syscall.EINTR {
			return err
		}
	}
}
