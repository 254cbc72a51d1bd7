package main

import (
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gemini-resilient-proxy/proxy"
)

// elsewhere are the words in capitals that are not settings: of the API, and of
// the environment of Go, systemd and the clients.
var elsewhere = strings.Fields(`
	MAX_TOKENS PROHIBITED_CONTENT SPII BLOCKLIST MALFORMED_FUNCTION_CALL MALFORMED_RESPONSE UNEXPECTED_TOOL_CALL
	FINISH_REASON_UNSPECIFIED TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE API_KEY_INVALID RESOURCE_EXHAUSTED INVALID_ARGUMENT
	GEMINI_API_KEY YOUR_API_KEY YOUR_KEY GOOGLE_GEMINI_BASE_URL CODE_ASSIST_ENDPOINT GOOGLE_CLOUD_ACCESS_TOKEN
	NOTIFY_SOCKET LISTEN_FDS LISTEN_FDNAMES CGO_ENABLED SSL_CERT_FILE MONOTONIC_USEC VERSION_ID`)

// names is what the pages may speak of.
type names struct {
	settings []string
	metrics  string                              // the reference, which is written from the registry
	admin    func(method, path string) bool      // whether the admin listener serves it
	exists   func(path string) bool              // of files
	sources  string                              // of the program
	make     map[string]bool                     // targets and variables
	flags    func(dir string) ([]string, string) // of a package, and its test functions
}

func namesOfProject(t *testing.T) *names {
	t.Helper()
	n := &names{make: map[string]bool{}}
	for _, s := range proxy.Settings() {
		n.settings = append(n.settings, s.Name)
	}
	reference, err := os.ReadFile("docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	n.metrics = string(reference)
	s, err := proxy.New(proxy.DefaultConfig(), slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	admin, served := s.Admin(), map[string]bool{}
	// Whoever asks has left already, so that profiles and the live page end.
	gone, leave := context.WithCancel(context.Background())
	leave()
	n.admin = func(method, path string) bool {
		known, ok := served[method+path]
		if !ok {
			r := httptest.NewRequestWithContext(gone, method, path, nil)
			admin.ServeHTTP(httptest.NewRecorder(), r)
			known = r.Pattern != ""
			served[method+path] = known
		}
		return known
	}
	n.exists = func(path string) bool {
		found, err := filepath.Glob(path)
		return err == nil && len(found) > 0
	}
	for _, s := range sources(t) {
		if !s.isTest() && (s.dir() == "." || s.dir() == "proxy" || s.dir() == "routing" || s.dir() == "stream") {
			n.sources += string(s.text)
		}
	}
	rules, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):|\$\(([A-Z]+)\)`).FindAllStringSubmatch(string(rules), -1) {
		n.make[m[1]], n.make[m[2]] = true, true
	}
	n.flags = flagsOf
	return n
}

var (
	capitals  = regexp.MustCompile(`\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b`)
	metric    = regexp.MustCompile(`\bgemini_proxy_[a-z_]+\b`)
	adminPath = regexp.MustCompile(`^(?:(GET|POST) )?(/[a-z]+(?:/[a-z]*)*)(?:\?[a-z0-9=&]*)?$`)
	adminCurl = regexp.MustCompile(`\bcurl\b([^\n|]*?)(?:127\.0\.0\.1|localhost):9090(/[\w/.-]*)`)
	ownFile   = regexp.MustCompile(`^(?:deploy|docs|bench|proxy|routing|stream|\.ci)/[\w./*-]+$`)
	message   = regexp.MustCompile(`\bmsg=(?:"([^"]+)"|([a-z]+))`)
	field     = regexp.MustCompile(`\b([a-z][a-z_]*)=`)
	notAdmin  = regexp.MustCompile(`^/(?:v1|ws|upload|proxy|etc|usr|proc|sys|dev|run|tmp|var|gemini)\b`)
	logLine   = regexp.MustCompile(`^(?:msg|[a-z]+_[a-z_]+|kind|status|attempts|verdicts|note)=`)
)

// badNames are the names in the page of things that there are not.
func (p page) badNames(n *names) (bad []string) {
	code := append(p.quoted(), p.blocks("bash", "yaml", "ini", "text", "")...)
	for _, c := range code {
		for _, name := range capitals.FindAllString(c, -1) {
			if !slices.Contains(n.settings, name) && !slices.Contains(elsewhere, name) && !strings.Contains(c, "env:"+name) {
				bad = append(bad, "no setting "+name)
			}
		}
	}
	for _, name := range metric.FindAllString(p.text, -1) {
		base := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			base = strings.TrimSuffix(base, suffix)
		}
		if !strings.Contains(n.metrics, "| `"+name+"` |") && !strings.Contains(n.metrics, "| `"+base+"` | histogram |") {
			bad = append(bad, "no metric "+name)
		}
	}
	for _, m := range adminCurl.FindAllStringSubmatch(p.text, -1) {
		method := "GET"
		if strings.Contains(m[1], "-X POST") {
			method = "POST"
		}
		if !n.admin(method, m[2]) {
			bad = append(bad, "the admin listener has no "+method+" "+m[2])
		}
	}
	for _, c := range p.quoted() {
		bad = append(bad, badQuoted(c, n)...)
	}
	return bad
}

// badQuoted is what one piece of code names that is not there.
func badQuoted(c string, n *names) (bad []string) {
	if m := adminPath.FindStringSubmatch(c); m != nil && !notAdmin.MatchString(m[2]) {
		method := m[1]
		if !n.admin("GET", m[2]) && !n.admin("POST", m[2]) || method != "" && !n.admin(method, m[2]) {
			bad = append(bad, "the admin listener has no "+c)
		}
	}
	if ownFile.MatchString(c) && !n.exists(c) {
		bad = append(bad, "no file "+c)
	}
	if logLine.MatchString(c) {
		for _, m := range message.FindAllStringSubmatch(c, -1) {
			if said := m[1] + m[2]; !strings.Contains(n.sources, `"`+said+`"`) {
				bad = append(bad, "no log message "+said)
			}
		}
		for _, m := range field.FindAllStringSubmatch(c, -1) {
			if m[1] != "msg" && m[1] != "level" && !strings.Contains(n.sources, `"`+m[1]+`"`) {
				bad = append(bad, "no log field "+m[1])
			}
		}
	}
	return bad
}

// Who is woken by an alert finds it among the symptoms.
func TestAlertsAreExplained(t *testing.T) {
	rules, err := os.ReadFile("deploy/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	symptoms, err := os.ReadFile("docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	made := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(rules), -1)
	if len(made) < 5 {
		t.Fatalf("only %d alerts are found", len(made))
	}
	var known []string
	for _, m := range made {
		known = append(known, m[1])
		if !strings.Contains(string(symptoms), "`"+m[1]+"`") {
			t.Errorf("docs/troubleshooting.md does not say where %s leads", m[1])
		}
	}
	for _, p := range pages(t) {
		for _, name := range regexp.MustCompile("`(GeminiProxy\\w+)`").FindAllStringSubmatch(p.text, -1) {
			if !slices.Contains(known, name[1]) {
				t.Errorf("%s: there is no alert %s", p.path, name[1])
			}
		}
	}
}

func TestNamesAreOfThingsThatThereAre(t *testing.T) {
	n := namesOfProject(t)
	for _, p := range pages(t) {
		for _, bad := range p.badNames(n) {
			t.Errorf("%s: %s", p.path, bad)
		}
	}
}

// The test of names sees what it should.
func TestBadNamesAreSeen(t *testing.T) {
	n := namesOfProject(t)
	f := func(text string, want ...string) {
		t.Helper()
		got := page{"docs/this.md", text}.badNames(n)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", text, got, want)
		}
	}
	f("`STALL_TIMEOUT=2s`, `MAX_TOKENS`, `keys: env:MY_KEYS` and PLAIN_WORDS")
	f("`STALL_TIME`", "no setting STALL_TIME")
	f("```bash\nSTALL_TIME=2s ./proxy\n```\n", "no setting STALL_TIME")
	f("`gemini_proxy_healed_total`, gemini_proxy_seam_gap_seconds_bucket")
	f("`gemini_proxy_heals_total`", "no metric gemini_proxy_heals_total")
	f("`gemini_proxy_healed_total_bucket`", "no metric gemini_proxy_healed_total_bucket")
	f("curl -s 127.0.0.1:9090/groups; `/readyz`, `POST /reload`, `/v1beta/models`")
	f("curl -s http://127.0.0.1:9090/grups", "the admin listener has no GET /grups")
	f("curl 127.0.0.1:9090/reload", "the admin listener has no GET /reload")
	f("curl -X POST 127.0.0.1:9090/reload")
	f("`/health`", "the admin listener has no /health")
	f("`GET /reload`", "the admin listener has no GET /reload")
	f("`deploy/alerts.yml`, `bench/*_test.go`")
	f("`deploy/alarms.yml`", "no file deploy/alarms.yml")
	f("`msg=\"target ejected\" target=… for=…`")
	f("`msg=\"target expelled\"`", "no log message target expelled")
	f("`msg=request gave_up=budget`")
	f("`msg=\"request\" given_up=budget`", "no log field given_up")
}
