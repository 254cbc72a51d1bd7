package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// overTime are some rows of the samples, evenly over the time.
func overTime(w io.Writer, samples []*sample) {
	rows := [][]string{{"minute", "arrivals/s", "open", "heap MiB", "resident MiB", "goroutines", "descriptors", "cores",
		"first event p50 ms", "p99", "direct p50", "p99", "short p50", "p99"}}
	const most = 20
	step := max((len(samples)+most-1)/most, 1)
	for i := step - 1; i < len(samples); i += step {
		rows = append(rows, samples[i].row())
	}
	writeTable(w, rows)
}

func (s *sample) row() []string {
	row := []string{fmt.Sprintf("%.1f", s.seconds/60), fmt.Sprintf("%.0f", s.rate)}
	for _, v := range []float64{s.open, s.heap, s.resident, s.goroutines, s.files, s.cores} {
		row = append(row, number(v))
	}
	for _, w := range []way{wayThrough, wayDirect, wayShort} {
		for _, v := range []float64{s.p50[w], s.p99[w]} {
			if v < 0 {
				row = append(row, "–")
			} else {
				row = append(row, number(v))
			}
		}
	}
	return row
}

// columns of the file of samples.
const columns = "seconds\tarrivals_per_second\topen\theap_mib\tresident_mib\tgoroutines\tdescriptors\tseries\tcores\tcpu_ms_per_arrival\t" +
	"first_p50_ms\tfirst_p99_ms\tdirect_p50_ms\tdirect_p99_ms\tshort_p50_ms\tshort_p99_ms\thealed\n"

func (s *sample) line() string {
	return fmt.Sprintf("%.1f\t%.1f\t%.0f\t%.3f\t%.3f\t%.0f\t%.0f\t%.0f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.0f\n",
		s.seconds, s.rate, s.open, s.heap, s.resident, s.goroutines, s.files, s.series, s.cores, s.perArrival,
		s.p50[wayThrough], s.p99[wayThrough], s.p50[wayDirect], s.p99[wayDirect], s.p50[wayShort], s.p99[wayShort], s.healed)
}

// writeTable writes rows in Markdown that can be read as it is.
func writeTable(w io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		for i, cell := range row {
			fill := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				fmt.Fprintf(w, "| %s%s |", cell, fill)
			} else {
				fmt.Fprintf(w, " %s%s |", fill, cell)
			}
		}
		fmt.Fprintln(w)
		if n == 0 {
			for i, width := range widths {
				if i == 0 {
					fmt.Fprintf(w, "|%s|", strings.Repeat("-", width+2))
				} else {
					fmt.Fprintf(w, "%s:|", strings.Repeat("-", width+1))
				}
			}
			fmt.Fprintln(w)
		}
	}
}
