package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

// TestFailedStartLeavesNoSockets: a start that fails takes the files with it that it
// has made, and no others.
func TestFailedStartLeavesNoSockets(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	taken, err := net.Listen("unix", at("taken"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		says string
		env  []string
		args []string
	}{
		{"-pid-file", []string{"ADMIN_ADDR=unix:" + at("admin")}, []string{"-pid-file", at("none/pid")}},
		{"another process", []string{"ADMIN_ADDR=unix:" + at("taken")}, nil},
		{"ADMIN_ADDR", []string{"ADMIN_ADDR=unix:" + at("none/admin")}, nil},
	} {
		status, _, stderr := runs(t, append(c.env, "LISTEN_ADDR=unix:"+at("public")), c.args...)
		if status != 1 || !strings.Contains(stderr, c.says) {
			t.Errorf("%v %v: status %d, %s", c.env, c.args, status, stderr)
		}
		files, _ := os.ReadDir(dir)
		if len(files) != 1 || files[0].Name() != "taken" {
			t.Errorf("%v %v: it leaves %v", c.env, c.args, files)
		}
	}
}

// TestTakenPathStays: a path that another process has taken over is left to it by
// who ends, also after a handover.
func TestTakenPathStays(t *testing.T) {
	u := newUnit(t, upstream.Always(nil))
	dir := t.TempDir()
	public, admin := filepath.Join(dir, "public"), filepath.Join(dir, "admin")
	u.files, u.names = nil, nil
	u.env = append(u.env, "LISTEN_ADDR=unix:"+public, "ADMIN_ADDR=unix:"+admin)
	first := u.run()
	take := func(path string) {
		t.Helper()
		os.Remove(path)
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	}
	take(public)
	pid := u.upgrade(first.Process.Pid)
	u.ends(first, 0)
	take(admin)
	syscall.Kill(pid, syscall.SIGTERM)
	<-u.ended
	for _, path := range []string{public, admin} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Error(err)
			continue
		}
		c.Close()
	}
}

// TestFullQueueIsNoStaleSocket: a socket whose queue is full is that of a busy
// process, and not replaced.
func TestFullQueueIsNoStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "busy")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		c, err := net.Dial("unix", path)
		if err != nil {
			break
		}
		defer c.Close()
	}
	status, _, stderr := runs(t, []string{"LISTEN_ADDR=unix:" + path, "ADMIN_ADDR="})
	if status != 1 || !strings.Contains(stderr, "another process listens") {
		t.Errorf("status %d, %s", status, stderr)
	}
}
