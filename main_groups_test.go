package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
)

const story = "Once upon a time there was a river that wanted to see the sea, and it went there, stone by stone, and never looked back."

// teller is a model that tells the story slowly enough to be interrupted.
func teller() *upstream.Model {
	return &upstream.Model{Answer: story, Piece: 6, Wait: 2 * time.Millisecond}
}

// crowd are clients that ask one question after another.
type crowd struct {
	t      *testing.T
	client *http.Client
	whole  atomic.Int64
	stop   chan struct{}
	wg     sync.WaitGroup
}

// gather starts n clients of the program's public socket.
func (s *service) gather(n int) *crowd {
	c := &crowd{t: s.t, stop: make(chan struct{})}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.public)
	}
	c.client = &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: n}}
	for i := range n {
		c.wg.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-c.stop:
					return
				default:
				}
				if err := c.ask(fmt.Sprintf("client %d, question %d", i, k)); err != nil {
					c.t.Errorf("client %d, question %d: %v", i, k, err)
					return
				}
				c.whole.Add(1)
			}
		})
	}
	return c
}

// ask asks for the story and returns an error if it does not come whole.
func (c *crowd) ask(question string) error { return c.askAt("http://proxy", question) }

// askAt is ask of a proxy at base.
func (c *crowd) askAt(base, question string) error {
	body := fmt.Sprintf(`{"contents":[{"role":"user","parts":[{"text":%q}]}]}`, question)
	resp, err := c.client.Post(base+"/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		return fmt.Errorf("status %d, %v, %q", resp.StatusCode, err, b)
	}
	got, finishes := "", 0
	for event := range strings.SplitSeq(string(b), "\r\n\r\n") {
		var chunk struct {
			Candidates []struct {
				FinishReason string
				Content      struct{ Parts []struct{ Text string } }
			}
		}
		if event = strings.TrimPrefix(event, "data: "); event == "" {
			continue
		}
		if err := json.Unmarshal([]byte(event), &chunk); err != nil {
			return fmt.Errorf("%v in %q", err, event)
		}
		for _, candidate := range chunk.Candidates {
			for _, p := range candidate.Content.Parts {
				got += p.Text
			}
			if candidate.FinishReason != "" {
				finishes++
			}
		}
	}
	if got != story || finishes != 1 {
		return fmt.Errorf("%d finishes, %q", finishes, got)
	}
	return nil
}

// more waits until n more answers have come whole.
func (c *crowd) more(n int64) {
	c.t.Helper()
	goal := c.whole.Load() + n
	for end := time.Now().Add(patience); c.whole.Load() < goal && !c.t.Failed(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("%d answers, want %d", c.whole.Load(), goal)
		}
	}
}

func (c *crowd) leave() {
	close(c.stop)
	c.wg.Wait()
	c.client.CloseIdleConnections()
}

// gate passes connections on to an upstream, and can be closed and opened again
// at the same address. What comes back can be late.
type gate struct {
	t     *testing.T
	addr  string
	to    string
	late  atomic.Int64 // nanoseconds that each piece of it takes
	mu    sync.Mutex
	l     net.Listener
	conns []net.Conn
}

func newGate(t *testing.T, to string) *gate {
	g := &gate{t: t, addr: "127.0.0.1:0", to: to}
	g.open()
	t.Cleanup(g.close)
	return g
}

func (g *gate) open() {
	l, err := net.Listen("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.mu.Lock()
	g.l, g.addr = l, l.Addr().String()
	g.mu.Unlock()
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", g.to)
			if err != nil {
				in.Close()
				continue
			}
			g.mu.Lock()
			g.conns = append(g.conns, in, out)
			g.mu.Unlock()
			go func() { io.Copy(out, in); out.Close() }()
			go func() { io.Copy(slowly{in, &g.late}, out); in.Close() }()
		}
	}()
}

// slowly writes late.
type slowly struct {
	net.Conn
	late *atomic.Int64
}

func (s slowly) Write(p []byte) (int, error) {
	time.Sleep(time.Duration(s.late.Load()))
	return s.Conn.Write(p)
}

// close resets every connection.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.l.Close()
	for _, c := range g.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	g.conns = nil
}

// configFile writes a configuration.
func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A target that dies in the middle of many answers, and comes back, is noticed by
// no client.
func TestTargetDiesUnderLoad(t *testing.T) {
	var ups [2]*upstream.Upstream
	for i := range ups {
		up, err := upstream.New(teller().Handle)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(up.Close)
		up.SetRecord(false)
		ups[i] = up
	}
	weak := newGate(t, ups[0].Addr())
	file := configFile(t, fmt.Sprintf(`
groups:
  default:
    targets: ["http://%s", "%s"]
    eject_time: 200ms
    eject_max_time: 1s
    retry_budget_per_second: 1000
continue_mode: prompt
continue_prompt: Go on.
retry_base_delay: 10ms
`, weak.addr, ups[1].URL()))
	s := servingWith(t, upstream.Always(nil), []string{"-config", file})
	c := s.gather(16)
	c.more(100)
	for range 2 {
		weak.close()
		c.more(100)
		before := ups[0].Count()
		weak.open()
		if !ups[0].Await(patience, func() bool { return ups[0].Count() > before+20 }) {
			t.Error("the target is back, and is not asked")
		}
		c.more(50)
	}
	c.leave()
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.ends(0)
	if !strings.Contains(s.stderr.String(), "target ejected") {
		t.Error("the target was not ejected")
	}
}

// Twenty broken files under load: nobody notices, until a good one comes.
func TestBrokenFilesUnderLoad(t *testing.T) {
	up, err := upstream.New(teller().Handle)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.Close)
	file := configFile(t, "groups: {default: {targets: [\""+up.URL()+"\"]}}\n")
	s := servingWith(t, upstream.Always(nil), []string{"-config", file})
	metric := func() string {
		c := s.dial(s.admin)
		io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		_, body, _ := reply(c)
		_, value, _ := strings.Cut(body, "\ngemini_proxy_config_last_reload_successful ")
		return value[:min(1, len(value))]
	}
	load := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.cmd.Process.Signal(syscall.SIGHUP)
		s.told("RELOADING=1\nMONOTONIC_USEC=")
		s.told("READY=1")
	}
	c := s.gather(8)
	c.more(20)
	for _, text := range []string{
		"", "\n", "{", "groups: [", "groups: []", "groups: {}", "groups: {default: 5}", "groups: {a: , b: }", "a: b: c", "\x00", "\xff\xfe",
		"groups: {default: {targets: []}}", "groups: {default: {targets: [x]}}", "groups: {default: {keys: env:NOT_SET}}",
		"groups: {default: {stall_timeout: 5}}", "groups: {default: {fallback: x}}", "groups: {default: {wat: 1}}",
		"clients: [{name: a}]", "stall_timeout: x", "max_streams: -1", "- a", strings.Repeat("x", 1<<17),
	} {
		load(text)
		if got := metric(); got != "0" {
			t.Errorf("%.40q: the gauge is %q", text, got)
		}
	}
	if s.up.Count() != 0 {
		t.Error("a broken file sent requests elsewhere")
	}
	load("groups: {default: {targets: [\"" + up.URL() + "\"]}}\nmax_streams: 100\n")
	if got := metric(); got != "1" {
		t.Errorf("a good file: the gauge is %q", got)
	}
	c.more(20)
	c.leave()
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.ends(0)
	for _, place := range []string{file + ":1:9: groups", file + ":1:20: "} {
		if !strings.Contains(s.stderr.String(), place) {
			t.Errorf("the log does not name %s:\n%s", place, s.stderr.String())
		}
	}
}

// Keys that everybody could use are no way to start.
func TestKeysNeedClients(t *testing.T) {
	file := configFile(t, "groups: {default: {keys: env:KEYS}}\n")
	for _, args := range [][]string{{"-config", file}, {"-check", "-config", file}} {
		status, stdout, stderr := runs(t, []string{"LISTEN_ADDR=:0", "KEYS=AIzaCANARY"}, args...)
		if status != 1 || !strings.Contains(stderr, `group "default" has keys`) || strings.Contains(stdout+stderr, "CANARY") {
			t.Errorf("%q: status %d\n%s", args, status, stderr)
		}
	}
	status, _, stderr := runs(t, []string{"LISTEN_ADDR=127.0.0.1:0", "KEYS=AIzaCANARY"}, "-check", "-config", file)
	if status != 0 {
		t.Errorf("on loopback: status %d\n%s", status, stderr)
	}
}

// A process without memory to spare refuses new streams.
func TestMemoryIsShort(t *testing.T) {
	s := serving(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}), "GOMEMLIMIT=1MiB")
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c := s.dial(s.public)
		io.WriteString(c, get)
		status, body, _ := reply(c)
		if status == 503 && strings.Contains(body, "memory") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d %s", status, body)
		}
	}
	// Health is still told.
	c := s.dial(s.public)
	io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
	if status, _, err := reply(c); status != 200 {
		t.Error(status, err)
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.ends(0)
}

// A socket that was handed over counts, and not the address that is not used:
// nobody else reaches it, so that keys need no clients, now and when they are
// loaded again.
func TestKeysOnAnInheritedSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	file := configFile(t, "groups: {default: {keys: env:KEYS}}\n")
	s := servingAs(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}), func(own []string) *exec.Cmd {
		cmd := program(t, append(own, "LISTEN_FDS=1", "LISTEN_ADDR=:8080", "KEYS=AIzaCANARY"))
		cmd.Args = []string{"sh", "-c", `LISTEN_PID=$$ exec "$0" -config "$1"`, cmd.Path, file}
		if cmd.Path, err = exec.LookPath("sh"); err != nil {
			t.Skip(err)
		}
		cmd.ExtraFiles = []*os.File{socket}
		return cmd
	})
	ask := func() {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, get)
		if status, body, err := reply(c); status != 200 {
			t.Errorf("%d %q %v", status, body, err)
		}
	}
	ask()
	s.cmd.Process.Signal(syscall.SIGHUP)
	s.told("RELOADING=1")
	s.told("READY=1")
	s.shows("/metrics", "\ngemini_proxy_config_last_reload_successful 1\n")
	ask()
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.ends(0)
}
