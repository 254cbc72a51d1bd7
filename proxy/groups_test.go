package proxy_test

import (
	"crypto/sha256"
	"fmt"
	"net"
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

// keyed is a fleet of one target and n keys.
func keyed(t testing.TB, n int, change func(c *proxy.Config, g *proxy.GroupConfig)) *fleet {
	t.Helper()
	return newFleet(t, 1, func(c *proxy.Config, targets []proxy.TargetConfig) {
		g := proxy.GroupConfig{Name: "g", Targets: targets, Secrets: secrets(n)}
		if change != nil {
			change(c, &g)
		}
		c.Groups = append([]proxy.GroupConfig{g}, c.Groups...)
	})
}

// byKey answers a request by the last letter of its key; "" is for all others.
func byKey(scripts map[string]upstream.Script) upstream.Handler {
	return func(r *upstream.Request) upstream.Script {
		key := r.Header.Get("X-Goog-Api-Key") + r.Header.Get("Authorization")
		if s, ok := scripts[key[max(0, len(key)-1):]]; ok {
			return s
		}
		return scripts[""]
	}
}

func quotaError(id, value, delay string) upstream.Script {
	return upstream.Script{upstream.Status(429, nil, `{"error": {"code": 429,"message": "quota","status": "RESOURCE_EXHAUSTED","details": [`+
		`{"@type": "type.googleapis.com/google.rpc.QuotaFailure","violations": [{"quotaId": "`+id+`","quotaValue": "`+value+`"}]},`+
		`{"@type": "type.googleapis.com/google.rpc.RetryInfo","retryDelay": "`+delay+`"}]}}`)}
}

// A key whose quota is used up is left out for its model, and nobody waits.
func TestKeyIsParkedForItsModel(t *testing.T) {
	f := keyed(t, 2, nil)
	f.up.SetHandler(byKey(map[string]upstream.Script{"1": quotaError("PerMinute", "15", "48s"), "": whole}))
	began := time.Now()
	for range 6 {
		if a := f.ask(streamPath, f.body); a.status != 200 || textOf(t, a.body) != first+second {
			t.Fatal(a.status, a.body)
		}
	}
	if took := time.Since(began); took > 40*time.Second {
		t.Errorf("took %v: the quota of one key was waited for", took)
	}
	if got := keysUsed(f.up); strings.Count(got, "1") != 1 || strings.Count(got, "2") != 6 {
		t.Errorf("keys %s, want the first one once", got)
	}
	f.up.SetHandler(upstream.Always(whole))
	f.up.Reset()
	other := strings.Replace(streamPath, "2.5-flash", "2.5-pro", 1)
	for range 4 {
		f.ask(other, f.body)
	}
	if got := keysUsed(f.up); strings.Count(got, "1") == 0 {
		t.Errorf("keys %s: the quota is of one model", got)
	}
	if strings.Contains(f.log.String(), "CANARY") {
		t.Error("a key is in the log")
	}
}

// When the quotas of all keys are used up, the client is told when the first is
// back, and the upstream is left alone.
func TestAllKeysParked(t *testing.T) {
	f := keyed(t, 3, nil)
	f.up.SetHandler(byKey(map[string]upstream.Script{
		"1": quotaError("GenerateRequestsPerDayPerProject", "50", "1s"), "2": quotaError("PerMinute", "0", "1s"), "": quotaError("PerMinute", "15", "45s"),
	}))
	for i := range 3 {
		a := f.ask(streamPath, f.body)
		if a.status != 429 || !strings.Contains(a.body, "RESOURCE_EXHAUSTED") {
			t.Fatalf("%d %q", a.status, a.body)
		}
		if n, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || n < 40 || n > 45 {
			t.Errorf("request %d: Retry-After: %s, want that of the third key", i, a.header.Get("Retry-After"))
		}
	}
	if f.up.Count() != 3 {
		t.Errorf("%d attempts, want one a key", f.up.Count())
	}
}

// A key that the upstream does not take is left out, and the request goes on.
func TestRefusedKeyIsEjected(t *testing.T) {
	const invalid = `{"error": {"code": 400,"message": "API key not valid.","status": "INVALID_ARGUMENT","details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo","reason": "API_KEY_INVALID"}]}}`
	for _, answer := range []upstream.Step{
		upstream.Status(400, nil, invalid), upstream.ErrorBody(401, "UNAUTHENTICATED", "no", 0), upstream.ErrorBody(403, "PERMISSION_DENIED", "no", 0),
	} {
		f := keyed(t, 8, nil)
		bad := upstream.Script{answer}
		f.up.SetHandler(byKey(map[string]upstream.Script{"8": whole, "": bad}))
		for range 3 {
			if a := f.ask(streamPath, f.body); a.status != 200 || textOf(t, a.body) != first+second {
				t.Fatal(a.status, a.body)
			}
		}
		if got := f.up.Count(); got != 10 {
			t.Errorf("%d attempts, want 7 refused and 3 answered", got)
		}
		if got := strings.Count(f.log.String(), "key ejected"); got != 7 || strings.Contains(f.log.String(), "CANARY") {
			t.Errorf("%d lines of ejected keys", got)
		}
		if got := f.metric(`gemini_proxy_keys_ejected_total{group="g"}`); got != "7" {
			t.Errorf("%s keys ejected", got)
		}
		f.up.SetHandler(upstream.Always(bad))
		if a := f.ask(streamPath, f.body); a.status != 503 || a.header.Get("Retry-After") == "" || strings.Contains(a.body, "not valid") {
			t.Errorf("with no key left: %d %q", a.status, a.body)
		}
	}
}

// A key refused in the middle of an answer is none of the client's business.
func TestRefusedKeyInMidAnswer(t *testing.T) {
	f := keyed(t, 3, nil)
	f.up.SetHandler(func(r *upstream.Request) upstream.Script {
		switch r.Seq {
		case 0:
			return upstream.Script{upstream.Text(first), upstream.Cut()}
		case 1:
			return upstream.Script{upstream.ErrorBody(403, "PERMISSION_DENIED", "no", 0)}
		}
		return rest
	})
	if a := f.ask(streamPath, f.body); a.err != nil || textOf(t, a.body) != first+second {
		t.Errorf("%v %q", a.err, a.body)
	}
	if got := keysUsed(f.up); len(got) != 3 || got[0] == got[1] || got[1] == got[2] {
		t.Errorf("keys %s: a continuation prefers another one", got)
	}
}

// A 400 that is about the request is the client's, to the byte.
func TestOtherRefusalsAreTheClients(t *testing.T) {
	f := keyed(t, 2, nil)
	for _, status := range []int{400, 404} {
		f.play(upstream.Script{upstream.Status(status, map[string]string{"X-Y": "z"}, "as it came")})
		if a := f.ask(streamPath, f.body); a.status != status || a.body != "as it came" || a.header.Get("X-Y") != "z" || f.up.Count() != 1 {
			t.Errorf("%d: %d %q after %d attempts", status, a.status, a.body, f.up.Count())
		}
	}
}

// A key that the client brings stays, unless the group says otherwise.
func TestClientKeys(t *testing.T) {
	for setting, want := range map[string]string{"": "own", "keep": "own", "replace": "AIzaCANARY-of-the-pool-key1"} {
		f := keyed(t, 1, func(_ *proxy.Config, g *proxy.GroupConfig) { g.ClientKeys = setting })
		f.play(whole)
		f.ask(streamPath, f.body, "x-goog-api-key", "g:own")
		f.ask(streamPath, f.body, "Authorization", "Bearer own")
		f.ask(streamPath, f.body)
		r := f.up.Requests()
		if len(r) != 3 {
			t.Fatalf("%d requests", len(r))
		}
		if got := r[0].Header.Get("X-Goog-Api-Key"); got != want || r[0].Header.Get("Authorization") != "" {
			t.Errorf("%q: %s", setting, got)
		}
		if got := r[1].Header.Get("Authorization"); got != "Bearer "+want || r[1].Header.Get("X-Goog-Api-Key") != "" {
			t.Errorf("%q: %s", setting, got)
		}
		if got := r[2].Header.Get("X-Goog-Api-Key"); got != "AIzaCANARY-of-the-pool-key1" {
			t.Errorf("%q: %s", setting, got)
		}
	}
	// One that is refused is the client's own trouble.
	f := keyed(t, 1, nil)
	f.play(upstream.Script{upstream.ErrorBody(403, "PERMISSION_DENIED", "yours", 0)})
	if a := f.ask(streamPath, f.body, "x-goog-api-key", "own"); a.status != 403 || f.up.Count() != 1 || strings.Contains(f.log.String(), "key ejected") {
		t.Errorf("%d after %d attempts", a.status, f.up.Count())
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

// tokenOf is a client whose token is its name.
func tokenOf(name string, change func(*proxy.ClientConfig)) proxy.ClientConfig {
	c := proxy.ClientConfig{}
	c.Name, c.Hash = name, sha256.Sum256([]byte(name))
	if change != nil {
		change(&c)
	}
	return c
}

func TestClientTokens(t *testing.T) {
	f := keyed(t, 1, func(c *proxy.Config, _ *proxy.GroupConfig) {
		c.Groups = []proxy.GroupConfig{{Name: "bare"}}
		c.Clients = []proxy.ClientConfig{
			tokenOf("anna", nil),
			tokenOf("bob", func(c *proxy.ClientConfig) { c.Groups = []string{"bare"} }),
			tokenOf("carl", func(c *proxy.ClientConfig) { c.Models = []string{"gemini-2.0*"} }),
			tokenOf("dora", func(c *proxy.ClientConfig) { c.PerMinute = 2 }),
		}
	})
	f.play(whole)
	try := func(status int, target, body string, header ...string) answer {
		t.Helper()
		f.up.Reset()
		a := f.ask(target, body, header...)
		if a.status != status {
			t.Errorf("%s %q: %d %q, want %d", target, header, a.status, a.body, status)
		}
		want := 0
		if status == 200 {
			want = 1
		}
		if f.up.Count() != want {
			t.Errorf("%s %q: %d attempts", target, header, f.up.Count())
		}
		for _, r := range f.up.Requests() {
			if all := string(r.Raw) + string(r.Body); strings.Contains(all, "anna") || !strings.Contains(all, "CANARY") {
				t.Errorf("%s %q: upstream got\n%s", target, header, all)
			}
		}
		return a
	}
	// Wherever a key may stand, with and without a group.
	try(200, streamPath, f.body, "x-goog-api-key", "anna")
	try(200, streamPath, f.body, "x-goog-api-key", "g:anna")
	try(200, streamPath, f.body, "Authorization", "Bearer anna")
	try(200, streamPath, f.body, "Authorization", "Bearer g:anna")
	try(200, streamPath+"&key=anna", f.body)
	try(200, streamPath+"&key=g:anna", f.body)
	try(200, streamPath, strings.Replace(f.body, "{", `{"apiKey":"g:anna",`, 1))
	try(200, "/v1beta/models/gemini-2.5-flash:countTokens", f.body, "x-goog-api-key", "anna")
	// Who is not known.
	for _, header := range [][]string{nil, {"x-goog-api-key", "nobody"}, {"x-goog-api-key", "ann"}, {"Authorization", "Bearer AIzaCANARY-of-the-pool-key1"}} {
		a := try(401, streamPath, f.body, header...)
		if !strings.HasPrefix(a.body, `{"error": {"code": 401,`) || !strings.Contains(a.body, "UNAUTHENTICATED") || a.header.Get("Www-Authenticate") == "" {
			t.Errorf("%q %v", a.body, a.header)
		}
	}
	try(401, "/v1beta/models", "")
	// What is not allowed.
	try(403, streamPath, f.body, "x-goog-api-key", "bob")
	try(403, streamPath, f.body, "x-goog-api-key", "carl")
	try(200, strings.Replace(streamPath, "2.5", "2.0", 1), f.body, "x-goog-api-key", "carl")
	// A token is no key of the API, and does not reach it.
	try(403, streamPath, f.body, "x-goog-api-key", "bare:anna")
	try(200, streamPath, f.body, "x-goog-api-key", "dora")
	try(200, streamPath, f.body, "x-goog-api-key", "dora")
	if a := try(429, streamPath, f.body, "x-goog-api-key", "dora"); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if got := f.metric(`gemini_proxy_refused_total{reason="token"}`); got != "5" {
		t.Errorf("%s refused tokens, want 5", got)
	}
	if strings.Contains(f.log.String(), "CANARY") {
		t.Error("a key is in the log")
	}
}

func TestServeRefusesToExposeKeys(t *testing.T) {
	f := keyed(t, 1, nil)
	l := publicListener(t)
	if err := f.server.Serve(l); err == nil || !strings.Contains(err.Error(), "clients") {
		t.Errorf("served on %v: %v", l.Addr(), err)
	}
}

// exposed is a listener that others than this machine could reach, if it
// listened.
type exposed struct{ net.Listener }

func (exposed) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }

func publicListener(t testing.TB) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return exposed{l}
}
