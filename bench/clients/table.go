package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gemini-resilient-proxy/bench/upstream"
)

// table is what became of all conversations.
type table struct {
	faults   []upstream.Fault
	versions map[string]string  // by package
	cells    map[string]outcome // by the id of the job
}

// group is the columns that stand side by side.
type group struct {
	title    string
	surfaces []upstream.Surface
}

var groups = []group{
	{"streamed answers", []upstream.Surface{upstream.SSE, upstream.CodeAssist, upstream.Array, upstream.OpenAI, upstream.Interactions}},
	{"answers in one piece", []upstream.Surface{upstream.Unary, upstream.OpenAIUnary}},
}

var titles = map[string]string{
	through: "Through the proxy",
	folded:  "Through the proxy with `UNARY_VIA_STREAM=true`",
	without: "Without the proxy",
}

// of returns the columns of the group on a way, in the order of its surfaces.
func (g group) of(all []column, way string) (cols []column) {
	for _, s := range g.surfaces {
		for _, c := range all {
			if c.surface == s && c.on(way) {
				cols = append(cols, c)
			}
		}
	}
	return cols
}

// draw makes a table of each group and way, in Markdown.
func (t table) draw(ways []string, all []column) string {
	var b strings.Builder
	for _, g := range groups {
		for _, way := range ways {
			if cols := g.of(all, way); len(cols) > 0 {
				fmt.Fprintf(&b, "\n%s, %s:\n\n", titles[way], g.title)
				t.drawOne(&b, way, cols)
			}
		}
	}
	return b.String()
}

func (t table) drawOne(b *strings.Builder, way string, cols []column) {
	b.WriteString("| |")
	for _, c := range cols {
		b.WriteString(" " + c.title(t.versions) + " |")
	}
	b.WriteString("\n|---" + strings.Repeat("|---", len(cols)) + "|\n")
	for _, f := range t.faults {
		b.WriteString("| " + f.What + " |")
		for _, c := range cols {
			fmt.Fprintf(b, " %s |", t.cell(way, c, f))
		}
		b.WriteString("\n")
	}
}

// title names a column, with the version of its client if that has one.
func (c column) title(versions map[string]string) string {
	title := strings.TrimRight(c.client.name+" "+versions[c.client.pkg], " ")
	if c.note != "" {
		title += ", " + c.note
	}
	return title
}

// cell is an outcome, with emphasis where it must be another.
func (t table) cell(way string, c column, f upstream.Fault) outcome {
	if !c.has(f) {
		return "–"
	}
	o := t.cells[newJob(way, c, f).ID]
	if way != without && o != wanted(f) {
		return "**" + o + "**"
	}
	return o
}

// The marks in a file between which the tables stand.
const (
	beginMark = "<!-- from bench/clients -->\n"
	endMark   = "\n<!-- end -->"
)

// write puts the tables and their summary where people read them.
func (s *suite) write(tables, summary string) error {
	here, err := moduleDir()
	if err == nil {
		err = writeInto(filepath.Join(here, "..", "..", "docs", "clients.md"), tables)
	}
	if err == nil {
		err = writeInto(filepath.Join(here, "..", "..", "README.md"), summary)
	}
	return err
}

// writeInto puts tables into a file in place of those between its marks.
func writeInto(name, tables string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	head, rest, begun := strings.Cut(string(b), beginMark)
	_, rest, ended := strings.Cut(rest, endMark)
	if !begun || !ended {
		return fmt.Errorf("%s has no line %q with a line %q behind it", name, strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	return os.WriteFile(name, []byte(head+beginMark+tables+endMark+rest), 0o644)
}
