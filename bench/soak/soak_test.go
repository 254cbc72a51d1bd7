package main

import (
	"bytes"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
)

var program string // the built proxy

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "soak-test")
	if err == nil {
		program, err = buildProxy(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// A few seconds of the real thing.
func TestSoak(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	if code := run([]string{"-proxy", program, "-duration", "4s", "-every", "200ms", "-calibrate", "1s", "-share", "0.2", "-out", dir, "-set", "FIRST_EVENT_TIMEOUT=10s"}, &out, t.Output()); code != 0 {
		t.Errorf("exit status %d\n%s", code, out.String())
	}
	for _, want := range []string{"arrivals a second", "| minute |", "heap after a collection", "whole", "Idle before and after", "**Every answer was as it must be."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, out.String())
		}
	}
	tsv, err := os.ReadFile(filepath.Join(dir, "soak.tsv"))
	lines := strings.Split(strings.TrimSpace(string(tsv)), "\n")
	if err != nil || len(lines) < 3 {
		t.Fatalf("%v, %d lines of samples", err, len(lines))
	}
	for _, l := range lines {
		if n := strings.Count(l, "\t"); n != strings.Count(columns, "\t") {
			t.Errorf("%d columns in %q", n+1, l)
		}
	}
	f, err := os.Open(filepath.Join(dir, "soak.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if img, err := png.Decode(f); err != nil || img.Bounds().Dx() < 500 {
		t.Errorf("the plot: %v", err)
	}
}

// A proxy that heals nothing must not pass.
func TestSoakOfAProxyThatHealsNothing(t *testing.T) {
	var out bytes.Buffer
	code := run([]string{"-proxy", program, "-duration", "2s", "-every", "200ms", "-rate", "50", "-out", t.TempDir(), "-set", "HEAL=off", "-set", "FIRST_EVENT_TIMEOUT=10s"}, &out, t.Output())
	if code != 1 || !strings.Contains(out.String(), "**Failed:**") || !strings.Contains(out.String(), "answers wrong") {
		t.Errorf("exit status %d\n%s", code, out.String())
	}
}

// A proxy that ends under the load must not pass either.
func TestSoakOfAProxyThatDies(t *testing.T) {
	var out bytes.Buffer
	code := run([]string{"-proxy", program, "-duration", "1s", "-rate", "50", "-out", t.TempDir(), "-set", "LISTEN_ADDR=nonsense"}, &out, t.Output())
	if code != 1 {
		t.Errorf("exit status %d\n%s", code, out.String())
	}
}

func TestOptions(t *testing.T) {
	f := func(want int, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if got := run(args, &out, &errs); got != want || errs.Len() == 0 {
			t.Errorf("%v: exit status %d, want %d; %q", args, got, want, errs.String())
		}
	}
	f(0, "-h")
	f(2, "-duration", "soon")
	f(2, "-duration", "-1s")
	f(2, "-share", "1.5")
	f(2, "-rate", "-1")
	f(2, "now")
}

// Every surface is read as the upstream writes it; what breaks is not taken for
// whole, and what cannot be healed is only good as an error.
func TestAnswersAreJudged(t *testing.T) {
	up, err := newScripted()
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	c := newClient(up.URL(), up, new(tally))
	defer c.close()
	n := 0
	f := func(s *surface, fault string, want ...verdict) {
		t.Helper()
		n++
		model, ok := upstream.FaultOf("m-" + fault)
		if !ok {
			t.Fatal(fault)
		}
		got, err := c.converse(s, model, n, time.Now())
		for _, w := range want {
			if got == w {
				return
			}
		}
		t.Errorf("%s, %s: %s (%v)", s.name, fault, verdictNames[got], err)
	}
	for i := range surfaces {
		s := &surfaces[i]
		f(s, "none", whole)
		f(s, "closed", unhealed, wrong)
		f(s, "end", unhealed, wrong)
		f(s, "503", unhealed)
		f(s, "error", unhealed)
		f(s, "reset", unhealed)
		f(s, "refused", honest)
	}
}

func TestShares(t *testing.T) {
	seen := map[string]int{}
	for n := range 100 {
		seen[pick(n).name]++
	}
	if seen["SSE"] < 20 {
		t.Errorf("%d of a hundred over SSE", seen["SSE"])
	}
	for _, f := range forms {
		if seen[f.name] != f.share {
			t.Errorf("%s: %d of a hundred, want %d", f.name, seen[f.name], f.share)
		}
	}
}
