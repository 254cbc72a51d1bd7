package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
)

// asker sends requests of one client to a replica.
type asker struct {
	client *http.Client
	token  string
}

func (s *service) asker(token string) *asker {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.public)
	}
	a := &asker{client: &http.Client{Transport: &http.Transport{DialContext: dial}}, token: token}
	s.t.Cleanup(a.client.CloseIdleConnections)
	return a
}

// ask returns the status of the answer, when that is over.
func (a *asker) ask() (int, error) {
	r, err := http.NewRequest("POST", "http://proxy/v1beta/models/m:streamGenerateContent?alt=sse", strings.NewReader(`{"contents":[{"role":"user","parts":[{"text":"go"}]}]}`))
	if err != nil {
		return 0, err
	}
	r.Header.Set("X-Goog-Api-Key", a.token)
	resp, err := a.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// holder is an upstream that holds every answer until it is told to go on, and
// knows how many it held at once.
type holder struct {
	release       chan struct{}
	running, most atomic.Int64
}

func (h *holder) handle(*upstream.Request) upstream.Script {
	h.most.Store(max(h.most.Load(), h.running.Add(1)))
	return upstream.Script{upstream.Hold(h.release), upstream.Status(200, nil, "{}")}
}

// Ten replicas keep limits together to within a tenth: on what a client begins
// within a minute, and on what a client or a group runs at once.
func TestTenReplicasKeepLimits(t *testing.T) {
	const replicas, rate, streams = 10, 100, 20
	server := newRedisServer(t)
	up, err := upstream.New(upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.Close)
	file := configFile(t, fmt.Sprintf(`
groups:
  default: {targets: ["%[1]s"], keys: "env:KEYS"}
  busy: {targets: ["%[1]s"], keys: "env:KEYS", max_streams: %[2]d}
  keyed: {targets: ["%[1]s"], keys: "env:MANY", key_requests_per_minute: %[4]d}
queue_timeout: 1s
heal: off
clients:
  - {name: rated, token: "sha256:%[3]x", requests_per_minute: %[4]d}
  - {name: bounded, token: "sha256:%[5]x", max_streams: %[2]d}
  - {name: free, token: "sha256:%[6]x"}
  - {name: bursting, token: "sha256:%[7]x", requests_per_minute: %[4]d}
`, up.URL(), streams, sha256.Sum256([]byte("rated")), rate, sha256.Sum256([]byte("bounded")), sha256.Sum256([]byte("free")), sha256.Sum256([]byte("bursting"))))
	var all []*service
	for range replicas {
		all = append(all, servingWith(t, upstream.Always(nil), []string{"-config", file}, server.url(), "KEYS=CANARY-key", "MANY=CANARY-a"))
	}
	for _, s := range all {
		s.shows("/metrics", fmt.Sprintf("\ngemini_proxy_shared_replicas %d\n", replicas))
	}
	t.Run("rate", func(t *testing.T) {
		var wg sync.WaitGroup
		var passed, refused atomic.Int64
		stop := make(chan struct{})
		for _, s := range all {
			a := s.asker("rated")
			wg.Go(func() {
				for pause := time.NewTicker(20 * time.Millisecond); ; {
					select {
					case <-stop:
						return
					case <-pause.C:
					}
					switch status, err := a.ask(); {
					case status == 200 && err == nil:
						passed.Add(1)
					case status == 429 && err == nil:
						refused.Add(1)
					default:
						t.Errorf("status %d, %v", status, err)
						return
					}
				}
			})
		}
		soon(t, func() bool { return passed.Load() >= rate*9/10 })
		after := refused.Load()
		soon(t, func() bool { return refused.Load() > after+500 })
		close(stop)
		wg.Wait()
		if n := passed.Load(); n > rate*11/10 {
			t.Errorf("%d requests began within a minute, want %d to within a tenth", n, rate)
		}
	})
	// What comes in at one replica only is not refused because the others hold
	// their parts.
	for _, token := range []string{"bursting", "keyed:free"} {
		t.Run("burst of "+token, func(t *testing.T) {
			var wg sync.WaitGroup
			for range rate * 6 / 10 {
				a := all[0].asker(token)
				wg.Go(func() {
					if status, err := a.ask(); status != 200 || err != nil {
						t.Errorf("status %d, %v", status, err)
					}
				})
			}
			wg.Wait()
		})
	}
	for _, token := range []string{"bounded", "busy:free"} {
		t.Run(token, func(t *testing.T) {
			h := &holder{release: make(chan struct{})}
			up.SetHandler(h.handle)
			var wg sync.WaitGroup
			var passed, refused atomic.Int64
			for i := range 3 * streams {
				// Half of them come in at the first replica.
				a := all[max(0, i%(2*replicas)-replicas)].asker(token)
				wg.Go(func() {
					switch status, err := a.ask(); {
					case status == 200 && err == nil:
						passed.Add(1)
					case status == 429 || status == 503:
						refused.Add(1)
					default:
						t.Errorf("status %d, %v", status, err)
					}
				})
			}
			soon(t, func() bool { return h.running.Load()+refused.Load() == 3*streams })
			close(h.release)
			wg.Wait()
			if n := h.most.Load(); n < streams*9/10 || n > streams*11/10 || passed.Load() != n {
				t.Errorf("%d ran at once, %d came whole; want %d to within a tenth", n, passed.Load(), streams)
			}
		})
	}
}

// soon waits until it is so.
func soon(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is() && !t.Failed(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come")
		}
	}
}
