package proxy_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"gemini-resilient-proxy/bench/upstream"
)

// admin asks the admin handler.
func (r *rig) admin(method, path string) (status int, body string) {
	w := httptest.NewRecorder()
	r.server.Admin().ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code, w.Body.String()
}

// series returns the names and labels of all series of the proxy's own.
func (r *rig) series() map[string]string {
	_, text := r.admin("GET", "/metrics")
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && strings.HasPrefix(name, "gemini_proxy_") {
			all[name+"}"] = value
		} else if name, value, ok = strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(name, "gemini_proxy_") {
			all[name] = value
		}
	}
	return all
}

func TestAdmin(t *testing.T) {
	r := newRig(t, plain, nil)
	f := func(method, path string, status int, has string) {
		t.Helper()
		if got, body := r.admin(method, path); got != status || !strings.Contains(body, has) {
			t.Errorf("%s %s: %d %q, want %d", method, path, got, tail(body, 200), status)
		}
	}
	f("GET", "/healthz", 200, "ok")
	f("GET", "/readyz", 200, "ready")
	f("GET", "/metrics", 200, "gemini_proxy_open_requests 0")
	f("GET", "/debug/pprof/", 200, "goroutine")
	f("GET", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile")
	f("GET", "/debug/pprof/cmdline", 200, "")
	f("GET", "/nothing", 404, "")
	f("POST", "/healthz", 405, "")
	f("GET", "/v1beta/models", 404, "")
}

// TestReadyWhileDraining turns the readiness before anything else.
func TestReadyWhileDraining(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, upstream.Always(upstream.Script{upstream.Hold(release), upstream.Status(200, nil, "{}")}), nil)
	w := r.wire()
	w.send("GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n")
	r.arrived(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.server.Drain(context.Background())
	}()
	if !eventually(func() bool { status, _ := r.admin("GET", "/readyz"); return status == 503 }) {
		t.Error("ready while draining")
	}
	if status, _ := r.admin("GET", "/healthz"); status != 200 {
		t.Errorf("healthz while draining: %d", status)
	}
	close(release)
	w.wants("GET", 200)
	r.await("the drain", done)
	if err := <-r.served; err != nil {
		t.Error(err)
	}
	r.once.Do(r.up.Close)
}

// TestPublicListener has health and nothing else of its own: what looks like
// the admin's is the upstream's.
func TestPublicListener(t *testing.T) {
	r := newRig(t, plain, nil)
	if resp, body, err := r.do("GET", "/healthz", ""); err != nil || resp.StatusCode != 200 || body != "ok\n" || r.up.Count() != 0 {
		t.Errorf("%v %v %q, %d requests upstream", resp, err, body, r.up.Count())
	}
	if resp, body, err := r.do("HEAD", "/healthz", ""); err != nil || resp.StatusCode != 200 || body != "" || r.up.Count() != 0 {
		t.Errorf("%v %v %q, %d requests upstream", resp, err, body, r.up.Count())
	}
	for i, path := range []string{"/metrics", "/readyz", "/debug/pprof/", "/debug/pprof/goroutine", "/healthz/", "/HEALTHZ", "/"} {
		if _, body, err := r.do("GET", path, ""); err != nil || body != `{"ok":true}` {
			t.Errorf("%s: %v %q", path, err, body)
		}
		if q := r.arrived(i); q.Target != path {
			t.Errorf("%s arrived as %s", path, q.Target)
		}
	}
}

func TestMetrics(t *testing.T) {
	m := &upstream.Model{Answer: strings.Repeat("word ", 40), Fault: func(n int, _ *upstream.Request) []upstream.Step {
		if n == 0 {
			return []upstream.Step{upstream.LimitBody(700, upstream.RST)}
		}
		return nil
	}}
	r := newRig(t, m.Handle, nil)
	r.post(streamPath, ask("hi"))
	r.do("GET", "/v1/%2e%2e/x", "")
	r.idle()
	got := r.series()
	for name, want := range map[string]string{
		`gemini_proxy_requests_total{code="2xx",group="default",kind="heal"}`: "1",
		`gemini_proxy_requests_total{code="4xx",group="",kind="refused"}`:     "1",
		`gemini_proxy_upstream_attempts_total{group="default"}`:               "2",
		`gemini_proxy_interruptions_total{cause="cut",group="default"}`:       "1",
		`gemini_proxy_interruptions_total{cause="stall",group="default"}`:     "0",
		`gemini_proxy_healed_total{group="default"}`:                          "1",
		`gemini_proxy_open_requests`:                                          "0",
		`gemini_proxy_panics_total`:                                           "0",
		`gemini_proxy_seam_gap_seconds_count`:                                 "1",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	_, text := r.admin("GET", "/metrics")
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "gemini_proxy_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// TestMetricsAreBounded sends what is different each time: there must not be
// a series more for it.
func TestMetricsAreBounded(t *testing.T) {
	r := newRig(t, plain, nil)
	w := r.wire()
	round := func(i int) {
		for _, method := range []string{"GET", fmt.Sprintf("M%d", i)} {
			w.send(fmt.Sprintf("%s /v%d/models/m%d:a%d?key=g%d:K%d&group=x%d HTTP/1.1\r\nHost: h%d.example.com\r\nX-Proxy-Group: g%d\r\n\r\n", method, i, i, i, i, i, i, i, i))
			w.wants(method, 200)
		}
	}
	round(0)
	r.idle()
	before := len(r.series())
	for i := range 500 {
		round(i)
	}
	if after := len(r.series()); after != before {
		t.Errorf("%d series, then %d", before, after)
	}
}
