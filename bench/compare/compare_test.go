package main

import (
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSummarize(t *testing.T) {
	nan := math.NaN()
	f := func(want summary, values ...float64) {
		t.Helper()
		if got, ok := summarize(values); !ok || got != want {
			t.Errorf("%v: %v, want %v", values, got, want)
		}
	}
	f(summary{1, 1, 1}, 1)
	f(summary{2, 1, 3}, 3, 1, 2)
	f(summary{2.5, 1, 9}, 9, 1, 3, 2)
	f(summary{4, 3, 5}, nan, 5, math.Inf(1), 3)
	if _, ok := summarize([]float64{nan}); ok {
		t.Error("a median of nothing")
	}
}

func TestProcfs(t *testing.T) {
	if pid, parent, ok := parseStat("12 (a b) c) S 7 12 12 0"); !ok || pid != 12 || parent != 7 {
		t.Error(pid, parent, ok)
	}
	for _, s := range []string{"", "12", "12 (x)", "x (y) S 1"} {
		if _, _, ok := parseStat(s); ok {
			t.Errorf("%q is taken", s)
		}
	}
	if d, err := parseSchedstat("1234567 89 10\n"); err != nil || d != 1234567 {
		t.Error(d, err)
	}
	if _, err := parseSchedstat("x"); err == nil {
		t.Error("x is taken")
	}
	if kib := parseResident("Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t1\n"); kib != 1234 {
		t.Error(kib)
	}
	own := family(os.Getpid())
	if d, err := cpuTime(own); err != nil || d <= 0 || residentKiB(own) <= 0 {
		t.Error(d, err)
	}
	if _, err := cpuTime([]int{1 << 30}); err == nil {
		t.Error("a process that is none has used time")
	}
}

func TestSettingsNameTheirPlace(t *testing.T) {
	p := place{dir: "/dir", listen: "127.0.0.1:1111", upstream: "127.0.0.1:2222", ca: "/ca.pem", streams: 2000}
	for _, c := range contenders("/bin") {
		for _, secure := range []bool{false, true} {
			p.secure = secure
			var all []string
			if c.files != nil {
				for _, text := range c.files(p) {
					if strings.Contains(text, "%!") || strings.Count(text, "{") != strings.Count(text, "}") {
						t.Errorf("%s: broken:\n%s", c.name, text)
					}
					all = append(all, text)
				}
			}
			if c.args != nil {
				all = append(all, c.args(p)...)
			}
			if c.env != nil {
				all = append(all, c.env(p)...)
			}
			text := strings.Join(all, "\n")
			if !strings.Contains(text, "1111") || !strings.Contains(text, "2222") || strings.Contains(text, "/ca.pem") != secure {
				t.Errorf("%s, secure %v:\n%s", c.name, secure, text)
			}
		}
	}
}

func TestChoose(t *testing.T) {
	f := func(names string, want ...string) {
		t.Helper()
		chosen, err := choose(names)
		var got []string
		for _, w := range chosen {
			got = append(got, w.name)
		}
		if (err == nil) != (want != nil) || !slices.Equal(got, want) {
			t.Errorf("%q: %v %v", names, got, err)
		}
	}
	f("short, 200", "200", "short")
	f("cut", "uncut", "cut")
	f("x")
	if all, err := choose(""); err != nil || len(all) != len(workloads()) {
		t.Error(all, err)
	}
}

func TestEvaluate(t *testing.T) {
	f := func(w workload, r report, want sample) {
		t.Helper()
		r.Timings = map[string]struct{ P50, P99 float64 }{"transit": {1, 2}, "answer": {3, 4}, "seam": {5, 6}, "first": {7, 8}}
		got, err := w.evaluate(&r, 3*time.Millisecond, 100, 600)
		if want == nil {
			if err == nil {
				t.Errorf("%+v: %v", w, got)
			}
			return
		}
		for name, v := range want {
			if got[name] != v {
				t.Errorf("%+v: %s %v, want %v", w, name, got[name], v)
			}
		}
	}
	f(workload{mode: "stream"}, report{Events: 1000, EventRate: 50}, sample{cpuPerEvent: 3, p50: 1, p99: 2, eventRate: 50, faultCount: 0})
	f(workload{mode: "stream"}, report{}, nil)
	f(workload{mode: "stream", begins: true}, report{Events: 1000}, sample{cpuPerEvent: 3, first50: 7, first99: 8})
	f(workload{mode: "short"}, report{Requests: 300, ReqRate: 7}, sample{cpuPerReq: 10, p50: 3, p99: 4, requestRate: 7})
	f(workload{mode: "short"}, report{}, nil)
	f(workload{mode: "idle", streams: 60}, report{Open: 60}, sample{memory: 10, memoryBase: 100})
	f(workload{mode: "idle", streams: 60}, report{Open: 59}, nil)
	f(workload{mode: "stream", events: 40, cut: true, only: ourName}, report{Events: 400, Streams: 9}, sample{cpuPerStream: 300, seam50: 5, seam99: 6})
}

func TestTablesAndPlot(t *testing.T) {
	r := results{}
	for round := range 3 {
		v := float64(round + 1)
		r.put("200", ourName, round, sample{cpuPerEvent: 10 * v, p50: 100 * v, p99: 1, eventRate: 4000, faultCount: 0})
		r.put("200", nginxName, round, sample{cpuPerEvent: 20 * v, p50: 90 * v, p99: 1, eventRate: 4000, faultCount: 0})
		r.put("200", directName, round, sample{p50: 50 * v, p99: 1, eventRate: 4000, faultCount: 0})
	}
	r.put("200", plainName, 1, nil)
	all, err := choose("200,short")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	r.writeTables(&text, all, []string{ourName, nginxName, plainName, directName})
	for _, want := range []string{
		"| this proxy   | 20.0 (10.0…30.0) |    0.50 |              – | 100 (50…150) |            0 |      1 |     4000 |      0 |",
		"| ReverseProxy |                – |       – |              – |            – |            – |      – |        – |      0 |",
		"| direct       |                – |       – |              – |            0 |            0 |      1 |     4000 |      0 |",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}

func TestPlot(t *testing.T) {
	r := results{}
	names := []string{ourName, nginxName, plainName, "a", "b", "c"}
	name := filepath.Join(t.TempDir(), "x.png")
	for round := range 2 {
		for _, w := range workloads() {
			for i, c := range append(names, directName) {
				v := float64(round+i) - 3
				r.put(w.name, c, round, sample{cpuPerEvent: v + 4, p50: v * v, p99: v, requestRate: 1e4 * v, memory: v})
			}
		}
	}
	if err := r.writePlot(name, names); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(name); err != nil || st.Size() < 1000 {
		t.Error(st, err)
	}
	if err := (results{}).writePlot(name, nil); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	f := func(ok bool, args ...string) {
		t.Helper()
		o, err := parseOptions(args, t.Output())
		if (err == nil) != ok || ok && (o.rounds < 1 || o.span.window <= 0 || o.span.warmup <= 0) {
			t.Errorf("%q: %+v %v", args, o, err)
		}
	}
	f(true)
	f(true, "-quick", "-workloads", "200")
	f(false, "-workloads", "none")
	f(false, "-rounds", "-1")
	f(false, "x")
}

// README.md says that all of it takes about an hour, and the Makefile that -quick
// takes a fifth of that. Starts and ends come on top of the load.
func TestAllOfItTakesAboutAnHour(t *testing.T) {
	f := func(least, most time.Duration, args ...string) {
		t.Helper()
		o, err := parseOptions(args, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		var all time.Duration
		for _, w := range o.workloads {
			one := max(o.span.warmup, w.warmup) + o.span.window
			all += time.Duration(o.rounds*len(w.turns(contenders("")))) * one
		}
		if all < least || all > most {
			t.Errorf("%v: the load takes %v, want %v to %v", args, all, least, most)
		}
	}
	f(45*time.Minute, time.Hour)
	f(9*time.Minute, 13*time.Minute, "-quick")
}

func TestVersionsAreShort(t *testing.T) {
	f := func(said, want string) {
		t.Helper()
		if got := shortVersion(said); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
	f("nginx version: nginx/1.22.1", "nginx/1.22.1")
	f("HAProxy version 2.6.12-1 2026/01/02 - https://haproxy.org/", "HAProxy 2.6.12-1")
	f("v2.7.6 h1:abc=", "caddy v2.7.6")
	f("2.6.2", "caddy 2.6.2")
}
