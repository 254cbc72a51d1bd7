package main

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// unixSocket is a Unix socket that the program has made. Its file goes with it,
// unless that is another one by then: somebody has taken the path over.
type unixSocket struct {
	*net.UnixListener
	file  os.FileInfo // nil: none is known
	stays atomic.Bool // the file does: another process serves the socket, too
	once  sync.Once
}

// newUnixSocket takes l over. Its file is the one that is there now.
func newUnixSocket(l *net.UnixListener) *unixSocket {
	l.SetUnlinkOnClose(false)
	s := &unixSocket{UnixListener: l}
	s.file, _ = os.Lstat(s.path())
	return s
}

func (s *unixSocket) path() string { return s.Addr().String() }

// keeps tells whether the file is still that of the socket. The number of a file
// is not given to another one while a socket is bound to it.
func (s *unixSocket) keeps() bool {
	now, err := os.Lstat(s.path())
	return err == nil && s.file != nil && os.SameFile(now, s.file)
}

// Close is net.Listener's.
func (s *unixSocket) Close() error {
	s.once.Do(func() {
		if !s.stays.Load() && s.keeps() {
			os.Remove(s.path())
		}
	})
	return s.UnixListener.Close()
}
