package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
)

// TestNotListening: a socket that nothing can be accepted from ends the start,
// and the error says what it should be.
func TestNotListening(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	connection, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	datagrams, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	packets, err := net.Listen("unixpacket", filepath.Join(t.TempDir(), "packets"))
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	for _, s := range []any{connection, datagrams, packets} {
		f, err := s.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, name := range []string{publicName, adminName} {
			u := newUnit(t, upstream.Always(nil))
			u.files, u.names = append(u.files, f), append(u.names, name)
			u.ends(u.start(os.Args[0], ""), 1)
			<-u.ended
			if log := u.logged(); !strings.Contains(log, `"`+name+`": must be a stream socket that listens`) || strings.Contains(log, `"listening"`) {
				t.Errorf("%T as %s:\n%s", s, name, log)
			}
		}
	}
}

// TestAbsurdSockets: a number of sockets that cannot be ends the start with an error
// that says so.
func TestAbsurdSockets(t *testing.T) {
	for _, n := range []string{"-1", "all", "99999999999999999999", "9223372036854775807", "1000000000", "50", "", "3 "} {
		u := newUnit(t, upstream.Always(nil))
		cmd := u.start(os.Args[0], "LISTEN_FDS='"+n+"' ")
		u.ends(cmd, 1)
		<-u.ended
		if log := u.logged(); !strings.Contains(log, "LISTEN_FDS is "+strconv.Quote(n)+": must be") || strings.Contains(log, `"listening"`) {
			t.Errorf("%q:\n%s", n, log)
		}
	}
}

// TestStuckManager: a service manager that reads nothing keeps the program from
// nothing that signals ask for.
func TestStuckManager(t *testing.T) {
	u := newUnit(t, upstream.Always(nil), "WATCHDOG_USEC=300000")
	path := filepath.Join(t.TempDir(), "stuck")
	addr := &net.UnixAddr{Name: path, Net: "unixgram"}
	stuck, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	c, err := net.DialUnix("unixgram", nil, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// Until there is no room for more.
	for n := 0; err == nil; n++ {
		c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, err = c.Write([]byte("X=" + strconv.Itoa(n)))
	}
	u.env = append(u.env, "NOTIFY_SOCKET="+path)
	cmd := u.start(os.Args[0], "")
	u.says(`"listening"`)
	const reloads = 20
	for n := 1; n <= reloads; n++ {
		cmd.Process.Signal(syscall.SIGHUP)
		u.repeats(`"configuration loaded"`, n)
	}
	// What was not sent waits, but not all of it.
	_, stacks := u.get(u.admin, "/debug/pprof/goroutine?debug=2")
	if n := strings.Count(stacks, ".(*manager).") + strings.Count(stacks, ".(*notices)."); n > reloads {
		t.Errorf("%d functions wait for the manager after %d reloads", n, reloads)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	u.ends(cmd, 0)
}

// TestNoManager: a socket of notifications that is not there, as in a container
// that has its environment from elsewhere, is told of once.
func TestNoManager(t *testing.T) {
	u := newUnit(t, upstream.Always(nil), "WATCHDOG_USEC=30000")
	u.env = append(u.env, "NOTIFY_SOCKET="+filepath.Join(t.TempDir(), "none"))
	cmd := u.start(os.Args[0], "")
	u.says("the service manager is not told")
	for n := 1; n <= 3; n++ {
		cmd.Process.Signal(syscall.SIGHUP)
		u.repeats(`"configuration loaded"`, n)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	u.ends(cmd, 0)
	<-u.ended
	if n := strings.Count(u.logged(), "the service manager is not told"); n != 1 {
		t.Errorf("said %d times", n)
	}
}
