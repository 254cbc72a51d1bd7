package proxy_test

import (
	"crypto/sha256"
	"net"
	"strings"
	"testing"

	"gemini-resilient-proxy/proxy"
)

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
	// What else the client shows does not go upstream beside the group's key.
	try(200, streamPath, f.body, "x-goog-api-key", "anna", "Authorization", "Bearer anna")
	for _, other := range []string{"Basic anna", "Bearer\tanna", "Bearer", "anna"} {
		try(200, streamPath, f.body, "x-goog-api-key", "anna", "Authorization", other)
		try(200, "/v1beta/models/gemini-2.5-flash:countTokens", f.body, "x-goog-api-key", "anna", "Authorization", other)
		if got := f.up.Requests()[0].Header["Authorization"]; got != nil {
			t.Errorf("%q became %q", other, got)
		}
	}
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
	if a := try(403, "/v1beta/models", "", "x-goog-api-key", "carl"); !strings.Contains(a.body, "names no model") {
		t.Errorf("what names no model: %s", a.body)
	}
	// A token is no key of the API, and does not reach it.
	try(403, streamPath, f.body, "x-goog-api-key", "bare:anna")
	try(403, streamPath, f.body, "x-goog-api-key", "bare:KEY", "Authorization", "Bearer anna")
	try(200, streamPath, f.body, "x-goog-api-key", "dora")
	try(200, streamPath, f.body, "x-goog-api-key", "dora")
	if a := try(429, streamPath, f.body, "x-goog-api-key", "dora"); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if got := f.metric(`gemini_proxy_client_requests_total{client="anna",code="2xx"}`); got != "17" || !strings.Contains(f.log.String(), `"client":"anna"`) {
		t.Errorf("%s requests of one client, want 17", got)
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
