package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

// TestIdleUpstreamsGiveWay: who was let in can have an upstream, also when
// connections to another one lie idle and take the descriptors.
func TestIdleUpstreamsGiveWay(t *testing.T) {
	const limit, clients = 256, (256 - 64) / 2
	held := func(release chan struct{}) upstream.Handler {
		return upstream.Always(upstream.Script{upstream.Hold(release), upstream.Status(200, nil, "{}")})
	}
	one, two := make(chan struct{}), make(chan struct{})
	other, err := upstream.New(held(two))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	file := filepath.Join(t.TempDir(), "config.yaml")
	s := servingAs(t, held(one), func(env []string) *exec.Cmd {
		url := env[0][len("UPSTREAM_URL_BASE="):]
		text := fmt.Sprintf("default_group: a\ngroups:\n  a: {targets: [%q]}\n  b: {targets: [%q]}\n", url, other.URL())
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := program(t, env)
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" -config "$1"`, limit), os.Args[0], file}
		return cmd
	})
	var conns [clients]net.Conn
	for i := range conns {
		conns[i] = s.dial(s.public)
	}
	ask := func(group string, up *upstream.Upstream, release chan struct{}) {
		t.Helper()
		for _, c := range conns {
			io.WriteString(c, "GET /v1/x HTTP/1.1\r\nHost: a\r\nX-Proxy-Group: "+group+"\r\n\r\n")
		}
		if !up.Await(patience, func() bool { return up.Count() == clients }) {
			t.Errorf("group %s: %d of %d requests reached their upstream", group, up.Count(), clients)
		}
		close(release)
		for _, c := range conns {
			if status, body, err := reply(c); status != 200 || body != "{}" {
				t.Fatalf("group %s: %d %q %v", group, status, body, err)
			}
		}
	}
	ask("a", s.up, one)
	ask("b", other, two)
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.ends(0)
}

// TestProbeWithoutDescriptors: the watchdog is fed also while idle connections to the
// upstream have taken the last descriptors, and nobody comes who needs one.
func TestProbeWithoutDescriptors(t *testing.T) {
	release := make(chan struct{})
	u := newUnit(t, upstream.Always(upstream.Script{upstream.Hold(release), upstream.Status(200, nil, "{}")}), "WATCHDOG_USEC=300000")
	cmd := u.run()
	var conns []net.Conn
	for range 20 {
		conns = append(conns, u.open(u.public[0]))
	}
	close(release)
	for _, c := range conns {
		if status, body, err := reply(c); status != 200 || body != "{}" {
			t.Fatalf("%d %q %v", status, body, err)
		}
	}
	// No descriptor is free below the limit.
	free := 3
	for ; ; free++ {
		if _, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", cmd.Process.Pid, free)); err != nil {
			break
		}
	}
	limit(t, cmd.Process.Pid, uint64(free))
	for len(u.notes) > 0 {
		<-u.notes
	}
	for range 5 {
		u.told("\nWATCHDOG=1\n")
	}
	if log := u.logged(); strings.Contains(log, "the watchdog is not fed") {
		t.Error(log)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	u.ends(cmd, 0)
}

// TestAdminErrorsAreLogged as all else is, in the form that the settings ask for.
func TestAdminErrorsAreLogged(t *testing.T) {
	u := newUnit(t, upstream.Always(nil))
	cmd := u.run()
	limit(t, cmd.Process.Pid, 3)
	c, err := net.Dial("tcp", u.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	u.says("too many open files")
	limit(t, cmd.Process.Pid, 4096)
	cmd.Process.Signal(syscall.SIGTERM)
	u.ends(cmd, 0)
	<-u.ended
	for line := range strings.Lines(u.logged()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}
