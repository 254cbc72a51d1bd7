package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// options are what the program is told.
type options struct {
	rounds   int
	duration time.Duration
	margin   float64
	update   bool
	baseline string
	history  string
	out      string
}

// parseOptions reads the arguments. Usage and mistakes go to stderr.
func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := new(options)
	fs := flag.NewFlagSet("guard", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&o.rounds, "rounds", 7, "rounds in which times are measured; 0 compares allocations alone")
	fs.DurationVar(&o.duration, "duration", 100*time.Millisecond, "how long a benchmark runs in a round")
	fs.Float64Var(&o.margin, "margin", 1.3, "how many times the baseline's ratio is too much")
	fs.BoolVar(&o.update, "update", false, "make this run the baseline")
	fs.StringVar(&o.baseline, "baseline", "../testdata/baseline.txt", "`file` to compare with")
	fs.StringVar(&o.history, "history", "../history.tsv", "`file` to append the ratios to; empty for none")
	fs.StringVar(&o.out, "out", "results/now.txt", "`file` for what was measured")
	err := fs.Parse(args)
	if err != nil {
		return nil, err
	}
	switch {
	case o.rounds < 0 || o.duration <= 0 || o.margin < 1 || fs.NArg() > 0:
		err = errors.New("-rounds must not be negative, -duration positive, -margin 1 or more, and there are no arguments but flags")
	case o.rounds == 0 && o.update:
		err = errors.New("a baseline needs -rounds")
	}
	if err != nil {
		fmt.Fprintln(stderr, "guard:", err)
	}
	return o, err
}

// run is the program; it returns the exit status: 1 when something has become
// dearer, or could not be measured.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if err := o.guard(stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "guard:", err)
		return 1
	}
	return 0
}

// errDearer says that the comparison failed; what did was printed.
var errDearer = errors.New("dearer than the baseline; if that is meant to be: make bench-guard GUARD=-update")

// guard measures, writes down and compares.
func (o *options) guard(stdout, stderr io.Writer) error {
	if _, err := os.Stat("../relay_test.go"); err != nil {
		return errors.New("run this in bench/guard")
	}
	before, err := readFile(o.baseline)
	if err != nil && !o.update {
		return err
	}
	then := before.figures()
	now, err := o.measure(then, func(what string) { fmt.Fprintln(stderr, what) })
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
		return err
	}
	if err := now.writeFile(o.out); err != nil {
		return err
	}
	if o.history != "" && o.rounds > 0 {
		if err := appendHistory(o.history, now, time.Now()); err != nil {
			return err
		}
	}
	if o.update {
		return now.writeFile(o.baseline)
	}
	benchstat(o.baseline, o.out, stdout, stderr)
	if o.rounds == 0 {
		then.without(ratio)
	}
	problems, notes := compare(then, now.figures(), o.margin)
	for _, n := range notes {
		fmt.Fprintln(stdout, "note:", n)
	}
	for _, p := range problems {
		fmt.Fprintln(stdout, "FAIL:", p)
	}
	if len(problems) > 0 {
		return errDearer
	}
	fmt.Fprintln(stdout, "no more allocations than the baseline")
	if o.rounds > 0 {
		fmt.Fprintf(stdout, "no ratio above %g times the baseline's\n", o.margin)
	}
	return nil
}
