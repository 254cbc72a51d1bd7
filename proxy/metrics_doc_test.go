package proxy

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

const metricsPage = "../docs/metrics.md"

// family is a metric of the proxy as its registry describes it.
type family struct {
	name, kind, help string
	labels           []string
}

// description is how a prometheus.Desc prints itself; it has no other way out.
var description = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"), (?:unit: "[^"]*", )?constLabels: \{[^}]*\}, variableLabels: \{([^}]*)\}`)

// families returns every metric that a server registers, also those without a
// series so far, by name. Go's own (go_*, process_*) are left out.
func families(t *testing.T) []family {
	t.Helper()
	cfg := DefaultConfig()
	cfg.TLSCertFile, cfg.TLSKeyFile = certificateFiles(t)
	// The metrics of what replicas share are there with a server alone.
	cfg.RedisURL = routing.Secret("redis://127.0.0.1:1")
	s, err := New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	s.ShowVersion("1")
	kinds := map[string]string{}
	gathered, err := s.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, mf := range gathered {
		kinds[mf.GetName()] = strings.ToLower(mf.GetType().String())
	}
	descs := make(chan *prometheus.Desc)
	go func() { s.metrics.registry.Describe(descs); close(descs) }()
	var all []family
	for d := range descs {
		m := description.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("cannot read %s", d)
		}
		name, _ := strconv.Unquote(m[1])
		help, _ := strconv.Unquote(m[2])
		if !strings.HasPrefix(name, namespace+"_") {
			continue
		}
		f := family{name: name, kind: kinds[name], help: help}
		if m[3] != "" {
			f.labels = strings.Split(m[3], ",")
		}
		if f.kind == "" {
			// A vector whose series come with the events that they count.
			if f.kind = "counter"; !strings.HasSuffix(name, "_total") {
				t.Errorf("%s has no series from the start and is no counter: give it one", name)
			}
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b family) int { return strings.Compare(a.name, b.name) })
	return all
}

// TestMetricsFollowTheConventions has the linter of Prometheus look at all
// names, types, units and helps,
// https://prometheus.io/docs/practices/naming/.
func TestMetricsFollowTheConventions(t *testing.T) {
	lint := func(all []family) []promlint.Problem {
		var text bytes.Buffer
		for _, f := range all {
			fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
			labels := strings.Join(f.labels, `="x",`)
			if labels != "" {
				labels += `="x"`
			}
			if f.kind == "histogram" {
				fmt.Fprintf(&text, "%s_bucket{le=\"+Inf\"} 0\n%s_sum 0\n%s_count 0\n", f.name, f.name, f.name)
				continue
			}
			fmt.Fprintf(&text, "%s{%s} 0\n", f.name, labels)
		}
		problems, err := promlint.New(&text).Lint()
		if err != nil {
			t.Fatal(err)
		}
		return problems
	}
	all := families(t)
	for _, p := range lint(all) {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, f := range all {
		if !strings.HasSuffix(f.help, ".") || strings.ToUpper(f.help[:1]) != f.help[:1] {
			t.Errorf("%s: the help is no sentence: %q", f.name, f.help)
		}
		for _, l := range f.labels {
			if !slices.Contains([]string{"group", "kind", "code", "cause", "reason", "client", "answer", "version", "goversion"}, l) {
				t.Errorf("%s: the label %s is unknown here; what comes from a request must not be one", f.name, l)
			}
		}
	}
	// The linter sees what it should.
	bad := []family{{name: "gemini_proxy_heals", kind: "counter", help: "Heals."}, {name: "gemini_proxy_gap_milliseconds", kind: "gauge", help: "Gap."}}
	if got := len(lint(bad)); got != 2 {
		t.Errorf("the linter finds %d problems in two bad metrics", got)
	}
}

// TestMetricsPage keeps the reference the same as the code.
func TestMetricsPage(t *testing.T) {
	var want bytes.Buffer
	want.WriteString("# Metrics\n\n" +
		"What `/metrics` of the admin listener has, besides Go's own `go_*` and `process_*`. Written from the code by `go test ./proxy -run MetricsPage -update`.\n\n" +
		"Labels come from the settings and from fixed lists, never from a request: a client cannot make series. [Alert rules](../deploy/alerts.yml) and a\n" +
		"[dashboard for Grafana](../deploy/grafana-dashboard.json) come with the program.\n\n" +
		"| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, f := range families(t) {
		labels := strings.Join(f.labels, "`, `")
		if labels != "" {
			labels = "`" + labels + "`"
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", f.name, f.kind, labels, f.help)
	}
	fmt.Fprintf(&want, "\n| label | values |\n|---|---|\n"+
		"| `group` | a group of the settings; empty for requests that were refused before they had one. A group that is taken out of them has its series until they are loaded once more |\n"+
		"| `kind` of a request | %s; `refused` with `2xx` is the answer to a CORS preflight |\n"+
		"| `kind` of a seam | %s |\n"+
		"| `code` | class of the status: %s |\n"+
		"| `cause` | how an attempt ended: %s |\n"+
		"| `reason` | of a refusal: %s; why an answer was [given up](healing.md#giving-up): %s; why lines of the log were left out: %s; why spans were dropped: %s |\n"+
		"| `client` | the name that the settings give to a token |\n"+
		"| `version`, `goversion` | as `-version` says it, and of Go |\n",
		quoted(kindNames[:]), quoted(seamKinds()), quoted(codeClasses[:]), quoted(causes()), quoted(refusedReasons), quoted(gaveUpReasons), quoted(leftNames[:]), quoted(dropNames[:]))
	got, err := os.ReadFile(metricsPage)
	if err == nil && bytes.Equal(got, want.Bytes()) {
		return
	}
	if !*update {
		t.Fatalf("docs/metrics.md is not what the code has (%v); run: go test ./proxy -run MetricsPage -update", err)
	}
	if err := os.WriteFile(metricsPage, want.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestGaveUpReasonsAreExplained: those that the metric has from the start are
// those of the page, no more and no fewer.
func TestGaveUpReasonsAreExplained(t *testing.T) {
	page, err := os.ReadFile("../docs/healing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| `gave_up` | |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var explained []string
	for row := range strings.Lines(table) {
		first := strings.Split(row, "|")[1]
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(first, -1) {
			explained = append(explained, m[1])
		}
	}
	slices.Sort(explained)
	if known := slices.Sorted(slices.Values(gaveUpReasons)); !slices.Equal(explained, known) {
		t.Errorf("docs/healing.md explains %v, the code has %v", explained, known)
	}
}

func quoted(names []string) string { return "`" + strings.Join(names, "`, `") + "`" }

func seamKinds() (names []string) {
	for _, k := range stream.SeamKinds() {
		names = append(names, k.String())
	}
	return names
}

func causes() (names []string) {
	for _, o := range routing.Outcomes() {
		if o.Interruption() {
			names = append(names, o.String())
		}
	}
	return names
}

// certificateFiles writes a certificate: with one there is a metric more.
func certificateFiles(t *testing.T) (cert, key string) {
	t.Helper()
	pair, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
