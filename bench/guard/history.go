package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// The columns of the history that are not ratios.
var historyHead = []string{"date", "commit", "cpu"}

// appendHistory adds a line with the medians of the ratios to the history, a
// table of tab-separated values. A benchmark that is new gets a column at the
// end; lines from before it are shorter.
func appendHistory(file string, now results, at time.Time) error {
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	line := map[string]string{"date": at.Format(time.DateOnly), "commit": commit(), "cpu": now[0].GetConfig("cpu")}
	ratios := now.figures()
	var measured []string
	for _, n := range ratios.names() {
		if values := ratios[n][ratio]; len(values) > 0 && n.pkg == packages[0].dir {
			measured = append(measured, n.own)
			line[n.own] = fmt.Sprintf("%.3f", median(values))
		}
	}
	return os.WriteFile(file, []byte(withLine(string(old), line, measured)), 0o644)
}

// withLine is the table with another line, and with columns for what it has
// none for.
func withLine(table string, line map[string]string, measured []string) string {
	head, rest, _ := strings.Cut(table, "\n")
	columns := strings.Split(head, "\t")
	if head == "" {
		columns = slices.Clone(historyHead)
	}
	for _, m := range measured {
		if !slices.Contains(columns, m) {
			columns = append(columns, m)
		}
	}
	cells := make([]string, len(columns))
	for i, c := range columns {
		if cells[i] = line[c]; cells[i] == "" {
			cells[i] = "-"
		}
	}
	return strings.Join(columns, "\t") + "\n" + rest + strings.Join(cells, "\t") + "\n"
}

// commit is the commit that was measured, with a + when there are changes to
// it.
func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "-"
	}
	short := strings.TrimSpace(string(out))
	if exec.Command("git", "diff", "--quiet", "HEAD").Run() != nil {
		short += "+"
	}
	return short
}
