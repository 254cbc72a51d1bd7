package deploy

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// knownMetrics reads the reference, which another test keeps the same as the
// code: the labels of each metric by its name. A histogram is there under the
// names of its series.
func knownMetrics(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	// What the Go and process collectors bring, as far as it is used here.
	known := map[string][]string{"up": nil, "process_open_fds": nil, "process_max_fds": nil, "process_start_time_seconds": nil,
		"process_resident_memory_bytes": nil, "process_cpu_seconds_total": nil, "go_memstats_heap_inuse_bytes": nil, "go_goroutines": nil}
	for _, m := range regexp.MustCompile("(?m)^\\| `(gemini_proxy_\\w+)` \\| (\\w+) \\| ([^|]*) \\|").FindAllSubmatch(page, -1) {
		name, labels := string(m[1]), strings.FieldsFunc(string(m[3]), func(r rune) bool { return strings.ContainsRune("`, ", r) })
		if string(m[2]) != "histogram" {
			known[name] = labels
			continue
		}
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			known[name+suffix] = append(slices.Clone(labels), "le")
		}
	}
	if len(known) < 20 {
		t.Fatalf("only %d metrics found in docs/metrics.md", len(known))
	}
	return known
}

var (
	metricName = regexp.MustCompile(`\b(?:gemini_proxy|process|go)_\w+|\bup\b`)
	matchers   = regexp.MustCompile(`(\w+)\{([^}]*)\}`)
	grouping   = regexp.MustCompile(`\bby \(([^)]*)\)`)
	matcher    = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
)

// checkExpression finds every metric and label that an expression names among
// those that there are. Prometheus itself adds job and instance.
func checkExpression(t *testing.T, where, expr string, known map[string][]string) {
	t.Helper()
	given := []string{"job", "instance"}
	labels := slices.Clone(given)
	names := metricName.FindAllString(expr, -1)
	if len(names) == 0 {
		t.Errorf("%s asks for no metric: %s", where, expr)
	}
	for _, name := range names {
		of, ok := known[name]
		if !ok {
			t.Errorf("%s uses %s, which there is not", where, name)
		}
		labels = append(labels, of...)
	}
	for _, m := range matchers.FindAllStringSubmatch(expr, -1) {
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(append(slices.Clone(given), known[m[1]]...), l[1]) {
				t.Errorf("%s: %s has no label %s", where, m[1], l[1])
			}
		}
	}
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) {
		for l := range strings.SplitSeq(m[1], ",") {
			if l = strings.TrimSpace(l); !slices.Contains(labels, l) {
				t.Errorf("%s sums by %s, which %v do not have", where, l, names)
			}
		}
	}
}

type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr         string
			Labels, Annotations map[string]string
		}
	}
}

func TestAlertsUseWhatThereIs(t *testing.T) {
	var rules ruleFile
	readYAML(t, "alerts.yml", &rules)
	tests, err := os.ReadFile("alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	known, n := knownMetrics(t), 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			n++
			checkExpression(t, r.Alert, r.Expr, known)
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s does not say how severe it is, or what it means", r.Alert)
			}
			if !bytes.Contains(tests, []byte("alertname: "+r.Alert+"\n        exp_alerts:")) {
				t.Errorf("no test has %s fire", r.Alert)
			}
			for _, text := range r.Annotations {
				for _, name := range regexp.MustCompile(`gemini_proxy_\w+`).FindAllString(text, -1) {
					if _, ok := known[name]; !ok {
						t.Errorf("%s speaks of %s, which there is not", r.Alert, name)
					}
				}
			}
		}
	}
	if n < 5 {
		t.Errorf("only %d rules found", n)
	}
}

// promtool returns the path of Prometheus' own tool, of Debian's package
// prometheus.
func promtool(t *testing.T) string {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed; it comes with Debian's package prometheus")
	}
	return tool
}

// TestAlertsFire runs the rules' own tests.
func TestAlertsFire(t *testing.T) {
	out, err := exec.Command(promtool(t), "test", "rules", "alerts_test.yml").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// dashboard is what the tests read of the dashboard's JSON.
type dashboard struct {
	UID        string
	Templating struct {
		List []struct{ Name, Definition string }
	}
	Panels []struct {
		ID          int
		Type, Title string
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct {
			Expr       string
			Datasource struct{ UID string }
		}
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Panels) < 20 {
		t.Fatalf("only %d panels found", len(d.Panels))
	}
	return d
}

func TestDashboardUsesWhatThereIs(t *testing.T) {
	d, known := readDashboard(t), knownMetrics(t)
	variables := map[string]bool{"__rate_interval": true, "__range": true}
	for _, v := range d.Templating.List {
		variables[v.Name] = true
		if inner := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(v.Definition); inner != nil {
			checkExpression(t, "variable "+v.Name, "sum by ("+inner[2]+") ("+inner[1]+")", known)
		}
	}
	ids := map[int]string{}
	for i, p := range d.Panels {
		if other, taken := ids[p.ID]; taken {
			t.Errorf("%q and %q have the same id", p.Title, other)
		}
		ids[p.ID] = p.Title
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("%q is out of the grid: %+v", p.Title, g)
		}
		for _, o := range d.Panels[:i] {
			if q := o.GridPos; g.X < q.X+q.W && q.X < g.X+g.W && g.Y < q.Y+q.H && q.Y < g.Y+g.H {
				t.Errorf("%q lies over %q", p.Title, o.Title)
			}
		}
		if (p.Type == "row") != (len(p.Targets) == 0) {
			t.Errorf("%q is a %s with %d queries", p.Title, p.Type, len(p.Targets))
		}
		for _, q := range p.Targets {
			checkExpression(t, "panel "+p.Title, q.Expr, known)
			if q.Datasource.UID != "${datasource}" {
				t.Errorf("%q is tied to the data source %q", p.Title, q.Datasource.UID)
			}
			for _, v := range regexp.MustCompile(`\$(\w+)`).FindAllStringSubmatch(q.Expr, -1) {
				if !variables[v[1]] {
					t.Errorf("%q uses the unknown variable %s", p.Title, v[0])
				}
			}
		}
	}
}

// TestDashboardsQueriesAreGood has Prometheus parse them, with the variables
// as Grafana would fill them in.
func TestDashboardsQueriesAreGood(t *testing.T) {
	tool := promtool(t)
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var rules []rule
	fill := strings.NewReplacer("$__rate_interval", "5m", "$__range", "6h", "$job", ".*", "$group", ".*")
	for _, p := range readDashboard(t).Panels {
		for i, q := range p.Targets {
			rules = append(rules, rule{"panel:" + strings.Repeat("x", p.ID) + ":" + strings.Repeat("y", i+1), fill.Replace(q.Expr)})
		}
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAutoscalerCountsOpenStreams: the metric that pods are added by exists.
func TestAutoscalerCountsOpenStreams(t *testing.T) {
	var h struct {
		Spec struct {
			Metrics []struct {
				Type string
				Pods struct{ Metric struct{ Name string } }
			}
		}
	}
	readYAML(t, "kubernetes/horizontalpodautoscaler.yaml", &h)
	known, n := knownMetrics(t), 0
	for _, m := range h.Spec.Metrics {
		if m.Type != "Pods" {
			continue
		}
		n++
		if _, ok := known[m.Pods.Metric.Name]; !ok {
			t.Errorf("the autoscaler counts %s, which there is not", m.Pods.Metric.Name)
		}
	}
	if n != 1 {
		t.Errorf("the autoscaler counts %d metrics of the pods", n)
	}
}
