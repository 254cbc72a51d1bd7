package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// column is one column of a workload's table.
type column struct {
	title  string
	values func(contender string) []float64
	digits int
	spread bool // say least and greatest too
}

// columns are those of a workload's table.
func (r results) columns(w *workload) []column {
	plain := func(title string, f figure, digits int, spread bool) column {
		return column{title, func(c string) []float64 { return r.values(w.name, c, f) }, digits, spread}
	}
	added := func(title string, f figure) column {
		return column{title, func(c string) []float64 { return r.paired(w.name, c, directName, f, less) }, 0, true}
	}
	against := func(other string, f figure) column {
		return column{"÷ " + other, func(c string) []float64 { return r.paired(w.name, c, other, f, ratio) }, 2, false}
	}
	errors := column{"errors", func(c string) []float64 { return total(r.values(w.name, c, faultCount)) }, 0, false}
	switch {
	case w.only != "":
		cols := []column{plain("CPU µs/stream", cpuPerStream, 0, true)}
		if w.cut {
			cols = append(cols, column{"÷ uncut", r.cutRatio, 2, true},
				plain("cut to next event p50 µs", seam50, 0, true), plain("p99 µs", seam99, 0, true))
		}
		return append(cols, errors)
	case w.mode == "idle":
		return []column{plain("KiB/stream", memory, 1, true), against(nginxName, memory), against(plainName, memory),
			plain("KiB before", memoryBase, 0, false), errors}
	case w.begins:
		return []column{added("first event after, added p50 µs", first50), added("added p99 µs", first99),
			plain("p50 µs", first50, 0, false), plain("CPU µs/event", cpuPerEvent, 1, true), errors}
	case w.mode == "short", w.mode == "unary":
		return []column{plain("requests/s", requestRate, 0, true), against(nginxName, requestRate), against(haproxyName, requestRate), against(plainName, requestRate),
			plain("CPU µs/request", cpuPerReq, 1, true), plain("p50 µs", p50, 0, false), plain("p99 µs", p99, 0, false), errors}
	}
	cols := []column{plain("CPU µs/event", cpuPerEvent, 1, true), against(nginxName, cpuPerEvent), against(plainName, cpuPerEvent)}
	if w.mode == "stream" {
		cols = append(cols, added("added p50 µs", p50), added("added p99 µs", p99), plain("p99 µs", p99, 0, false))
	}
	return append(cols, plain("events/s", eventRate, 0, w.mode == "saturate"), errors)
}

// cutRatio compares the cost of a cut stream with that of an uncut one.
func (r results) cutRatio(c string) []float64 {
	cut, uncut := r.values("cut", c, cpuPerStream), r.values("uncut", c, cpuPerStream)
	var all []float64
	for i := range min(len(cut), len(uncut)) {
		all = append(all, cut[i]/uncut[i])
	}
	return all
}

// writeTables writes a table for each workload, in Markdown that can be read
// as it is.
func (r results) writeTables(out io.Writer, all []workload, names []string) {
	for i := range all {
		w := &all[i]
		if r[w.name] == nil {
			continue
		}
		cols := r.columns(w)
		rows := [][]string{{""}}
		for _, c := range cols {
			rows[0] = append(rows[0], c.title)
		}
		for _, name := range names {
			if r[w.name][name] == nil || name == directName && w.mode == "idle" {
				continue
			}
			row := []string{name}
			for _, c := range cols {
				row = append(row, c.cell(name))
			}
			rows = append(rows, row)
		}
		fmt.Fprintf(out, "\n**%s** (`%s`)\n\n", w.title, w.name)
		writeAligned(out, rows)
	}
}

// cell is what the column says of a contender.
func (c *column) cell(contender string) string {
	s, ok := summarize(c.values(contender))
	if !ok {
		return "–"
	}
	text := fixed(s.median, c.digits)
	if c.spread && s.least != s.greatest {
		text += " (" + fixed(s.least, c.digits) + "…" + fixed(s.greatest, c.digits) + ")"
	}
	return text
}

// fixed is a number with so many digits behind the point.
func fixed(v float64, digits int) string {
	if math.Abs(v) < math.Pow(10, -float64(digits))/2 {
		v = 0
	}
	return fmt.Sprintf("%.*f", digits, v)
}

// writeAligned writes rows, the first of them the head, as a Markdown table.
func writeAligned(out io.Writer, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell), 2)
		}
	}
	for n, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				fmt.Fprintf(out, "| %s%s ", cell, pad)
			} else {
				fmt.Fprintf(out, "| %s%s ", pad, cell)
			}
		}
		fmt.Fprintln(out, "|")
		if n > 0 {
			continue
		}
		for i := range row {
			if i == 0 {
				fmt.Fprint(out, "|", strings.Repeat("-", width[i]+2))
			} else {
				fmt.Fprint(out, "|", strings.Repeat("-", width[i]+1), ":")
			}
		}
		fmt.Fprintln(out, "|")
	}
}
