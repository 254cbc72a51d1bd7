package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
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

// asProgram in the environment makes the test binary the program itself.
const asProgram = "TEST_RUN_AS_PROGRAM"

// provingEnv in the environment is another provingTime.
const provingEnv = "TEST_PROVING_TIME"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		provingTime = 10 * time.Millisecond
		if d, err := time.ParseDuration(os.Getenv(provingEnv)); err == nil {
			provingTime = d
		}
		main()
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// lifetime is how long a program may run in all.
const lifetime = 5 * time.Minute

// program is the program with these arguments, its environment alone.
func program(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append([]string{asProgram + "=1"}, env...)
	return cmd
}

// runs runs the program to its end.
func runs(t *testing.T, env []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	cmd := program(t, env, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestExitStatus(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	busy := filepath.Join(t.TempDir(), "busy")
	if l, err := net.Listen("unix", busy); err != nil {
		t.Fatal(err)
	} else {
		defer l.Close()
	}
	file := func(text string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f := func(status int, says string, env []string, args ...string) {
		t.Helper()
		got, stdout, stderr := runs(t, env, args...)
		if got != status || !strings.Contains(stdout+stderr, says) || (status == 0) == (stdout == "") && says != "Usage" {
			t.Errorf("%q %q: status %d, want %d\n%s%s", env, args, got, status, stdout, stderr)
		}
	}
	f(0, "gemini-resilient-proxy ", nil, "-version")
	f(0, "Usage", nil, "-help")
	f(0, "the settings are good", nil, "-check")
	f(0, "the settings are good", nil, "-check", "-config", file("listen_addr: \":0\"\n"))
	f(0, "the settings are good", []string{"MAX_ATTEMPTS=7"}, "-check", "-config", file("max_attempts: 1\n"))
	f(1, "MAX_ATTEMPTS", []string{"MAX_ATTEMPTS=many"}, "-check")
	f(1, "STALL_TIMEOUT", []string{"STALL_TIMEOUT=90"}, "-check")
	f(1, "no-such-file", nil, "-check", "-config", "/no-such-file")
	f(2, "-config names no file", nil, "-check", "-config", "")
	f(2, "-config names no file", []string{"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR="}, "-config=")
	f(1, "max_attempts", nil, "-check", "-config", file("max_attempts: many\n"))
	f(1, "MAX_ATTEMPTS", []string{"MAX_ATTEMPTS=many"})
	f(1, "LISTEN_ADDR", []string{"LISTEN_ADDR=" + taken.Addr().String(), "ADMIN_ADDR="})
	f(1, "another process", []string{"LISTEN_ADDR=unix:" + busy, "ADMIN_ADDR="})
	f(1, "ADMIN_ADDR", []string{"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=" + taken.Addr().String()})
	f(1, "TLS_KEY_FILE: must be set", []string{"TLS_CERT_FILE=/no-such-file"}, "-check")
	f(1, "TLS_CERT_FILE: must be set", []string{"TLS_CLIENT_CA_FILE=/no-such-file"}, "-check")
	f(1, "/no-such-file: cannot be read", []string{"TLS_CERT_FILE=/no-such-file", "TLS_KEY_FILE=/x"}, "-check")
	f(2, "nonsense", nil, "-nonsense")
	f(2, "unexpected argument", nil, "run")
}

// TestCheckSaysEveryMistake names all that is wrong at once.
func TestCheckSaysEveryMistake(t *testing.T) {
	_, _, stderr := runs(t, []string{"MAX_ATTEMPTS=0", "STALL_TIMEOUT=x", "GROUP_MAPPING={", "DEBUG_MODE=perhaps"}, "-check")
	for _, name := range []string{"MAX_ATTEMPTS", "STALL_TIMEOUT", "GROUP_MAPPING", "DEBUG_MODE"} {
		if !strings.Contains(stderr, name) {
			t.Errorf("%s is missing in:\n%s", name, stderr)
		}
	}
}

// service is the program as a service: told where to listen, watched by a
// notification socket, in front of a scripted upstream.
type service struct {
	t      *testing.T
	cmd    *exec.Cmd
	up     *upstream.Upstream
	public string // path of its socket
	admin  string
	notes  *net.UnixConn
	stderr bytes.Buffer
}

// serving starts one and waits until it says that it is ready.
func serving(t *testing.T, h upstream.Handler, env ...string) *service {
	t.Helper()
	return servingWith(t, h, nil, env...)
}

// servingWith is serving with arguments.
func servingWith(t *testing.T, h upstream.Handler, args []string, env ...string) *service {
	t.Helper()
	return servingAs(t, h, func(own []string) *exec.Cmd { return program(t, append(own, env...), args...) })
}

// servingAs is serving with a command that gets the environment it needs.
func servingAs(t *testing.T, h upstream.Handler, command func(env []string) *exec.Cmd) *service {
	t.Helper()
	dir := t.TempDir()
	s := &service{t: t, public: filepath.Join(dir, "public"), admin: filepath.Join(dir, "admin")}
	var err error
	if s.up, err = upstream.New(h); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.up.Close)
	notify := filepath.Join(dir, "notify")
	if s.notes, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.notes.Close() })
	s.cmd = command([]string{
		"UPSTREAM_URL_BASE=" + s.up.URL(), "LISTEN_ADDR=unix:" + s.public, "ADMIN_ADDR=unix:" + s.admin, "NOTIFY_SOCKET=" + notify,
	})
	s.cmd.Stderr = &s.stderr
	if err = s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill() })
	s.told("READY=1")
	return s
}

// told waits for a notification.
func (s *service) told(want string) {
	s.t.Helper()
	buf := make([]byte, 4096)
	s.notes.SetReadDeadline(time.Now().Add(patience))
	for {
		n, err := s.notes.Read(buf)
		if err != nil {
			s.cmd.Process.Kill()
			s.cmd.Wait()
			s.t.Fatalf("%s was not told: %v\n%s", want, err, s.stderr.String())
		}
		if strings.Contains(string(buf[:n]), want) {
			return
		}
	}
}

func (s *service) dial(path string) net.Conn {
	s.t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.stderr.String())
	}
	c.SetDeadline(time.Now().Add(patience))
	s.t.Cleanup(func() { c.Close() })
	return c
}

func reply(c net.Conn) (status int, body string, err error) {
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, "", err
	}
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// ends waits for the program's exit status.
func (s *service) ends(want int) {
	s.t.Helper()
	s.cmd.Wait()
	if got := s.cmd.ProcessState.ExitCode(); got != want {
		s.t.Errorf("exit status %d, want %d\n%s", got, want, s.stderr.String())
	}
}

const get = "GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n"

// TestReadyMeansListening: both listeners answer as soon as READY=1 was said.
func TestReadyMeansListening(t *testing.T) {
	s := serving(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}))
	for _, c := range []net.Conn{s.dial(s.public), s.dial(s.admin)} {
		io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if status, body, err := reply(c); status != 200 || body != "ok\n" {
			t.Errorf("%d %q %v", status, body, err)
		}
	}
	c := s.dial(s.public)
	io.WriteString(c, get)
	if status, body, err := reply(c); status != 200 || body != "{}" {
		t.Errorf("%d %q %v", status, body, err)
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.told("STOPPING=1")
	s.ends(0)
	if !strings.Contains(s.stderr.String(), "stopped") {
		t.Errorf("the log:\n%s", s.stderr.String())
	}
}

// TestDrainOnSignal lets a running answer come to its end and exits with 0.
func TestDrainOnSignal(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		release := make(chan struct{})
		s := serving(t, upstream.Always(upstream.Script{
			upstream.Head(200, upstream.Chunked), upstream.Send("one "), upstream.Hold(release), upstream.Send("two"),
		}))
		c := s.dial(s.public)
		io.WriteString(c, get)
		if !s.up.Await(patience, func() bool { return s.up.Count() == 1 }) {
			t.Fatal("nothing arrived")
		}
		s.cmd.Process.Signal(sig)
		s.told("STOPPING=1")
		close(release)
		if status, body, err := reply(c); status != 200 || body != "one two" || err != nil {
			t.Errorf("%v: %d %q %v", sig, status, body, err)
		}
		s.ends(0)
	}
}

// TestDrainTimeout ends what does not come to its end.
func TestDrainTimeout(t *testing.T) {
	s := serving(t, upstream.Always(upstream.Script{upstream.Stall()}), "DRAIN_TIMEOUT=50ms")
	c := s.dial(s.public)
	io.WriteString(c, get)
	if !s.up.Await(patience, func() bool { return s.up.Count() == 1 }) {
		t.Fatal("nothing arrived")
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	if status, body, err := reply(c); status != 503 || !strings.Contains(body, "shutting down") {
		t.Errorf("%d %q %v", status, body, err)
	}
	s.ends(0)
}

// TestSecondSignal leaves at once, and leaves nothing behind.
func TestSecondSignal(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	s := servingWith(t, upstream.Always(upstream.Script{upstream.Stall()}), []string{"-pid-file", pidFile})
	io.WriteString(s.dial(s.public), get)
	if !s.up.Await(patience, func() bool { return s.up.Count() == 1 }) {
		t.Fatal("nothing arrived")
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.told("STOPPING=1")
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.ends(1)
	for _, path := range []string{pidFile, s.public, s.admin} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
}

// TestStaleSocket replaces a socket file that a dead process has left behind.
func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "left")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	s := serving(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}), "LISTEN_ADDR=unix:"+path)
	c := s.dial(path)
	io.WriteString(c, get)
	if status, _, err := reply(c); status != 200 {
		t.Error(status, err)
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.ends(0)
}

// TestInheritedSocket serves a socket that was opened for it, and not its own
// setting. What is queued on it before the program starts is served.
func TestInheritedSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	early, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	io.WriteString(early, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")

	unused := filepath.Join(t.TempDir(), "unused")
	cmd := program(t, []string{"LISTEN_FDS=1", "LISTEN_ADDR=unix:" + unused, "ADMIN_ADDR="})
	// LISTEN_PID is the identity that the shell keeps when it becomes the program.
	cmd.Args = []string{"sh", "-c", `LISTEN_PID=$$ exec "$0"`, cmd.Path}
	if cmd.Path, err = exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	cmd.ExtraFiles = []*os.File{file}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	early.SetDeadline(time.Now().Add(patience))
	if status, body, err := reply(early); status != 200 || body != "ok\n" {
		t.Errorf("%d %q %v", status, body, err)
	}
	if _, err := os.Stat(unused); err == nil {
		t.Error("it listens on its own setting, too")
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, stderr.String())
	}
}
