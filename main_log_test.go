//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
)

// logging starts a service whose log goes to a pipe of which this test holds the
// other end, and reads only what it wants to.
func logging(t *testing.T, env ...string) (s *service, log *os.File) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	s = servingAs(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}), func(own []string) *exec.Cmd {
		cmd := program(t, append(append(own, "LOG_LINES_PER_SECOND=0"), env...))
		sh := exec.Command("/bin/sh", "-c", `exec "$0" 2>"$1"`, cmd.Path, path)
		sh.Env = cmd.Env
		return sh
	})
	return s, log
}

// requests sends requests on one connection and wants each to be answered.
func (s *service) requests(n int) {
	s.t.Helper()
	c := s.dial(s.public)
	defer c.Close()
	br := bufio.NewReader(c)
	for i := range n {
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, get)
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			s.t.Fatalf("request %d: %v", i, err)
		}
		io.Copy(io.Discard, resp.Body)
	}
}

// leftOut returns the metric of lines that were left out for a reason.
func (s *service) leftOut(reason string) string {
	c := s.dial(s.admin)
	defer c.Close()
	io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	_, body, err := reply(c)
	if err != nil {
		s.t.Fatal(err)
	}
	_, value, _ := strings.Cut(body, fmt.Sprintf("gemini_proxy_log_lines_suppressed_total{reason=%q} ", reason))
	value, _, _ = strings.Cut(value, "\n")
	return value
}

// A log that nobody reads holds up neither requests nor the end of the program.
func TestLogPipeIsFull(t *testing.T) {
	s, _ := logging(t)
	s.requests(8000)
	if n := s.leftOut("slow"); n == "0" || n == "" {
		t.Errorf("%q lines left out: the pipe was not full", n)
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.told("STOPPING=1")
	s.ends(0)
}

// What was left out is said once somebody reads again.
func TestLogPipeIsReadAgain(t *testing.T) {
	s, log := logging(t)
	s.requests(8000)
	log.SetReadDeadline(time.Now().Add(patience))
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if bytes.Contains(lines.Bytes(), []byte("suppressed=")) {
			break
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the log does not say that lines were left out: %v", err)
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.told("STOPPING=1")
	go io.Copy(io.Discard, log)
	s.ends(0)
}

// Whoever reads the log may leave.
func TestLogPipeIsClosed(t *testing.T) {
	s, log := logging(t)
	s.requests(1)
	log.Close()
	s.requests(100)
	for end := time.Now().Add(patience); s.leftOut("failed") == "0"; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the lines that could not be written are not counted")
		}
	}
	s.requests(100)
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.told("STOPPING=1")
	s.ends(0)
}

// TestLogFileCannotBeRotated: that there is no new file is said where the lines go,
// once, until there is one.
func TestLogFileCannotBeRotated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "proxy.log")
	s := serving(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}), "LOG_FILE="+path)
	const said = "cannot be opened again"
	holds := func(file, text string) func() bool {
		return func() bool { b, _ := os.ReadFile(file); return bytes.Contains(b, []byte(text)) }
	}
	for i, moved := range []string{path + ".1", path + ".2"} {
		soon(t, holds(path, "msg="))
		if err := errors.Join(os.Rename(path, moved), os.Mkdir(path, 0o700)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			s.cmd.Process.Signal(syscall.SIGHUP)
			s.told("READY=1")
			s.requests(1)
		}
		soon(t, holds(moved, said))
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		s.cmd.Process.Signal(syscall.SIGHUP)
		s.told("READY=1")
		s.requests(1)
		soon(t, holds(path, "msg=request"))
		if b, _ := os.ReadFile(moved); bytes.Count(b, []byte(said)) != 1 {
			t.Errorf("%d: in the file that was moved away:\n%s", i, b)
		}
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.told("STOPPING=1")
	s.ends(0)
}

func TestLogFileAndRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "proxy.log")
	s := serving(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}), "LOG_FILE="+path)
	s.requests(1)
	// Lines are written behind the requests' backs.
	soon(t, func() bool { b, _ := os.ReadFile(path); return bytes.Contains(b, []byte("msg=request")) })
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	s.cmd.Process.Signal(syscall.SIGHUP)
	s.told("READY=1")
	s.requests(1)
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.told("STOPPING=1")
	s.ends(0)
	before, _ := os.ReadFile(path + ".1")
	after, _ := os.ReadFile(path)
	if bytes.Count(before, []byte("msg=request")) != 1 || bytes.Count(after, []byte("msg=request")) != 1 ||
		!bytes.Contains(after, []byte("stopped")) || s.stderr.Len() > 0 {
		t.Errorf("before:\n%safter:\n%s%s", before, after, s.stderr.String())
	}
	// A named pipe that nobody reads is not waited for.
	pipe := path + ".pipe"
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{path + "/x", pipe} {
		status, _, stderr := runs(t, []string{"LOG_FILE=" + bad, "LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR="})
		if status != 1 || !strings.Contains(stderr, "LOG_FILE") {
			t.Errorf("status %d: %s", status, stderr)
		}
	}
}
