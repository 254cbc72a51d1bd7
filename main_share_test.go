package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"gemini-resilient-proxy/bench/upstream"
)

// redisServer is a server that can be stopped and started again: a real one
// when one is installed.
type redisServer struct {
	t    *testing.T
	addr string // of the server itself
	way  *gate  // that the replicas take to it
	bin  string
	cmd  *exec.Cmd
	mini *miniredis.Miniredis
}

func newRedisServer(t *testing.T) *redisServer {
	r := &redisServer{t: t}
	for _, name := range []string{"valkey-server", "redis-server"} {
		if path, err := exec.LookPath(name); err == nil && r.bin == "" {
			r.bin = path
		}
	}
	t.Logf("server: %q; without one it is in this process", r.bin)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	l.Close()
	r.way = newGate(t, r.addr)
	r.start()
	t.Cleanup(func() {
		if r.cmd != nil || r.mini != nil {
			r.stop()
		}
	})
	return r
}

func (r *redisServer) start() {
	r.t.Helper()
	if r.bin == "" {
		r.mini = miniredis.NewMiniRedis()
		r.mini.RequireAuth(redisPassword)
		if err := r.mini.StartAddr(r.addr); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	_, port, _ := net.SplitHostPort(r.addr)
	r.cmd = exec.Command(r.bin, "--port", port, "--bind", "127.0.0.1", "--requirepass", redisPassword, "--save", "", "--appendonly", "no", "--dir", r.t.TempDir())
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("tcp", r.addr); err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			r.t.Fatal("the server does not start")
		}
	}
}

func (r *redisServer) stop() {
	if r.mini != nil {
		r.mini.Close()
		r.mini = nil
		return
	}
	r.cmd.Process.Kill()
	r.cmd.Wait()
	r.cmd = nil
}

// freeze makes a real server silent, with its connections open; thaw ends it.
func (r *redisServer) freeze() { r.cmd.Process.Signal(stopSignal) }
func (r *redisServer) thaw()   { r.cmd.Process.Signal(goOnSignal) }

// slow makes the answers come so late that no lease can be had for them; quick
// ends it.
func (r *redisServer) slow()  { r.way.late.Store(int64(700 * time.Millisecond)) }
func (r *redisServer) quick() { r.way.late.Store(0) }

// url is what a replica is told.
func (r *redisServer) url() string { return "REDIS_URL=redis://:" + redisPassword + "@" + r.way.addr }

// redisPassword must not be seen anywhere.
const redisPassword = "CANARY-password"

// page gets a page of the admin listener.
func (s *service) page(path string) string {
	c := s.dial(s.admin)
	io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	_, body, _ := reply(c)
	return body
}

// shows waits until a page of the admin listener holds the text.
func (s *service) shows(path, text string) {
	s.t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(s.page(path), text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("%s does not show %q:\n%s", path, text, s.stderr.String())
		}
	}
}

// Three replicas on one server: what one learns of a key or a target, all know;
// and nobody notices when the server is stopped, slow, silent, and back.
func TestReplicasShareAServer(t *testing.T) {
	server := newRedisServer(t)
	up, err := upstream.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.Close)
	var mu sync.Mutex
	poor := map[string]int{}
	told := teller()
	up.SetHandler(func(r *upstream.Request) upstream.Script {
		key := r.Header.Get("X-Goog-Api-Key")
		if !strings.HasSuffix(key, "-spent") {
			return told.Handle(r)
		}
		mu.Lock()
		poor[key]++
		mu.Unlock()
		return upstream.Script{upstream.Status(429, nil, `{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"quota","details":[`+
			`{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"3000s"}]}}`)}
	})
	dead := newGate(t, up.Addr())
	dead.close()
	file := configFile(t, fmt.Sprintf(`
groups:
  default:
    targets: ["%s", "http://%s"]
    keys: ["env:KEYS"]
    retry_budget_per_second: 1000
    eject_after: 1
    eject_time: 5m
    max_streams: 100
continue_mode: prompt
continue_prompt: Go on.
retry_base_delay: 10ms
`, up.URL(), dead.addr))
	var all []*service
	for range 3 {
		all = append(all, servingWith(t, upstream.Always(nil), []string{"-config", file},
			server.url(), "KEYS=CANARY-one-good\nCANARY-two-spent\nCANARY-three-good"))
	}
	for _, s := range all {
		s.shows("/metrics", "\ngemini_proxy_shared_joined 1\n")
		s.shows("/metrics", "\ngemini_proxy_shared_replicas 3\n")
	}
	// The first replica parks the key and ejects the target; the others have
	// not asked anything.
	c := all[0].gather(2)
	c.more(20)
	c.leave()
	for _, s := range all {
		s.shows("/groups", `"state": "parked"`)
		s.shows("/groups", `"state": "ejected"`)
	}
	var crowds []*crowd
	for _, s := range all {
		crowds = append(crowds, s.gather(6))
	}
	more := func() {
		t.Helper()
		for _, c := range crowds {
			c.more(30)
		}
	}
	more()
	mu.Lock()
	if n := poor["CANARY-two-spent"]; n < 1 || n > 2 {
		t.Errorf("the key was used %d times, want those of the first replica", n)
	}
	mu.Unlock()
	for _, s := range all[1:] {
		s.shows("/metrics", "\ngemini_proxy_shared_marks_total 2\n")
		s.shows("/metrics", `gemini_proxy_target_ejections_total{group="default"} 0`)
	}
	outage := func(begin, end func()) {
		t.Helper()
		begin()
		for _, s := range all {
			s.shows("/metrics", "\ngemini_proxy_shared_joined 0\n")
		}
		more()
		end()
		for _, s := range all {
			s.shows("/metrics", "\ngemini_proxy_shared_joined 1\n")
		}
		more()
	}
	outage(server.stop, server.start)
	outage(server.slow, server.quick)
	if server.cmd != nil {
		outage(server.freeze, server.thaw)
	}
	for _, c := range crowds {
		c.leave()
	}
	for i, s := range all {
		s.cmd.Process.Signal(syscall.SIGTERM)
		s.ends(0)
		if log := s.stderr.String(); strings.Contains(log, "CANARY") || !strings.Contains(log, "this replica goes on alone") {
			t.Error(log)
		}
		// Whoever ends is not counted any more.
		for _, other := range all[i+1:] {
			other.shows("/metrics", fmt.Sprintf("\ngemini_proxy_shared_replicas %d\n", len(all)-i-1))
		}
	}
}

// client returns a client of the server itself.
func (r *redisServer) client() *redis.Client {
	r.t.Helper()
	opts, err := redis.ParseURL("redis://:" + redisPassword + "@" + r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	return redis.NewClient(opts)
}

// empty takes all data from the server.
func (r *redisServer) empty() {
	r.t.Helper()
	c := r.client()
	defer c.Close()
	if err := c.FlushAll(context.Background()).Err(); err != nil {
		r.t.Fatal(err)
	}
}

// count returns how many fields a hash has.
func (r *redisServer) count(key string) int64 {
	c := r.client()
	defer c.Close()
	return c.HLen(context.Background(), key).Val()
}

// dump returns all that the server holds.
func (r *redisServer) dump() string {
	c := r.client()
	defer c.Close()
	var text strings.Builder
	for _, key := range c.Keys(context.Background(), "*").Val() {
		fmt.Fprintln(&text, key, c.HGetAll(context.Background(), key).Val(), c.ZRange(context.Background(), key, 0, -1).Val())
	}
	return text.String()
}
