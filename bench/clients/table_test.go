package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

func TestTable(t *testing.T) {
	lib := &client{id: "lib", name: "`lib`", pkg: "lib", calls: both}
	cols := columns([]*client{lib})
	tab := table{faults: upstream.Faults[:2], versions: map[string]string{"lib": "1.2.3"}, cells: make(map[string]outcome)}
	for i, c := range cols {
		for k, f := range tab.faults {
			tab.cells[newJob(through, c, f).ID] = []outcome{whole, half}[k]
			tab.cells[newJob(folded, c, f).ID] = []outcome{half, whole}[k]
			tab.cells[newJob(without, c, f).ID] = []outcome{failed, hangs}[i]
		}
	}
	f := func(ways []string, want string) {
		t.Helper()
		if got := tab.draw(ways, cols); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	rows := func(first, second string) string {
		return "| | `lib` 1.2.3 |\n|---|---|\n| nothing breaks | " + first + " |\n| connection closed in mid-answer | " + second + " |\n"
	}
	f([]string{through, folded}, "\nThrough the proxy, streamed answers:\n\n"+rows("whole", "**half**")+
		"\nThrough the proxy, answers in one piece:\n\n"+rows("whole", "**half**")+
		"\nThrough the proxy with `UNARY_VIA_STREAM=true`, answers in one piece:\n\n"+rows("**half**", "whole"))
	f([]string{without}, "\nWithout the proxy, streamed answers:\n\n"+rows("error", "error")+
		"\nWithout the proxy, answers in one piece:\n\n"+rows("hangs", "hangs"))
}

func TestTablesStandBetweenTheirMarks(t *testing.T) {
	name := filepath.Join(t.TempDir(), "README.md")
	f := func(before, want string, wantErr bool) {
		t.Helper()
		if err := os.WriteFile(name, []byte(before), 0o644); err != nil {
			t.Fatal(err)
		}
		err := writeInto(name, "\nnew\n")
		got, _ := os.ReadFile(name)
		if string(got) != want || (err != nil) != wantErr {
			t.Errorf("%q became %q, %v, want %q", before, got, err, want)
		}
	}
	f("a\n"+beginMark+"\nold\n\nold\n"+endMark+"\nb\n", "a\n"+beginMark+"\nnew\n"+endMark+"\nb\n", false)
	f("a\n"+beginMark+endMark+"\n", "a\n"+beginMark+"\nnew\n"+endMark+"\n", false)
	f("a\n"+beginMark, "a\n"+beginMark, true)
	f("a\n", "a\n", true)
}

// Every client's version is pinned, and no lock file says where to fetch from.
func TestVersions(t *testing.T) {
	got, err := versions(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		if c.pkg != "" && got[c.pkg] == "" {
			t.Errorf("%s: no version of %s", c.id, c.pkg)
		}
	}
	lock, err := os.ReadFile("node/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(lock), `"resolved"`) {
		t.Error("package-lock.json has addresses of a registry: npm install --omit-lockfile-registry-resolved leaves them out")
	}
}
