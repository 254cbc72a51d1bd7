package proxy_test

import (
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// TestPreflight answers browsers without asking the upstream.
func TestPreflight(t *testing.T) {
	f := func(setting, origin string, passes bool, want map[string]string) {
		t.Helper()
		r := newRig(t, plain, func(c *proxy.Config) { c.CORSAllowOrigin = setting })
		resp, body, err := r.do("OPTIONS", streamPath, "", "Origin", origin, "Access-Control-Request-Method", "POST",
			"Access-Control-Request-Headers", "content-type,x-goog-api-key")
		if err != nil {
			t.Fatal(err)
		}
		if passed := r.up.Count() == 1; passed != passes || !passes && (resp.StatusCode != 204 || body != "") {
			t.Errorf("%q, %s: status %d, %d requests upstream", setting, origin, resp.StatusCode, r.up.Count())
		}
		for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Vary"} {
			if got := resp.Header.Get(name); got != want[name] {
				t.Errorf("%q, %s: %s: %q, want %q", setting, origin, name, got, want[name])
			}
		}
		r.stop()
	}
	const methods, headers, allow = "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Allow-Origin"
	asked := func(pairs ...string) map[string]string {
		m := map[string]string{methods: "POST", headers: "content-type,x-goog-api-key"}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	f("*", "https://a.example", false, asked(allow, "*"))
	f("*", "null", false, asked(allow, "*"))
	f("https://a.example,https://b.example", "https://b.example", false, asked(allow, "https://b.example", "Vary", "Origin"))
	f("https://a.example, https://b.example", "https://a.example", false, asked(allow, "https://a.example", "Vary", "Origin"))
	f("", "https://a.example", true, nil)
	r := newRig(t, plain, func(c *proxy.Config) { c.CORSAllowOrigin = "https://a.example" })
	resp, _, _ := r.do("OPTIONS", streamPath, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
	if resp.Header.Get(allow) != "" || resp.Header.Get("Vary") != "Origin" {
		t.Errorf("a stranger got %v", resp.Header)
	}
	// Without the marks of a preflight it is a request like any other.
	if r.do("OPTIONS", "/v1/x", "", "Origin", "https://a.example"); r.up.Count() != 1 {
		t.Error("a plain OPTIONS did not arrive")
	}
}

// TestCORSHeaders finds them on whatever a page can get to see.
func TestCORSHeaders(t *testing.T) {
	m := &upstream.Model{Answer: strings.Repeat("word ", 40), Fault: func(n int, _ *upstream.Request) []upstream.Step {
		if n == 0 {
			return []upstream.Step{upstream.LimitBody(700, upstream.RST)}
		}
		return nil
	}}
	handler := func(q *upstream.Request) upstream.Script {
		switch {
		case strings.Contains(q.Target, "models/"):
			return m.Handle(q)
		case strings.Contains(q.Target, "forbidden"):
			return upstream.Script{upstream.ErrorBody(403, "PERMISSION_DENIED", "no", 0)}
		case strings.Contains(q.Target, "gone"):
			return upstream.Script{upstream.Cut()}
		case strings.Contains(q.Target, "own"):
			return upstream.Script{upstream.Status(200, map[string]string{"Access-Control-Allow-Origin": "https://up", "Vary": "X-Origin"}, "{}")}
		}
		return plain(q)
	}
	f := func(setting, origin, want string) {
		t.Helper()
		r := newRig(t, handler, func(c *proxy.Config) { c.CORSAllowOrigin = setting })
		g := func(what string, status int, method, target, body string) {
			t.Helper()
			resp, got, err := r.do(method, target, body, "Origin", origin, "X-Test-Id", setting+origin)
			if err != nil || resp.StatusCode != status {
				t.Fatalf("%s: %v %v %s", what, resp, err, got)
			}
			wanted := want
			if what == "the upstream's own" && setting == "" {
				wanted = "https://up"
			}
			if got := resp.Header.Values("Access-Control-Allow-Origin"); strings.Join(got, "|") != wanted {
				t.Errorf("%q, %s, %s: %q, want %q", setting, origin, what, got, wanted)
			}
			list := setting != "" && setting != "*"
			if has := strings.Contains(strings.Join(resp.Header.Values("Vary"), ","), "Origin"); list && !has {
				t.Errorf("%q, %s: Vary: %q", setting, what, resp.Header.Values("Vary"))
			}
		}
		g("relayed", 200, "GET", "/v1/x", "")
		g("healed", 200, "POST", streamPath, ask("hi"))
		g("status of the upstream", 403, "GET", "/v1/forbidden", "")
		g("refused", 400, "GET", "/v1/%2e%2e/x", "")
		g("no answer", 502, "GET", "/v1/gone", "")
		g("the upstream's own", 200, "GET", "/v1/own", "")
		r.stop()
	}
	f("*", "https://a.example", "*")
	f("https://a.example,https://b.example", "https://b.example", "https://b.example")
	f("https://a.example", "https://evil.example", "")
	f("", "https://a.example", "")
}
