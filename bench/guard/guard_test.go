package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// made reads made-up benchmark output.
func made(t *testing.T, lines ...string) results {
	t.Helper()
	all, err := read(strings.NewReader("pkg: gemini-resilient-proxy/bench\n"+strings.Join(lines, "\n")+"\n"), "made-up")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What the guard is there for: it fails when the baseline had one allocation
// less, or a ratio that is smaller by more than the margin.
func TestCompare(t *testing.T) {
	f := func(margin float64, before, now, problem string) {
		t.Helper()
		problems, _ := compare(made(t, strings.Split(before, "|")...).figures(), made(t, strings.Split(now, "|")...).figures(), margin)
		switch {
		case problem == "" && len(problems) > 0:
			t.Errorf("%q beside %q: %q, want nothing", now, before, problems)
		case problem != "" && (len(problems) != 1 || !strings.Contains(problems[0], problem)):
			t.Errorf("%q beside %q: %q, want %q", now, before, problems, problem)
		}
	}
	const allocs0, allocs1, allocs12, allocs13 = "BenchmarkA/proxy-2 100 0 allocs/op", "BenchmarkA/proxy-2 100 1 allocs/op",
		"BenchmarkA/proxy-2 100 12 allocs/op", "BenchmarkA/proxy-2 100 13 allocs/op"
	f(1.3, allocs0, allocs0, "")
	f(1.3, allocs0, allocs1, "bench.A/proxy: 1 allocations, 0 in the baseline")
	f(1.3, allocs12, allocs13, "13 allocations, 12 in the baseline")
	f(9, allocs12, allocs13, "13 allocations, 12 in the baseline")
	f(1.3, allocs13, allocs12, "")
	// The other goroutines of a process can only add.
	f(1.3, allocs12+"|"+allocs12, allocs13+"|"+allocs12, "")
	f(1.3, allocs13+"|"+allocs12, allocs13+"|"+allocs13, "13 allocations, 12 in the baseline")

	const ratio2, ratio25, ratio27, ratio9 = "BenchmarkA/proxy-2 1 2 ratio", "BenchmarkA/proxy-2 1 2.5 ratio", "BenchmarkA/proxy-2 1 2.7 ratio", "BenchmarkA/proxy-2 1 9 ratio"
	f(1.3, ratio2, ratio2, "")
	f(1.3, ratio2, ratio25, "")
	f(1.3, ratio2, ratio27, "bench.A/proxy: 2.7 times its reference, more than 1.3 times the baseline's 2")
	f(2, ratio2, ratio27, "")
	f(2, ratio2, ratio9, "9 times its reference")
	// One bad round is not the median, two of three are.
	f(1.3, ratio2, ratio2+"|"+ratio9+"|"+ratio2, "")
	f(1.3, ratio2, ratio9+"|"+ratio9+"|"+ratio2, "9 times its reference")

	f(1.3, allocs0+"|"+ratio2, ratio2, "allocations were not counted")
	f(1.3, allocs0+"|"+ratio2, allocs0, "time was not measured")
	f(1.3, allocs0, "BenchmarkB-2 100 0 allocs/op", "bench.A/proxy is in the baseline and was not measured")
	// The number of processors is no part of the name.
	f(1.3, allocs0, "BenchmarkA/proxy 100 1 allocs/op", "1 allocations")
}

// Counting goes on while every run so far has had too many.
func TestExceeds(t *testing.T) {
	before := made(t, "BenchmarkA-2 1 3 allocs/op", "BenchmarkA-2 1 2 ratio", "BenchmarkL-2 1 100 allocs/op").figures()
	f := func(want bool, now ...string) {
		t.Helper()
		if is := exceeds(before, made(t, now...).figures()); is != want {
			t.Errorf("%q: %v", now, is)
		}
	}
	f(false, "BenchmarkA-2 1 3 allocs/op", "BenchmarkL-2 1 102 allocs/op")
	f(true, "BenchmarkA-2 1 4 allocs/op", "BenchmarkA-2 1 5 allocs/op")
	f(false, "BenchmarkA-2 1 4 allocs/op", "BenchmarkA-2 1 3 allocs/op")
	f(true, "BenchmarkA-2 1 3 allocs/op", "BenchmarkL-2 1 103 allocs/op")
	f(false, "BenchmarkNew-2 1 9 allocs/op")
	f(false, "BenchmarkA-2 1 9 ratio")
}

// Without rounds there are no times, which are then not missed; allocations
// are compared all the same.
func TestCompareAllocationsAlone(t *testing.T) {
	before := made(t, "BenchmarkA-2 1 3 allocs/op", "BenchmarkA-2 1 2 ratio").figures()
	before.without(ratio)
	if problems, _ := compare(before, made(t, "BenchmarkA-2 1 3 allocs/op").figures(), 1.3); len(problems) > 0 {
		t.Errorf("%q", problems)
	}
	if problems, _ := compare(before, made(t, "BenchmarkA-2 1 4 allocs/op").figures(), 1.3); len(problems) != 1 {
		t.Errorf("%q, want one", problems)
	}
}

func TestCompareNotesWhatIsNew(t *testing.T) {
	problems, notes := compare(made(t, "BenchmarkA-2 1 3 allocs/op").figures(), made(t, "BenchmarkA-2 1 2 allocs/op", "BenchmarkB-2 1 1 allocs/op").figures(), 1.3)
	if len(problems) > 0 || len(notes) != 2 || !strings.Contains(notes[0], "fewer") || !strings.Contains(notes[1], "bench.B is not in the baseline") {
		t.Errorf("%q %q", problems, notes)
	}
}

func TestRatiosAreToTheReferenceBeside(t *testing.T) {
	f := func(of string, want float64, lines ...string) {
		t.Helper()
		all := made(t, lines...).only(processor).withRatios()
		for _, r := range all {
			got, ok := r.Value(ratio)
			if n := nameOf(r).own; n != of && ok && strings.HasPrefix(strings.ToLower(n), referenceName) || n == of && (math.Abs(got-want) > 1e-9 || ok != (want > 0)) {
				t.Errorf("%q: %s has %v %v, want %v for %s", lines, n, got, ok, want, of)
			}
		}
	}
	f("A/proxy", 3, "BenchmarkA/reference-2 1 100 cpu-ns/op", "BenchmarkA/proxy-2 1 300 cpu-ns/op 7 allocs/op")
	f("A/proxy/size=1", 3, "BenchmarkA/reference-2 1 100 cpu-ns/op", "BenchmarkReference-2 1 10 cpu-ns/op", "BenchmarkA/proxy/size=1-2 1 300 cpu-ns/op")
	f("B", 30, "BenchmarkA/reference-2 1 100 cpu-ns/op", "BenchmarkReference-2 1 10 cpu-ns/op", "BenchmarkB-2 1 300 cpu-ns/op")
	f("B", 0, "BenchmarkA/reference-2 1 100 cpu-ns/op", "BenchmarkB-2 1 300 cpu-ns/op")
	f("A/direct", 0, "BenchmarkA/reference-2 1 100 cpu-ns/op", "BenchmarkA/direct-2 1 50 cpu-ns/op")
	f("A/reference", 0, "BenchmarkA/reference-2 1 100 cpu-ns/op", "BenchmarkReference-2 1 10 cpu-ns/op")
}

// What was measured says the same when it was written and read.
func TestResultsAreKept(t *testing.T) {
	all := made(t, "cpu: Some", "BenchmarkA/reference-2 1 100 cpu-ns/op", "BenchmarkA/proxy-2 5 300 cpu-ns/op 7 allocs/op").withRatios()
	file := filepath.Join(t.TempDir(), "results.txt")
	if err := all.writeFile(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(text, []byte("Unit allocs/op assume=exact")) {
		t.Errorf("%v\n%s", err, text)
	}
	again, err := readFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := again.figures()[name{"bench", "A/proxy"}]
	if len(got[ratio]) != 1 || math.Abs(got[ratio][0]-3) > 1e-9 || !slices.Equal(got[allocations], []float64{7}) {
		t.Errorf("%v in\n%s", got, text)
	}
	if again[0].GetConfig("cpu") != "Some" {
		t.Errorf("the processor is missing in\n%s", text)
	}
}

// TestOnlyLeavesNoEmptyLine: a benchmark that does not measure the unit is left out,
// since a line without a measurement cannot be read again.
func TestOnlyLeavesNoEmptyLine(t *testing.T) {
	all := made(t, "BenchmarkA-2 100 5 cpu-ns/op 0 allocs/op", "BenchmarkB-2 100 0 allocs/op").only(processor)
	if len(all) != 1 || nameOf(all[0]).own != "A" || len(all[0].Values) != 1 {
		t.Errorf("%d results are left", len(all))
	}
}

func TestReadRefusesWhatIsNoBenchmark(t *testing.T) {
	for _, text := range []string{"", "PASS\n", "BenchmarkA-2 many 1 cpu-ns/op\n"} {
		if all, err := read(strings.NewReader(text), "made-up"); err == nil {
			t.Errorf("%q is read as %v", text, all)
		}
	}
}

// The baseline that is kept has what is compared of every benchmark.
func TestBaselineIsWhole(t *testing.T) {
	all, err := readFile("../testdata/baseline.txt")
	if err != nil {
		t.Fatal(err)
	}
	f := all.figures()
	for _, own := range []string{"EventRoundTrip/proxy", "StreamSaturated/proxy", "ShortRelay/proxy", "HealedAnswer/cut"} {
		if f[name{"bench", own}] == nil {
			t.Errorf("%s is missing", own)
		}
	}
	for _, n := range f.names() {
		if len(f[n][allocations]) == 0 || !n.isYardstick() && len(f[n][ratio]) < 5 {
			t.Errorf("%v: %v", n, f[n])
		}
	}
	if problems, _ := compare(f, f, 1); len(problems) > 0 {
		t.Errorf("the baseline is dearer than itself: %q", problems)
	}
	// One allocation less in the baseline, and the same run fails.
	cheaper := all.figures()
	for i := range cheaper[name{"bench", "HealedAnswer/cut"}][allocations] {
		cheaper[name{"bench", "HealedAnswer/cut"}][allocations][i]--
	}
	if problems, _ := compare(cheaper, f, 1.3); len(problems) != 1 || !strings.Contains(problems[0], "HealedAnswer/cut") {
		t.Errorf("%q, want one of HealedAnswer/cut", problems)
	}
}

func TestHistoryGrows(t *testing.T) {
	line := func(date, ratio string) map[string]string {
		return map[string]string{"date": date, "commit": "abc", "A": ratio}
	}
	table := withLine("", line("2030-01-01", "1.5"), []string{"A"})
	if want := "date\tcommit\tcpu\tA\n2030-01-01\tabc\t-\t1.5\n"; table != want {
		t.Errorf("%q, want %q", table, want)
	}
	second := line("2030-01-02", "1.6")
	second["B"] = "2"
	table = withLine(table, second, []string{"A", "B"})
	if want := "date\tcommit\tcpu\tA\tB\n2030-01-01\tabc\t-\t1.5\n2030-01-02\tabc\t-\t1.6\t2\n"; table != want {
		t.Errorf("%q, want %q", table, want)
	}
	table = withLine(table, line("2030-01-03", "1.7"), []string{"A"})
	if !strings.HasSuffix(table, "\n2030-01-03\tabc\t-\t1.7\t-\n") {
		t.Errorf("%q", table)
	}
}

func TestOptions(t *testing.T) {
	f := func(ok bool, args ...string) {
		t.Helper()
		var errs strings.Builder
		if _, err := parseOptions(args, &errs); (err == nil) != ok || (errs.Len() == 0) != ok {
			t.Errorf("%q: %v %q", args, err, errs.String())
		}
	}
	f(true)
	f(true, "-rounds", "3", "-margin", "2", "-history", "", "-update")
	f(true, "-rounds", "0")
	f(false, "-rounds", "-1")
	f(false, "-rounds", "0", "-update")
	f(false, "-margin", "0.5")
	f(false, "-duration", "0s")
	f(false, "more")
}
