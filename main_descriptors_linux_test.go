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
	"time"

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
	u := newUnit(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}), "WATCHDOG_USEC=300000")
	cmd := u.run()
	u.idle(20)
	defer u.exhaust(cmd.Process.Pid)()
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

// idle leaves n connections to the upstream idle.
func (u *unit) idle(n int) {
	u.t.Helper()
	release := make(chan struct{})
	u.up.SetHandler(upstream.Always(upstream.Script{upstream.Hold(release), upstream.Status(200, nil, "{}")}))
	var conns []net.Conn
	for range n {
		conns = append(conns, u.open(u.public[0]))
	}
	close(release)
	for _, c := range conns {
		if status, body, err := reply(c); status != 200 || body != "{}" {
			u.t.Fatalf("%d %q %v", status, body, err)
		}
	}
}

// exhaust leaves a process no descriptor below its limit: idle clients of its
// admin listener take what there is. They leave with the result.
func (u *unit) exhaust(pid int) (leave func()) {
	u.t.Helper()
	const most = 300
	limit(u.t, pid, most)
	taken := func() int {
		entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		return len(entries)
	}
	var conns []net.Conn
	for taken() < most {
		c, err := net.Dial("tcp", u.admin)
		if err != nil {
			u.t.Fatal(err)
		}
		conns = append(conns, c)
		// It is accepted when it is answered.
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
		if status, _, err := reply(c); status != 200 || err != nil {
			u.t.Fatal(status, err)
		}
	}
	return func() {
		for _, c := range conns {
			c.Close()
		}
		for taken() == most {
			time.Sleep(time.Millisecond)
		}
	}
}

// TestReloadWithoutDescriptors: what was changed while there is no descriptor to read
// it with is loaded when there is one again, and idle connections to the upstream give
// way to it.
func TestReloadWithoutDescriptors(t *testing.T) {
	dir := t.TempDir()
	keys, file := filepath.Join(dir, "keys"), filepath.Join(dir, "config.yaml")
	put := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	u := newUnit(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}))
	put(keys, "CANARY-1\n")
	put(file, fmt.Sprintf("groups:\n  default: {targets: [%q], keys: %q}\n", u.up.URL(), "file:"+keys))
	path := filepath.Join(dir, "proxy")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec "+os.Args[0]+" -config "+file+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := u.start(path, "")
	u.told("READY=1")
	loaded := func(keys int) {
		t.Helper()
		if _, body := u.get(u.admin, "/groups"); !strings.Contains(body, fmt.Sprint("keys#", keys)) {
			t.Errorf("%d keys are not in %s", keys, body)
		}
	}
	leave := u.exhaust(cmd.Process.Pid)
	put(keys, "CANARY-1\nCANARY-2\n")
	u.says("too many open files")
	leave()
	u.repeats(`"configuration loaded"`, 1)
	loaded(2)
	// A connection to the upstream lies idle.
	c := u.open(u.public[0])
	if status, _, err := reply(c); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	const notLoaded = "the configuration is not loaded"
	failed := strings.Count(u.logged(), notLoaded)
	leave = u.exhaust(cmd.Process.Pid)
	put(keys, "CANARY-1\nCANARY-2\nCANARY-3\n")
	u.repeats(`"configuration loaded"`, 2)
	if n := strings.Count(u.logged(), notLoaded); n != failed {
		t.Errorf("it was short of descriptors %d times", n-failed)
	}
	leave()
	loaded(3)
	cmd.Process.Signal(syscall.SIGTERM)
	u.ends(cmd, 0)
}

// TestUpgradeWithoutDescriptors: idle connections to the upstream give way to what a
// handover needs.
func TestUpgradeWithoutDescriptors(t *testing.T) {
	u := newUnit(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}))
	cmd := u.run()
	u.idle(20)
	leave := u.exhaust(cmd.Process.Pid)
	pid := u.upgrade(cmd.Process.Pid)
	leave()
	if status, body := u.get(u.public[0], "/v1/x"); status != 200 || body != "{}" {
		t.Errorf("%d %q", status, body)
	}
	syscall.Kill(pid, syscall.SIGTERM)
	u.ends(cmd, 0)
	<-u.ended
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
