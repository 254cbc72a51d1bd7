package main

import (
	"fmt"
	"strings"
)

// outcomes in the order of a summary.
var outcomes = []outcome{whole, failed, half, garbled, unended, forgotten, hangs, missing}

// summary names the columns' clients and counts, over the faults that break an
// answer and can be healed, what became of the answers, in Markdown.
func (t table) summary(ways []string, all []column) string {
	faults := 0
	for _, f := range t.faults {
		if f.Heals && f.Name != "none" {
			faults++
		}
	}
	with, direct := t.count(ways, all, false), t.count(ways, all, true)
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s.\n\n| %d ways to ask, %d faults |", t.names(all), len(all), faults)
	rows := []string{"| through the proxy |", "| without the proxy |"}
	rule := "|---|"
	for _, o := range outcomes {
		if with[o]+direct[o] == 0 {
			continue
		}
		fmt.Fprintf(&b, " %s |", o)
		rule += "---|"
		rows[0] += fmt.Sprintf(" %d |", with[o])
		rows[1] += fmt.Sprintf(" %d |", direct[o])
	}
	return b.String() + "\n" + rule + "\n" + strings.Join(rows, "\n") + "\n"
}

// count counts the outcomes of the faults that break an answer and can be healed.
func (t table) count(ways []string, all []column, direct bool) map[outcome]int {
	n := make(map[outcome]int)
	for _, way := range ways {
		for _, c := range all {
			for _, f := range t.faults {
				if (way == without) == direct && c.on(way) && c.has(f) && f.Heals && f.Name != "none" {
					n[t.cells[newJob(way, c, f).ID]]++
				}
			}
		}
	}
	return n
}

// names are the clients with their versions, those of the same name together.
func (t table) names(all []column) string {
	var names []string
	last := ""
	for _, c := range all {
		title := strings.TrimRight(c.client.name+" "+t.versions[c.client.pkg], " ")
		switch {
		case len(names) > 0 && title == last:
		case len(names) > 0 && strings.HasPrefix(last, c.client.name+" "):
			names[len(names)-1] += " / " + t.versions[c.client.pkg]
		default:
			names = append(names, title)
		}
		last = title
	}
	return strings.Join(names, ", ")
}
