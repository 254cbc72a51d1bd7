package proxy_test

import (
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
	"gemini-resilient-proxy/routing"
)

// fleet is a stage with one upstream more for each target.
type fleet struct {
	*stage
	ups   []*upstream.Upstream // the stage's own is the first
	began time.Time
}

// newFleet starts n upstreams and a proxy with groups that know them.
func newFleet(t testing.TB, n int, change func(c *proxy.Config, targets []proxy.TargetConfig)) *fleet {
	t.Helper()
	f := &fleet{began: time.Now(), ups: make([]*upstream.Upstream, n)}
	targets := make([]proxy.TargetConfig, n)
	for i := 1; i < n; i++ {
		up, err := upstream.New(upstream.Always(nil))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(up.Close)
		f.ups[i], targets[i].URL = up, up.URL()
	}
	f.stage = newStage(t, func(c *proxy.Config) {
		targets[0].URL = c.UpstreamURLBase
		c.ListenAddr = "127.0.0.1:0"
		c.GroupMapping = nil
		change(c, targets)
		c.DefaultGroup = c.Groups[0].Name
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
	})
	f.ups[0] = f.up
	return f
}

// play answers with a script for each upstream.
func (f *fleet) play(scripts ...upstream.Script) {
	for i, up := range f.ups {
		up.SetHandler(upstream.Always(scripts[min(i, len(scripts)-1)]))
		up.Reset()
	}
}

// counts returns how many requests each upstream saw, "1 0 2".
func (f *fleet) counts() string {
	var list []string
	for _, up := range f.ups {
		list = append(list, strconv.Itoa(up.Count()))
	}
	return strings.Join(list, " ")
}

// metric returns a line of /metrics, "" when there is none.
func (r *rig) metric(series string) string {
	w := httptest.NewRecorder()
	r.server.Admin().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// secrets are keys of a group, each at least as long as one of the API.
func secrets(n int) []routing.KeySpec {
	list := make([]routing.KeySpec, n)
	for i := range list {
		list[i] = routing.KeySpec{Name: fmt.Sprintf("env:KEYS#%d", i+1), Secret: routing.Secret(fmt.Sprintf("AIzaCANARY-of-the-pool-key%d", i+1))}
	}
	return list
}

// keysUsed returns the last letters of the keys that an upstream was sent.
func keysUsed(up *upstream.Upstream) string {
	used := ""
	for _, r := range up.Requests() {
		key := r.Header.Get("X-Goog-Api-Key") + r.Header.Get("Authorization")
		used += key[max(0, len(key)-1):]
	}
	return used
}

// A target dies in the middle of an answer: another one finishes it.
func TestFailoverInMidAnswer(t *testing.T) {
	for name, end := range map[string]upstream.Step{"cut": upstream.Cut(), "reset": upstream.Reset(), "error": upstream.ErrorEvent(503, "UNAVAILABLE", "x")} {
		f := newFleet(t, 2, func(c *proxy.Config, targets []proxy.TargetConfig) {
			targets[1].Priority = 1
			targets[1].Path = "/spare"
			c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets}}
		})
		f.play(upstream.Script{upstream.Text(first), end}, rest)
		a := f.ask(streamPath, f.body)
		if a.err != nil || textOf(t, a.body) != first+second {
			t.Errorf("%s: %v %q", name, a.err, a.body)
		}
		if got := f.counts(); got != "1 1" {
			t.Errorf("%s: attempts %s, want one on each", name, got)
		}
		if r := f.ups[1].Requests()[0]; !strings.HasPrefix(r.Target, "/spare/v1beta/") || r.Host != f.ups[1].Addr() {
			t.Errorf("%s: %s at %s", name, r.Target, r.Host)
		}
	}
}

// A long decode goes on where it began: no other target has its checkpoint. When
// that place gives nothing, its text is all there is to go on with.
func TestLongDecodeStaysWithItsTarget(t *testing.T) {
	for range 5 {
		f := newFleet(t, 3, func(c *proxy.Config, targets []proxy.TargetConfig) {
			c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets, Secrets: secrets(3)}}
		})
		for _, up := range f.ups {
			up.SetHandler(upstream.InTurn(
				upstream.Script{token("Once ", "T1"), upstream.Text("upon "), upstream.Cut()},
				upstream.Script{upstream.Text("upon a time."), upstream.Finish("STOP")},
			))
		}
		a := f.ask(streamPath, f.body)
		if a.err != nil || textOf(t, a.body) != "Once upon a time." {
			t.Errorf("%v %q", a.err, a.body)
		}
		for _, up := range f.ups {
			if r := up.Requests(); len(r) == 1 || len(r) == 2 && (!strings.Contains(string(r[1].Body), `"continuationToken":"T1"`) || keysUsed(up)[0] != keysUsed(up)[1]) {
				t.Errorf("requests %s, keys %s: a long decode has left its place", f.counts(), keysUsed(up))
			}
		}
	}
}

func TestLongDecodeLeavesADeadTarget(t *testing.T) {
	f := newFleet(t, 2, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets}}
	})
	for _, up := range f.ups {
		up.SetHandler(func(r *upstream.Request) upstream.Script {
			switch body := string(r.Body); {
			case strings.Contains(body, "continuationToken"):
				return upstream.Script{upstream.Status(503, nil, "no")}
			case strings.Contains(body, `"role":"model"`):
				return upstream.Script{upstream.Text("a time."), upstream.Finish("STOP")}
			}
			return upstream.Script{token("Once ", "T1"), upstream.Text("upon "), upstream.Cut()}
		})
	}
	a := f.ask(streamPath, f.body)
	if a.err != nil || textOf(t, a.body) != "Once upon a time." {
		t.Errorf("%v %q", a.err, a.body)
	}
	if got := f.counts(); got != "2 1" && got != "1 2" {
		t.Errorf("requests %s, want two where it began and one elsewhere", got)
	}
}

// A target that is gone costs each request one attempt, until it is ejected.
func TestDeadTargetIsEjected(t *testing.T) {
	f := newFleet(t, 2, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets, Settings: map[string]string{"retry_budget": "off"}}}
	})
	f.play(whole)
	f.ups[0].Close()
	for i := range 60 {
		if a := f.ask(streamPath, f.body); a.status != 200 || textOf(t, a.body) != first+second {
			t.Fatalf("request %d: %d %q", i, a.status, a.body)
		}
	}
	if got := f.ups[1].Count(); got != 60 {
		t.Errorf("the living target answered %d, want 60", got)
	}
	if got := f.metric(`gemini_proxy_interruptions_total{cause="connect_failed",group="g"}`); got != "5" {
		t.Errorf("%s attempts failed, want 5: then the target is left out", got)
	}
	if got := f.metric(`gemini_proxy_target_ejections_total{group="g"}`); got != "1" || strings.Count(f.log.String(), "target ejected") != 1 {
		t.Errorf("%s ejections", got)
	}
	_, body := f.admin("GET", "/groups")
	for _, want := range []string{`"state": "ejected"`, `"reason": "connect_failed"`, `"ejections": 1`, `"state": "admitted"`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
}

// The last target is asked however often it fails.
func TestOnlyTargetIsNeverEjected(t *testing.T) {
	f := newFleet(t, 1, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets, Settings: map[string]string{"max_consecutive_failures": "1"}}}
	})
	f.play(upstream.Script{upstream.Status(503, nil, "no")})
	for range 10 {
		if a := f.ask(streamPath, f.body); a.status != 503 || a.body != "no" {
			t.Fatal(a.status, a.body)
		}
	}
	f.play(whole)
	if a := f.ask(streamPath, f.body); a.status != 200 {
		t.Error(a.status)
	}
}

// A client in a hurry cannot get a target ejected.
func TestHurriedClientIsNoFaultOfTheTarget(t *testing.T) {
	f := newFleet(t, 2, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets}}
	})
	f.play(upstream.Script{upstream.Stall()})
	for range 4 {
		f.ask(streamPath, f.body, "X-Server-Timeout", "0.01")
	}
	if got := f.metric(`gemini_proxy_target_ejections_total{group="g"}`); got != "0" {
		t.Errorf("%s ejections", got)
	}
}

// An answer that has begun waits for the budget, and is not given up while there
// may be some of it.
func TestBegunAnswerWaitsForTheBudget(t *testing.T) {
	f := newFleet(t, 1, func(c *proxy.Config, targets []proxy.TargetConfig) {
		// A retry for each request, and none in reserve.
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets, Settings: map[string]string{
			"retry_budget_percent": "100", "retry_budget_per_second": "0"}}}
	})
	f.up.SetHandler(func(r *upstream.Request) upstream.Script {
		switch {
		case strings.Contains(string(r.Body), "another"):
			return whole
		case strings.Contains(string(r.Body), first):
			return upstream.Script{upstream.TextFinish("time.", "STOP")}
		case strings.Contains(string(r.Body), "Once "):
			return upstream.Script{upstream.Text("upon "), upstream.Cut()}
		}
		return upstream.Script{upstream.Text("Once "), upstream.Cut()}
	})
	done := make(chan answer)
	go func() { done <- f.ask(streamPath, f.body) }()
	// The second cut finds the budget empty.
	if !eventually(func() bool { return f.metric(`gemini_proxy_interruptions_total{cause="cut",group="g"}`) == "2" }) {
		t.Fatal("it did not break twice")
	}
	if f.up.Count() != 2 {
		t.Errorf("%d attempts beyond the budget", f.up.Count())
	}
	if a := f.ask(streamPath, ask("another")); a.status != 200 {
		t.Error(a.status)
	}
	if a := <-done; a.err != nil || textOf(t, a.body) != first+"time." {
		t.Errorf("%v %q", a.err, a.body)
	}
}

// The fallback takes over in the middle of an answer: another upstream, path,
// model and key.
func TestFallbackInMidAnswer(t *testing.T) {
	f := newFleet(t, 2, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{
			{Name: "g", Targets: targets[:1], Fallback: "spare", Models: map[string]string{"fast": "gemini-2.5-flash"}},
			{Name: "spare", Path: "/other", Targets: targets[1:], Secrets: secrets(1), ClientKeys: "replace", Models: map[string]string{"fast": "gemini-2.0-flash"}},
		}
	})
	f.body = `{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f"},"thoughtSignature":"c2lnbmF0dXJl"}]},{"role":"user","parts":[{"text":"\"thoughtSignature\": \"kept\""}]}]}`
	f.ups[0].SetHandler(upstream.InTurn(
		upstream.Script{upstream.Text(first), upstream.Cut()},
		upstream.Script{upstream.Status(503, nil, "no")},
	))
	f.ups[1].SetHandler(upstream.Always(rest))
	a := f.ask("/v1beta/models/fast:streamGenerateContent?alt=sse", f.body, "x-goog-api-key", "own")
	if a.err != nil || textOf(t, a.body) != first+second {
		t.Fatalf("%v %q", a.err, a.body)
	}
	if got := f.counts(); got != "2 1" {
		t.Errorf("attempts %s, want two and then the fallback's", got)
	}
	if r := f.ups[0].Requests()[0]; !strings.Contains(r.Target, "/models/gemini-2.5-flash:") || string(r.Body) != f.body {
		t.Errorf("%s %s", r.Target, r.Body)
	}
	r := f.ups[1].Requests()[0]
	if !strings.HasPrefix(r.Target, "/other/v1beta/models/gemini-2.0-flash:") || r.Header.Get("X-Goog-Api-Key") != "own" {
		t.Errorf("%s %s", r.Target, r.Raw)
	}
	if body := string(r.Body); strings.Contains(body, "c2lnbmF0dXJl") || !strings.Contains(body, `\"thoughtSignature\": \"kept\"`) {
		t.Errorf("a signature of another upstream is sent on: %s", body)
	}
	if got := f.metric(`gemini_proxy_fallback_attempts_total{group="g"}`); got != "1" {
		t.Errorf("%s fallback attempts", got)
	}
}

// Retries and continuations together keep within the budget, and what it does not
// allow is answered as it is.
func TestRetryBudget(t *testing.T) {
	f := newFleet(t, 1, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets, Settings: map[string]string{
			"retry_budget_percent": "20", "retry_budget_per_second": "1"}}}
	})
	f.play(upstream.Script{upstream.ErrorBody(503, "UNAVAILABLE", "overloaded", 0)})
	const n = 200
	for range n {
		if a := f.ask(streamPath, f.body); a.status != 503 || !strings.Contains(a.body, "overloaded") {
			t.Fatal(a.status, a.body)
		}
	}
	// Ten of the reserve and a fifth of the requests, in each ten seconds.
	spans := 1 + int(time.Since(f.began)/(10*time.Second))
	if got, most := f.up.Count(), n+n/5+10*spans+1; got > most || got < n+n/5 {
		t.Errorf("%d attempts for %d requests, at most %d allowed", got, n, most)
	}
	if f.metric(`gemini_proxy_given_up_total{group="g",reason="budget"}`) == "" {
		t.Error("no request was given up for the budget")
	}
}

// A retry that would come when the client has given up is not waited for.
func TestNoRetryPastTheClientsDeadline(t *testing.T) {
	for _, path := range []string{streamPath, "/v1beta/models/gemini-2.5-flash:generateContent"} {
		f := newFleet(t, 1, func(c *proxy.Config, targets []proxy.TargetConfig) {
			c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets}}
		})
		f.play(upstream.Script{upstream.ErrorBody(503, "UNAVAILABLE", "overloaded", 20*time.Second)})
		if a := f.ask(path, f.body, "X-Server-Timeout", "5"); a.status != 503 || !strings.Contains(a.body, "overloaded") || f.up.Count() != 1 {
			t.Errorf("%s: %d %q after %d attempts", path, a.status, a.body, f.up.Count())
		}
		if f.metric(`gemini_proxy_given_up_total{group="g",reason="deadline"}`) != "1" {
			t.Error("it was not given up for the deadline")
		}
	}
}
