package main

import (
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
)

// upgrades is how many handovers TestUpgradesUnderLoad makes.
var upgrades = flag.Int("upgrades", 0, "handovers to make under load; 0: 50, or 5 with -short or the race detector")

func handovers() int {
	switch {
	case *upgrades > 0:
		return *upgrades
	case testing.Short(), raceEnabled:
		return 5
	}
	return 50
}

// storyOrEcho tells the story, with every third answer interrupted, and sends
// back what is posted elsewhere.
func storyOrEcho() upstream.Handler {
	m := teller()
	m.Fault = func(n int, q *upstream.Request) []upstream.Step {
		if n == 0 && len(q.Body)%3 == 0 {
			return []upstream.Step{upstream.LimitBody(500, upstream.RST)}
		}
		return nil
	}
	return func(q *upstream.Request) upstream.Script {
		if strings.HasSuffix(q.Target, "/echo") {
			return upstream.Script{upstream.Status(200, nil, string(q.Body))}
		}
		return m.Handle(q)
	}
}

// TestRestartUnderLoad: the sockets are the manager's, who comes while nobody
// serves waits. Nothing is refused and nothing is cut. Connections are not kept:
// a restart, unlike a handover, closes idle ones, and a client may write to one
// in that moment.
func TestRestartUnderLoad(t *testing.T) {
	u := newUnit(t, storyOrEcho())
	cmd := u.run()
	c := startClients(t, u.public[0], 0)
	for range 3 {
		c.more(200)
		cmd.Process.Signal(syscall.SIGTERM)
		u.told("\nSTOPPING=1\n")
		u.ends(cmd, 0)
		cmd = u.run()
	}
	c.more(100)
	c.leave()
	cmd.Process.Signal(syscall.SIGTERM)
	u.ends(cmd, 0)
	if c.whole.Load() != c.begun.Load() {
		t.Errorf("%d questions, %d answers", c.begun.Load(), c.whole.Load())
	}
}

var mainPID = regexp.MustCompile(`MAINPID=(\d+)`)

// upgrade has the process pid replaced by a new one, whose identity it returns.
func (u *unit) upgrade(pid int) int {
	u.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		u.t.Fatalf("%v\n%s", err, u.tail())
	}
	next, _ := strconv.Atoi(mainPID.FindStringSubmatch(u.told("MAINPID="))[1])
	u.told("\nREADY=1\n")
	return next
}

// TestUpgradesUnderLoad hands over again and again. Answers that last longer
// than several processes come whole, too.
func TestUpgradesUnderLoad(t *testing.T) {
	release := make(chan struct{})
	each := storyOrEcho()
	u := newUnit(t, func(q *upstream.Request) upstream.Script {
		if strings.HasSuffix(q.Target, "/long") {
			return upstream.Script{upstream.Head(200, upstream.Chunked), upstream.Send("one "), upstream.Hold(release), upstream.Send("two")}
		}
		return each(q)
	}, "WATCHDOG_USEC=3000000")
	first := u.run()
	pid := first.Process.Pid
	c := crowdAt(t, u.public[0])
	var long []net.Conn
	times := handovers()
	for range times {
		c.more(40)
		l, err := net.Dial("tcp", u.public[1])
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		io.WriteString(l, "GET /v1/long HTTP/1.1\r\nHost: a\r\n\r\n")
		if n := len(long); !u.up.Await(patience, func() bool { return int(u.up.Live()) > n }) {
			t.Fatal("the long request did not arrive")
		}
		long = append(long, l)
		pid = u.upgrade(pid)
	}
	c.more(100)
	c.leave()
	if n := strings.Count(u.logged(), `"msg":"handed over"`); n != times {
		t.Errorf("%d handovers, want %d", n, times)
	}
	u.told("\nWATCHDOG=1\n")
	close(release)
	for _, l := range long {
		l.SetDeadline(time.Now().Add(patience))
		if status, body, err := reply(l); status != 200 || body != "one two" || err != nil {
			t.Errorf("a long answer: %d %q %v", status, body, err)
		}
		// An idle connection would be waited for.
		l.Close()
	}
	u.ends(first, 0)
	syscall.Kill(pid, syscall.SIGTERM)
	u.told("\nSTOPPING=1\n")
	<-u.ended
	if c.whole.Load() != c.begun.Load() {
		t.Errorf("%d questions, %d answers", c.begun.Load(), c.whole.Load())
	}
}

// TestSuccessorStays until the process that it took over from is gone: for a
// service manager the end of the main process is the end of the service.
func TestSuccessorStays(t *testing.T) {
	release := make(chan struct{})
	u := newUnit(t, upstream.Always(upstream.Script{
		upstream.Head(200, upstream.Chunked), upstream.Send("one "), upstream.Hold(release), upstream.Send("two")}))
	first := u.run()
	l, err := net.Dial("tcp", u.public[0])
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetDeadline(time.Now().Add(patience))
	io.WriteString(l, get)
	if !u.up.Await(patience, func() bool { return u.up.Count() == 1 }) {
		t.Fatal("nothing arrived")
	}
	pid := u.upgrade(first.Process.Pid)
	syscall.Kill(pid, syscall.SIGTERM)
	u.told("\nSTOPPING=1\n")
	select {
	case <-u.ended:
		t.Error("all have ended")
	case <-time.After(300 * time.Millisecond):
		if !alive(pid) {
			t.Error("the new process left before the old one")
		}
	}
	close(release)
	if status, body, err := reply(l); status != 200 || body != "one two" || err != nil {
		t.Errorf("%d %q %v", status, body, err)
	}
	u.ends(first, 0)
	<-u.ended
}

// alive tells whether a process runs that need not be a child.
func alive(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	_, state, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(state, "Z")
}

// TestBrokenBinary: what does not start takes nothing over.
func TestBrokenBinary(t *testing.T) {
	u := newUnit(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}))
	path := filepath.Join(t.TempDir(), "proxy")
	install := func(put func(to string) error) {
		t.Helper()
		os.Remove(path)
		if err := put(path); err != nil {
			t.Fatal(err)
		}
	}
	script := func(text string) func(string) error {
		return func(to string) error { return os.WriteFile(to, []byte("#!/bin/sh\n"+text+"\n"), 0o755) }
	}
	link := func(to string) error { return os.Symlink(os.Args[0], to) }
	install(link)
	cmd := u.start(path, "")
	u.told("READY=1")
	n := 0
	of := "/proc/" + strconv.Itoa(cmd.Process.Pid) + "/fd"
	processes := func() (n int) {
		t.Helper()
		entries, err := os.ReadDir(of)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if to, _ := os.Readlink(filepath.Join(of, e.Name())); strings.Contains(to, "pidfd") {
				n++
			}
		}
		return n
	}
	fails := func(put func(string) error, says string) {
		t.Helper()
		install(put)
		cmd.Process.Signal(syscall.SIGUSR2)
		n++
		for end := time.Now().Add(patience); strings.Count(u.logged(), "did not start, this one goes on") < n; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(u.tail())
			}
		}
		u.says(says)
		if status, body := u.get(u.public[0], "/v1/x"); status != 200 || body != "{}" {
			t.Errorf("%d %q", status, body)
		}
		if status, _ := u.get(u.admin, "/readyz"); status != 200 {
			t.Errorf("readyz: %d", status)
		}
		if left := processes(); left > 0 {
			t.Errorf("after %d tries there are %d descriptors of processes", n, left)
		}
	}
	fails(script("echo wrong >&2; exit 3"), "wrong")
	fails(script("exit 0"), "it ended")
	fails(func(to string) error { return os.WriteFile(to, nil, 0o600) }, "permission denied")
	fails(script(`MAX_ATTEMPTS=many exec "`+os.Args[0]+`"`), "MAX_ATTEMPTS")
	install(link)
	pid := u.upgrade(cmd.Process.Pid)
	// A manager waits for its own children alone.
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, state, _ := strings.Cut(string(b), ") ")
	if fields := strings.Fields(state); err != nil || len(fields) < 2 || fields[1] != strconv.Itoa(os.Getpid()) {
		t.Errorf("the new process is not a child of the manager, %d: %q %v", os.Getpid(), b, err)
	}
	u.ends(cmd, 0)
	if status, _ := u.get(u.public[1], "/v1/x"); status != 200 {
		t.Error(status)
	}
	syscall.Kill(pid, syscall.SIGTERM)
	<-u.ended
}

// TestUpgradeOfOwnSockets hands over a Unix socket that the program opened
// itself: its path stays, also where a process that was to take over fails when it
// has the socket already, and goes with the last process.
func TestUpgradeOfOwnSockets(t *testing.T) {
	dir := t.TempDir()
	public, admin := filepath.Join(dir, "public"), filepath.Join(dir, "admin")
	path := filepath.Join(dir, "proxy")
	u := newUnit(t, storyOrEcho())
	u.files, u.names = nil, nil
	u.env = append(u.env, "LISTEN_ADDR=unix:"+public, "ADMIN_ADDR=unix:"+admin)
	if err := os.Symlink(os.Args[0], path); err != nil {
		t.Fatal(err)
	}
	first := u.start(path, "")
	u.told("READY=1")
	c := crowdAt(t, public)
	c.more(20)
	pid := u.upgrade(u.upgrade(first.Process.Pid))
	// It serves, and what it says of that is not heard.
	install := func(put func() error) {
		t.Helper()
		os.Remove(path)
		if err := put(); err != nil {
			t.Fatal(err)
		}
	}
	install(func() error {
		return os.WriteFile(path, []byte("#!/bin/sh\neval \"exec ${HANDOVER_FDS%%,*}>/dev/null\"\nexec "+os.Args[0]+"\n"), 0o755)
	})
	syscall.Kill(pid, syscall.SIGUSR2)
	u.says("did not start, this one goes on")
	install(func() error { return os.Symlink(os.Args[0], path) })
	pid = u.upgrade(pid)
	c.more(100)
	client := &http.Client{Transport: &http.Transport{Dial: func(string, string) (net.Conn, error) { return net.Dial("unix", admin) }}}
	if resp, err := client.Get("http://a/readyz"); err != nil || resp.StatusCode != 200 {
		t.Error(resp, err)
	}
	client.CloseIdleConnections()
	c.leave()
	u.ends(first, 0)
	syscall.Kill(pid, syscall.SIGTERM)
	<-u.ended
	for _, file := range []string{public, admin} {
		if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", filepath.Base(file), err)
		}
	}
}
