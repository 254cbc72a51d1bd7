package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// startProxy runs the proxy's program before an upstream, with further settings,
// and returns its URL, and what stops it.
func startProxy(program, upstreamURL string, log *os.File, settings ...string) (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr := l.Addr().String()
	l.Close()
	cmd := exec.Command(program)
	cmd.Env = append(settings,
		"LISTEN_ADDR="+addr, "ADMIN_ADDR=", "UPSTREAM_URL_BASE="+upstreamURL,
		"STALL_TIMEOUT=2s", "FIRST_EVENT_TIMEOUT=4s", "RETRY_BASE_DELAY=20ms", "RETRY_MAX_DELAY=200ms", "DRAIN_TIMEOUT=1s",
	)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-done
	}
	for range 1000 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return "http://" + addr, stop, nil
		}
		select {
		case <-done:
			return "", nil, errors.New("the proxy ended at once, see its log")
		case <-time.After(10 * time.Millisecond):
		}
	}
	stop()
	return "", nil, fmt.Errorf("nobody listens on %s after 10 s", addr)
}

// hold runs a client's program, tells it its plan and returns its reports by
// their id. The program has a home of its own, and sees no other setting of the
// user than where programs are.
func hold(argv []string, p Plan) (map[string]*Report, error) {
	home, err := os.MkdirTemp("", "client-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(home)
	plan, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	var out, complaints bytes.Buffer
	// No client takes nearly that long, but one may never end.
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = home
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "NODE_NO_WARNINGS=1"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(plan), &out, &complaints
	err = cmd.Run()
	reports := make(map[string]*Report)
	for lines := bufio.NewReader(&out); ; {
		line, end := lines.ReadBytes('\n')
		if end != nil {
			break
		}
		r := new(Report)
		if json.Unmarshal(line, r) == nil {
			reports[r.ID] = r
		}
	}
	if err == nil && len(reports) < len(p.Jobs) {
		err = fmt.Errorf("%d reports of %d", len(reports), len(p.Jobs))
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, tail(complaints.String(), 2000))
	}
	return reports, err
}

// tail is the end of s, at most n bytes.
func tail(s string, n int) string { return s[max(len(s)-n, 0):] }
