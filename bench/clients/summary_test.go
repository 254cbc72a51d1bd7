package main

import (
	"os"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

func TestSummary(t *testing.T) {
	one := &client{id: "one", name: "`lib`", pkg: "one", calls: vertex}
	two := &client{id: "two", name: "`lib`", pkg: "two", calls: both[:1]}
	cols := columns([]*client{one, two, {id: "three", name: "other", calls: both[:1]}})
	tab := table{faults: upstream.Faults, versions: map[string]string{"one": "1.0", "two": "2.0"}, cells: make(map[string]outcome)}
	for _, way := range []string{through, folded, without} {
		for _, c := range cols {
			for _, f := range tab.faults {
				tab.cells[newJob(way, c, f).ID] = whole
			}
		}
	}
	tab.cells[newJob(without, cols[0], tab.faults[0]).ID] = half // nothing broke there, so it does not count
	tab.cells[newJob(without, cols[0], tab.faults[1]).ID] = hangs
	want := "\n`lib` 1.0 / 2.0, other.\n\n" +
		"| 5 ways to ask, 16 faults | whole | hangs |\n|---|---|---|\n| through the proxy | 96 | 0 |\n| without the proxy | 79 | 1 |\n"
	if got := tab.summary([]string{through, folded, without}, cols); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What people read was made with the clients and the faults that there are now,
// and the tables and their summary come from the same run.
func TestTablesOfTheDocumentation(t *testing.T) {
	tables, readme := between(t, "../../docs/clients.md"), between(t, "../../README.md")
	pinned, err := versions(".")
	if err != nil {
		t.Fatal(err)
	}
	all := columns(clients)
	tab := table{faults: upstream.Faults, versions: pinned, cells: make(map[string]outcome)}
	ways := []string{through, folded, without}
	for _, g := range groups {
		for _, way := range ways {
			_, rows, _ := strings.Cut(tables, "\n"+titles[way]+", "+g.title+":\n")
			for _, f := range tab.faults {
				_, row, _ := strings.Cut(rows, "\n| "+f.What+" | ")
				row, _, _ = strings.Cut(row, " |\n")
				cells := strings.Split(row, " | ")
				for k, c := range g.of(all, way) {
					if k < len(cells) {
						tab.cells[newJob(way, c, f).ID] = outcome(cells[k])
					}
				}
			}
		}
	}
	const again = "; make clients CLIENTS=-write makes it anew"
	if tab.draw(ways, all) != tables {
		t.Error("docs/clients.md has tables of other clients, versions or faults" + again)
	}
	if tab.summary(ways, all) != readme {
		t.Error("README.md has the summary of another run than docs/clients.md" + again)
	}
}

// between is what stands between the marks of a file.
func between(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), beginMark)
	made, _, found := strings.Cut(rest, endMark)
	if !found {
		t.Fatalf("%s has no marks", name)
	}
	return made
}
