package proxy

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A connection by address is one like any other: both sides can write, it tells
// its addresses, obeys deadlines, and ends.
func TestDialAddress(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1"} {
		t.Run(host, func(t *testing.T) {
			l, err := net.Listen("tcp", net.JoinHostPort(strings.TrimPrefix(host, "::ffff:"), "0"))
			if err != nil {
				t.Skipf("no listener: %v", err)
			}
			defer l.Close()
			_, port, _ := net.SplitHostPort(l.Addr().String())
			c, err := new(dialer).dialTCP(net.JoinHostPort(host, port), time.Now().Add(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, ok := c.(*fileConn); !ok {
				t.Errorf("%T dials an address", c)
			}
			peer, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			if c.LocalAddr().String() != peer.RemoteAddr().String() || !strings.HasSuffix(c.RemoteAddr().String(), port) {
				t.Errorf("from %v to %v, the peer says from %v", c.LocalAddr(), c.RemoteAddr(), peer.RemoteAddr())
			}
			got := make([]byte, 4)
			io.WriteString(c, "ping")
			if _, err := io.ReadFull(peer, got); err != nil || string(got) != "ping" {
				t.Errorf("%q, %v", got, err)
			}
			io.WriteString(peer, "pong")
			if _, err := io.ReadFull(newRawIO(c), got); err != nil || string(got) != "pong" {
				t.Errorf("%q, %v", got, err)
			}
			c.SetReadDeadline(time.Unix(1, 0))
			if _, err := newRawIO(c).Read(got); !isTimeout(err) {
				t.Errorf("%v is no time-out", err)
			}
			c.Close()
			if _, err := peer.Read(got); err != io.EOF {
				t.Errorf("the peer reads %v", err)
			}
			if _, err := newRawIO(c).Read(got); err == nil {
				t.Error("a closed connection is read")
			}
		})
	}
}

// Who does not listen, and who does not answer, is an error that names the
// address.
func TestDialAddressFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	addr := c.LocalAddr().String() // where nobody else can listen
	_, err = new(dialer).dialTCP(addr, time.Now().Add(time.Minute))
	if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), addr) {
		t.Errorf("%v", err)
	}

	silent := netip.MustParseAddrPort(silentListener(t))
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for range 10 {
		// The queue of those that nobody accepts takes the first few.
		c, err := dialAddress(silent, time.Now().Add(50*time.Millisecond))
		if err == nil {
			held = append(held, c)
			continue
		}
		if !isTimeout(err) || !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), silent.String()) {
			t.Errorf("%v is no time-out", err)
		}
		return
	}
	t.Error("all connections are made")
}

// A connection whose ends are one is refused, and other loopback is not.
func TestDialAddressToItself(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	sa, _ := syscall.Getsockname(fd)
	in := sa.(*syscall.SockaddrInet4)
	if err := syscall.Connect(fd, in); err != nil {
		t.Skipf("the kernel refuses it: %v", err)
	}
	at := netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port))
	c := &fileConn{File: os.NewFile(uintptr(fd), "tcp"), remote: at}
	defer c.Close()
	if !c.toItself() {
		t.Error("not noticed")
	}
	for _, other := range []string{"127.0.0.1:1", "127.0.0.2:" + strconv.Itoa(in.Port), "192.0.2.1:" + strconv.Itoa(in.Port)} {
		if c.remote = netip.MustParseAddrPort(other); c.toItself() {
			t.Errorf("%s is taken for it", other)
		}
	}
}

// silentListener returns the address of a socket that listens, and whose queue
// is as short as it can be.
func silentListener(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	in := sa.(*syscall.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)).String()
}
