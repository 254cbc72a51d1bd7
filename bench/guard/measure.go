package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/perf/benchfmt"
)

// packages are the folders of the main module whose benchmarks are guarded,
// the first of them the one whose ratios the history keeps. Allocations are
// counted over so many operations that what is allocated once is none per
// operation: where goroutines and pools take part, it takes more of them.
var packages = []struct{ dir, count string }{{"bench", "1000x"}, {"stream", "100x"}}

const (
	// exactRuns is how often allocations are counted.
	exactRuns = 3
	// recounts is how often they are counted again when they are too many. What
	// a busy machine adds is not there each time, what the code does is.
	recounts = 4
	// processors is fixed, since what runs at once changes ratios.
	processors = "2"
)

// uncollected keeps the garbage collector from running, unless memory gets
// scarce. It empties pools, and takes more time the idler the machine is.
var uncollected = []string{"GOGC=off", "GOMEMLIMIT=1GiB"}

// measure builds the benchmarks and runs them: for the allocations, then for
// the times, a round after the other. before is what will be compared with.
func (o *options) measure(before figures, say func(string)) (results, error) {
	dir, err := os.MkdirTemp("", "guard")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	say("building")
	for _, pkg := range packages {
		cmd := exec.Command("go", "test", "-c", "-o", filepath.Join(dir, pkg.dir), "./"+pkg.dir)
		cmd.Dir = filepath.Join("..", "..")
		cmd.Env = append(os.Environ(), "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the benchmarks of %s: %w\n%s", pkg.dir, err, out)
		}
	}
	var all results
	for _, pkg := range packages {
		say("counting allocations in " + pkg.dir)
		var counted results
		for again := 0; again == 0 || again <= recounts && exceeds(before, counted.figures()); again++ {
			r, err := benchmarks(dir, pkg.dir, pkg.count, exactRuns)
			if err != nil {
				return nil, err
			}
			counted = append(counted, r.only(allocations)...)
		}
		all = append(all, counted...)
	}
	for round := range o.rounds {
		for _, pkg := range packages {
			r, err := benchmarks(dir, pkg.dir, o.duration.String(), 1)
			if err != nil {
				return nil, err
			}
			all = append(all, r.only(processor).withRatios()...)
		}
		say(fmt.Sprintf("round %d of %d", round+1, o.rounds))
	}
	return all, nil
}

// apart are benchmarks that are compared with each other and with no reference,
// on paths that are off unless they are asked for.
const apart = "Handshake|OverTLS|Trace"

// patience is how long the benchmarks of a package may take in all.
const patience = 10 * time.Minute

// benchmarks runs the benchmarks of a package.
func benchmarks(dir, pkg, benchtime string, count int) (results, error) {
	cmd := exec.Command(filepath.Join(dir, pkg), "-test.run", "^$", "-test.bench", ".", "-test.skip", apart, "-test.benchmem", "-test.benchtime", benchtime,
		"-test.count", strconv.Itoa(count), "-test.cpu", processors, "-test.timeout", patience.String())
	cmd.Dir = filepath.Join("..", "..", pkg)
	cmd.Env = append(os.Environ(), uncollected...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("benchmarks of %s: %w\n%s", pkg, err, out)
	}
	return read(bytes.NewReader(out), pkg)
}

// benchstat prints how the files differ. That it cannot be had is no fault of
// what was measured.
func benchstat(before, now string, stdout, stderr io.Writer) {
	cmd := exec.Command("go", "tool", "benchstat", "-ignore", "goos,goarch,cpu",
		"-filter", ".unit:("+ratio+" OR "+allocations+")", "baseline="+before, "now="+now)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(stderr, "guard: benchstat:", err)
	}
}

// withRatios are the results with their times' ratios to the reference, which
// is among them.
func (all results) withRatios() results {
	times := all.figures()
	for _, r := range all {
		if value, ok := times.ratio(nameOf(r)); ok {
			r.Values = append(r.Values, benchfmt.Value{Value: value, Unit: ratio})
		}
	}
	return all
}
