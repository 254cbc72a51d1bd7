package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"gemini-resilient-proxy/bench/upstream"
)

// unit is what systemd is to the program: the owner of its sockets and the
// reader of its notifications.
type unit struct {
	t      *testing.T
	up     *upstream.Upstream
	env    []string
	files  []*os.File
	names  []string
	extra  []*os.File // what the program inherits besides the sockets
	public []string   // addresses
	admin  string
	notes  chan string // closed by nobody

	mu    sync.Mutex
	log   bytes.Buffer
	ended chan struct{} // closed when all processes of the last start have
}

// newUnit opens two public sockets and one for the admin listener.
func newUnit(t *testing.T, h upstream.Handler, env ...string) *unit {
	t.Helper()
	u := &unit{t: t, notes: make(chan string, 10_000)}
	var err error
	if u.up, err = upstream.New(h); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.up.Close)
	for _, name := range []string{publicName, publicName, adminName} {
		u.socket(name)
	}
	u.public, u.admin = u.public[:2], u.public[2]
	path := filepath.Join(t.TempDir(), "notify")
	notes, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { notes.Close() })
	go func() {
		for buf := make([]byte, 4096); ; {
			n, err := notes.Read(buf)
			if err != nil {
				return
			}
			u.notes <- string(buf[:n])
		}
	}()
	u.env = append([]string{"UPSTREAM_URL_BASE=" + u.up.URL(), "NOTIFY_SOCKET=" + path, "LOG_FORMAT=json",
		"RETRY_BASE_DELAY=1ms", "LISTEN_ADDR=unix:/nowhere/public", "ADMIN_ADDR=unix:/nowhere/admin"}, env...)
	return u
}

func (u *unit) socket(name string) {
	u.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { l.Close() })
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { f.Close() })
	u.files, u.names = append(u.files, f), append(u.names, name)
	u.public = append(u.public, l.Addr().String())
}

// start starts the program with the sockets and does not wait. before is run by
// the shell that becomes the program.
func (u *unit) start(path, before string) *exec.Cmd {
	u.t.Helper()
	cmd := program(u.t, append(u.env, "LISTEN_FDS="+strconv.Itoa(len(u.files)), "LISTEN_FDNAMES="+strings.Join(u.names, ":")))
	// LISTEN_PID is the identity that the shell keeps when it becomes the program.
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", before + `LISTEN_PID=$$ exec "$0"`, path}
	cmd.ExtraFiles = slices.Concat(u.files, u.extra)
	r, w, err := os.Pipe()
	if err != nil {
		u.t.Fatal(err)
	}
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	w.Close()
	ended := make(chan struct{})
	u.ended = ended
	go func() {
		defer close(ended)
		defer r.Close()
		for buf := make([]byte, 1<<16); ; {
			n, err := r.Read(buf)
			u.mu.Lock()
			u.log.Write(buf[:n])
			u.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	u.t.Cleanup(func() { cmd.Process.Kill() })
	return cmd
}

// run starts the program and waits until it is ready.
func (u *unit) run() *exec.Cmd {
	u.t.Helper()
	cmd := u.start(os.Args[0], "")
	u.told("READY=1")
	return cmd
}

func (u *unit) logged() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.log.String()
}

// told waits for a notification with all of want and returns it.
func (u *unit) told(want ...string) string {
	u.t.Helper()
	late := time.After(patience)
	for {
		select {
		case note := <-u.notes:
			all := true
			for _, w := range want {
				all = all && strings.Contains("\n"+note+"\n", w)
			}
			if all {
				return note
			}
		case <-late:
			u.t.Fatalf("%q was not told\n%s", want, u.tail())
		}
	}
}

func (u *unit) tail() string {
	s := u.logged()
	return s[max(0, len(s)-3000):]
}

// ends waits for the end of a process that was started.
func (u *unit) ends(cmd *exec.Cmd, want int) {
	u.t.Helper()
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != want {
		u.t.Errorf("exit status %d, want %d\n%s", got, want, u.tail())
	}
}

// says waits for something in the log.
func (u *unit) says(want string) {
	u.t.Helper()
	u.repeats(want, 1)
}

// repeats waits until something is in the log n times.
func (u *unit) repeats(want string, n int) {
	u.t.Helper()
	for end := time.Now().Add(patience); strings.Count(u.logged(), want) < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			u.t.Fatalf("not in the log: %s\n%s", want, u.tail())
		}
	}
}

// get asks addr, host:port or the path of a Unix socket.
func (u *unit) get(addr, path string) (int, string) {
	u.t.Helper()
	// A connection that is kept would keep a process that retires.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialer(addr)}, Timeout: patience}
	resp, err := client.Get("http://proxy" + path)
	if err != nil {
		u.t.Fatalf("%v\n%s", err, u.tail())
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		u.t.Error(err)
	}
	return resp.StatusCode, string(b)
}

// TestSocketsByName: several public sockets and one for the admin listener are
// told apart by name, and take the place of the settings, which would fail.
func TestSocketsByName(t *testing.T) {
	u := newUnit(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}))
	cmd := u.run()
	for _, addr := range u.public {
		if status, body := u.get(addr, "/metrics"); status != 200 || body != "{}" {
			t.Errorf("public: %d %q", status, body)
		}
	}
	if _, body := u.get(u.admin, "/metrics"); !strings.Contains(body, "gemini_proxy_open_requests") {
		t.Errorf("admin: %q", body)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	u.ends(cmd, 0)
}

// TestSocketNames: without a name of its own a socket has that of its unit. What
// is not for the admin listener is public, and a name that means nothing is in
// the log.
func TestSocketNames(t *testing.T) {
	for _, names := range []string{
		"gemini-resilient-proxy.socket:proxy-admin.socket", "public:admin", "unknown:admin", "web:admin",
	} {
		t.Run(names, func(t *testing.T) {
			u := newUnit(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}))
			u.files, u.names = u.files[1:], strings.Split(names, ":")
			cmd := u.run()
			if status, body := u.get(u.public[1], "/metrics"); status != 200 || body != "{}" {
				t.Errorf("public: %d %q", status, body)
			}
			if _, body := u.get(u.admin, "/metrics"); !strings.Contains(body, "gemini_proxy_open_requests") {
				t.Errorf("admin: %q", body)
			}
			if warned := strings.Contains(u.logged(), "a name that means nothing"); warned != strings.HasPrefix(names, "web") {
				t.Errorf("warned: %v", warned)
			}
			cmd.Process.Signal(syscall.SIGTERM)
			u.ends(cmd, 0)
		})
	}
}

// TestNotifications follows what systemd is told in the life of a service.
func TestNotifications(t *testing.T) {
	release := make(chan struct{})
	file := filepath.Join(t.TempDir(), "config.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("stall_timeout: 60s\n")
	m := teller()
	m.Fault = func(n int, _ *upstream.Request) []upstream.Step {
		if n == 0 {
			return []upstream.Step{upstream.LimitBody(400, upstream.RST)}
		}
		return []upstream.Step{upstream.Hold(release)}
	}
	u := newUnit(t, m.Handle)
	cmd := u.start(os.Args[0], "set -- -config "+file+`; LISTEN_PID=$$ exec "$0" "$@"; `)
	u.told("\nREADY=1\n", "STATUS=0 streams open, 0 healed today")
	for _, text := range []string{"stall_timeout: 50s\n", "stall_timeout: soon\n"} {
		write(text)
		cmd.Process.Signal(syscall.SIGHUP)
		u.told("\nRELOADING=1\n", "\nMONOTONIC_USEC=")
		u.told("\nREADY=1\n")
	}
	c := &crowd{t: t, client: http.DefaultClient}
	done := make(chan error, 1)
	go func() { done <- c.askAt("http://"+u.public[1], "status") }()
	u.told("STATUS=1 streams open, 0 healed today")
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	u.told("STATUS=0 streams open, 1 healed today")
	cmd.Process.Signal(syscall.SIGTERM)
	// DRAIN_TIMEOUT, which may be more than the unit allows, and a little.
	u.told("\nSTOPPING=1\n", "\nEXTEND_TIMEOUT_USEC=315000000\n")
	u.ends(cmd, 0)
}

// limit sets how many descriptors a process may have open.
func limit(t *testing.T, pid int, n uint64) {
	t.Helper()
	const noFile = 7
	lim := syscall.Rlimit{Cur: n, Max: 4096}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), noFile, uintptr(unsafe.Pointer(&lim)), 0, 0, 0); errno != 0 {
		t.Skip("prlimit: ", errno)
	}
}

// TestWatchdog is fed as long as requests through the public sockets succeed,
// and no longer. A process that runs out of descriptors lives on.
func TestWatchdog(t *testing.T) {
	u := newUnit(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}), "WATCHDOG_USEC=300000")
	cmd := u.run()
	u.told("\nWATCHDOG=1\n")
	u.told("\nWATCHDOG=1\n")
	limit(t, cmd.Process.Pid, 3)
	u.says("the watchdog is not fed")
	for len(u.notes) > 0 {
		<-u.notes
	}
	quiet := time.After(time.Second)
	for over := false; !over; {
		select {
		case note := <-u.notes:
			if strings.Contains(note, "WATCHDOG") {
				t.Error("the watchdog is fed by a proxy that accepts nobody")
				over = true
			}
		case <-quiet:
			over = true
		}
	}
	limit(t, cmd.Process.Pid, 4096)
	u.told("\nWATCHDOG=1\n")
	if status, body := u.get(u.public[0], "/v1/x"); status != 200 || body != "{}" {
		t.Errorf("%d %q", status, body)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	u.ends(cmd, 0)
}

// TestLimits: a process that may not open what its settings need says so and
// does not start.
func TestLimits(t *testing.T) {
	u := newUnit(t, upstream.Always(nil))
	f := func(limit int, says string, env ...string) {
		t.Helper()
		u.env = append(u.env, env...)
		u.ends(u.start(os.Args[0], "ulimit -n "+strconv.Itoa(limit)+"; "), 1)
		<-u.ended
		if log := u.logged(); !strings.Contains(log, says) || !strings.Contains(log, "LimitNOFILE=") {
			t.Errorf("not in the log: %s\n%s", says, log)
		}
	}
	f(100, "may open 100 descriptors, and needs 256")
	f(1000, "MAX_STREAMS 500 with MAX_QUEUE 10 needs 1074", "MAX_STREAMS=500", "MAX_QUEUE=10")
}
