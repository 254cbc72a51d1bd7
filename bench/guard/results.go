package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// Units of what is measured, as package benchfmt names them.
const (
	allocations = "allocs/op"
	processor   = "cpu-sec/op"
	ratio       = "ratio" // of the time to the reference's
)

// results are lines of benchmark output, each of one run.
type results []*benchfmt.Result

// read reads the Go benchmark format.
func read(r io.Reader, name string) (results, error) {
	var all results
	br := benchfmt.NewReader(r, name)
	for br.Scan() {
		switch rec := br.Result().(type) {
		case *benchfmt.Result:
			all = append(all, rec.Clone())
		case *benchfmt.SyntaxError:
			return nil, rec
		}
	}
	if err := br.Err(); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no benchmark in it", name)
	}
	return all, nil
}

func readFile(name string) (results, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return read(f, name)
}

// writeFile writes the Go benchmark format, which tells benchstat that
// allocations are no sample but a fact.
func (all results) writeFile(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	b := bufio.NewWriter(f)
	fmt.Fprintf(b, "Unit %s assume=exact\n", allocations)
	w := benchfmt.NewWriter(b)
	for _, r := range all {
		if err := w.Write(r); err != nil {
			return err
		}
	}
	if err := b.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// only are the results with one unit of theirs, without those that lack it: a file
// with such a line could not be read.
func (all results) only(unit string) results {
	return slices.DeleteFunc(all, func(r *benchfmt.Result) bool {
		r.Values = slices.DeleteFunc(r.Values, func(v benchfmt.Value) bool { return v.Unit != unit })
		return len(r.Values) == 0
	})
}

// name is a benchmark's: its package's folder and its own, without the number
// of processors.
type name struct{ pkg, own string }

func (n name) String() string { return n.pkg + "." + n.own }

func nameOf(r *benchfmt.Result) name {
	pkg := r.GetConfig("pkg")
	base, parts := r.Name.Parts()
	own := string(base)
	for _, p := range parts {
		if p[0] == '/' {
			own += string(p)
		}
	}
	return name{pkg[strings.LastIndexByte(pkg, '/')+1:], own}
}

// referenceName is the last part of the names of references. That of a
// benchmark is beside it, else in its package.
const referenceName = "reference"

// isYardstick tells a reference, or a benchmark without any relay, from what is
// guarded: their times have no ratio.
func (n name) isYardstick() bool {
	return n.own == "Reference" || strings.HasSuffix(n.own, "/"+referenceName) || strings.HasSuffix(n.own, "/direct")
}

// figures are the values of benchmarks, one for each run, by unit.
type figures map[name]map[string][]float64

func (all results) figures() figures {
	f := figures{}
	for _, r := range all {
		n := nameOf(r)
		if f[n] == nil {
			f[n] = map[string][]float64{}
		}
		for _, v := range r.Values {
			f[n][v.Unit] = append(f[n][v.Unit], v.Value)
		}
	}
	return f
}

// without forgets what has this unit.
func (f figures) without(unit string) {
	for _, values := range f {
		delete(values, unit)
	}
}

// names are the benchmarks in order.
func (f figures) names() []name {
	var all []name
	for n := range f {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b name) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// ratio is the time of n, which was measured once, by its reference's. There
// is none for a yardstick, and none when the reference was not measured.
func (f figures) ratio(n name) (float64, bool) {
	group, _, _ := strings.Cut(n.own, "/")
	reference := f[name{n.pkg, group + "/" + referenceName}]
	if reference == nil {
		reference = f[name{n.pkg, "Reference"}]
	}
	times, by := f[n][processor], reference[processor]
	if n.isYardstick() || len(times) != 1 || len(by) != 1 || by[0] <= 0 {
		return 0, false
	}
	return times[0] / by[0], true
}

// median is that of at least one value.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}
