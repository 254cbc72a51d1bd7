package main

import (
	"bufio"
	"io"
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

// TestTakeOver: the new process is the one when the old one says so, or is gone,
// and is not when the old one goes on.
func TestTakeOver(t *testing.T) {
	for said, want := range map[string]bool{"go 2026-03-01 7\n": true, sayNo: false, "": true} {
		readyR, readyW, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		p := &predecessor{ready: readyW, from: bufio.NewReader(strings.NewReader(said)), gone: make(chan struct{})}
		if got := p.takeOver(); got != want {
			t.Errorf("after %q: %v, want %v", said, got, want)
		}
		if told := strings.HasPrefix(said, "go"); told != (p.day == "2026-03-01" && p.healed == 7) {
			t.Errorf("after %q: %d healed on %q", said, p.healed, p.day)
		}
		p.hurry()
		if line, err := io.ReadAll(readyR); string(line) != sayReady || err != nil {
			t.Errorf("%q %v", line, err)
		}
		<-p.gone
	}
}

// TestHandoverDescriptors: what is none is said, and does not start.
func TestHandoverDescriptors(t *testing.T) {
	for _, value := range []string{"", "3", "3,4", "a,b,c", "0,1,2", "3,4,5,6"} {
		status, _, stderr := runs(t, []string{handoverEnv + "=" + value, "LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR="})
		if status != 1 || !strings.Contains(stderr, handoverEnv) {
			t.Errorf("%q: %d %s", value, status, stderr)
		}
	}
}

// TestProving: while a new process proves itself both serve. The old one goes on when
// that one falls or is told to stop, and is followed when it is told to stop itself. No
// answer is cut but those of a process that falls.
func TestProving(t *testing.T) {
	dir := t.TempDir()
	path, pidFile := filepath.Join(dir, "proxy"), filepath.Join(dir, "pid")
	release := make(chan struct{})
	u := newUnit(t, func(q *upstream.Request) upstream.Script {
		if q.Target == "/v1/x" {
			return upstream.Script{upstream.Head(200, upstream.Chunked), upstream.Send("one "), upstream.Hold(release), upstream.Send("two")}
		}
		return upstream.Script{upstream.Status(200, nil, "{}")}
	}, provingEnv+"=1h")
	if err := os.Symlink(os.Args[0], path); err != nil {
		t.Fatal(err)
	}
	first := u.start(path, "")
	u.told("READY=1")
	os.Remove(path)
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho $$ >"+pidFile+"\nexec "+os.Args[0]+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	serves := func() {
		t.Helper()
		// Which process answers is for the kernel to say.
		for range 20 {
			if status, body := u.get(u.public[0], "/v1/y"); status != 200 || body != "{}" {
				t.Errorf("%d %q", status, body)
			}
		}
	}
	both := func(n int) (pid int) {
		t.Helper()
		first.Process.Signal(syscall.SIGUSR2)
		u.repeats(`"starting a new process to hand over to"`, n)
		u.repeats(`"listening"`, 2*n+2)
		b, _ := os.ReadFile(pidFile)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		if pid == 0 || pid == first.Process.Pid {
			t.Fatalf("the new process is %q", b)
		}
		serves()
		return pid
	}
	var streams []net.Conn
	open := func() {
		for range 10 {
			streams = append(streams, u.open(u.public[1]))
		}
	}
	syscall.Kill(both(1), syscall.SIGKILL)
	u.repeats("this one goes on", 1)
	u.says("it ended")
	serves()
	pid := both(2)
	open()
	syscall.Kill(pid, syscall.SIGTERM)
	u.repeats("this one goes on", 2)
	serves()
	if log := u.logged(); strings.Contains(log, `"handed over"`) || strings.Contains(log, `"took over"`) {
		t.Errorf("it was handed over:\n%s", log)
	}
	both(3)
	open()
	first.Process.Signal(syscall.SIGTERM)
	u.told("\nSTOPPING=1\n")
	close(release)
	for i, l := range streams {
		if status, body, err := reply(l); status != 200 || body != "one two" || err != nil {
			t.Errorf("%d: %d %q %v", i, status, body, err)
		}
		l.Close()
	}
	u.ends(first, 0)
	<-u.ended
}

// TestSecondSignalBesideNewProcess: a new process that does not end when it is told
// to keeps nobody from leaving at once.
func TestSecondSignalBesideNewProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, pidFile := filepath.Join(dir, "proxy"), filepath.Join(dir, "pid")
	u := newUnit(t, storyOrEcho())
	if err := os.Symlink(os.Args[0], path); err != nil {
		t.Fatal(err)
	}
	cmd := u.start(path, "")
	u.told("READY=1")
	os.Remove(path)
	script := "#!/bin/sh\ntrap 'echo asked to end >&2' TERM\necho $$ >" + pidFile + "\necho begun >&2\nwhile :; do sleep 0.1; done\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(syscall.SIGUSR2)
	u.says("begun")
	b, _ := os.ReadFile(pidFile)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGKILL)
	cmd.Process.Signal(syscall.SIGTERM)
	u.says("asked to end")
	cmd.Process.Signal(syscall.SIGTERM)
	u.ends(cmd, 1)
	u.says("second signal, leaving at once")
	if !alive(pid) {
		t.Error("the new process was waited for")
	}
}

// open asks for an answer that lasts, on a connection of its own.
func (u *unit) open(addr string) net.Conn {
	u.t.Helper()
	l, err := net.Dial("tcp", addr)
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { l.Close() })
	l.SetDeadline(time.Now().Add(patience))
	n := u.up.Count()
	io.WriteString(l, get)
	if !u.up.Await(patience, func() bool { return u.up.Count() > n }) {
		u.t.Fatal("nothing arrived")
	}
	return l
}

// lasting is an upstream whose answers last until release is closed.
func lasting(release chan struct{}) upstream.Handler {
	return upstream.Always(upstream.Script{
		upstream.Head(200, upstream.Chunked), upstream.Send("one "), upstream.Hold(release), upstream.Send("two")})
}

// TestUpgradeWhileDraining: a process that is ending starts none, whether it was
// told to stop or has handed over.
func TestUpgradeWhileDraining(t *testing.T) {
	release := make(chan struct{})
	u := newUnit(t, lasting(release))
	first := u.run()
	streams := []net.Conn{u.open(u.public[0])}
	pid := u.upgrade(first.Process.Pid)
	syscall.Kill(first.Process.Pid, syscall.SIGUSR2)
	u.repeats("no new process is started", 1)
	streams = append(streams, u.open(u.public[1]))
	syscall.Kill(pid, syscall.SIGTERM)
	u.told("\nSTOPPING=1\n")
	syscall.Kill(pid, syscall.SIGUSR2)
	u.repeats("no new process is started", 2)
	close(release)
	for _, l := range streams {
		if status, body, err := reply(l); status != 200 || body != "one two" || err != nil {
			t.Errorf("%d %q %v", status, body, err)
		}
		l.Close()
	}
	u.ends(first, 0)
	<-u.ended
	if n := strings.Count(u.logged(), "starting a new process"); n != 1 {
		t.Errorf("%d processes were started, want 1", n)
	}
}

// TestHurryReachesAll: when the newest process is told to stop, those before it
// do not wait for clients that idle, however many handovers ago they were.
func TestHurryReachesAll(t *testing.T) {
	u := newUnit(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}), "DRAIN_TIMEOUT=1h")
	first := u.run()
	pid := first.Process.Pid
	for range 3 {
		l := u.open(u.public[0])
		if status, _, err := reply(l); status != 200 || err != nil {
			t.Fatal(status, err)
		}
		pid = u.upgrade(pid)
	}
	syscall.Kill(pid, syscall.SIGTERM)
	select {
	case <-u.ended:
	case <-time.After(patience):
		t.Error("some process has not ended")
	}
	u.ends(first, 0)
}

// TestPIDFile names the process that serves, and is gone with it.
func TestPIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	u := newUnit(t, upstream.Always(nil))
	first := u.start(os.Args[0], "set -- -pid-file "+path+`; LISTEN_PID=$$ exec "$0" "$@"; `)
	u.told("READY=1")
	names := func(pid int) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			b, err := os.ReadFile(path)
			if string(b) == strconv.Itoa(pid)+"\n" {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the file holds %q, %v, want %d", b, err, pid)
			}
		}
	}
	names(first.Process.Pid)
	pid := u.upgrade(first.Process.Pid)
	names(pid)
	u.ends(first, 0)
	names(pid)
	syscall.Kill(pid, syscall.SIGTERM)
	<-u.ended
	if left, err := filepath.Glob(path + "*"); len(left) > 0 || err != nil {
		t.Errorf("%v is left, %v", left, err)
	}
	status, _, stderr := runs(t, []string{"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR="}, "-pid-file", "/nowhere/pid")
	if status != 1 || !strings.Contains(stderr, "-pid-file: ") {
		t.Errorf("%d %s", status, stderr)
	}
}
