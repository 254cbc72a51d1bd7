package proxy

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// troubled is a listener whose Accept fails in these ways before it succeeds.
type troubled struct {
	net.Listener
	fails []error
}

func (l *troubled) Accept() (net.Conn, error) {
	if len(l.fails) == 0 {
		c, _ := net.Pipe()
		return c, nil
	}
	err := l.fails[0]
	l.fails = l.fails[1:]
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
}

// TestAcceptGoesOn: what accept(2) says of one connection, or of what the system
// is short of, ends no listener; that the socket is none any more does, and gives
// its room back.
func TestAcceptGoesOn(t *testing.T) {
	room := make(chan struct{}, 1)
	accept := func(fails ...error) error {
		l := newClientListener(&troubled{fails: fails}, time.Minute, nil, room)
		c, err := l.Accept()
		if err == nil {
			c.Close()
		}
		if len(room) != 0 {
			t.Errorf("%v: the room is not given back", fails)
		}
		return err
	}
	if err := accept(syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED,
		syscall.ECONNRESET, syscall.EPERM, syscall.EPROTO, syscall.ENOPROTOOPT, syscall.ETIMEDOUT, syscall.EHOSTDOWN,
		syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.ENETUNREACH); err != nil {
		t.Error(err)
	}
	for _, last := range []error{syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK, net.ErrClosed} {
		if err := accept(syscall.EMFILE, last); !errors.Is(err, last) {
			t.Errorf("%v, want %v", err, last)
		}
	}
}
