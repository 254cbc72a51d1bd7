package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// options are what the program is told.
type options struct {
	rounds    int
	span      span
	workloads []workload
	only      string
	install   bool
	out       string
}

// parseOptions reads the arguments.
func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := new(options)
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	fs.SetOutput(stderr)
	var known []string
	for _, w := range workloads() {
		known = append(known, w.name)
	}
	fs.IntVar(&o.rounds, "rounds", 0, "rounds; 0 for 5, or 2 with -quick")
	fs.DurationVar(&o.span.window, "window", 0, "what is measured at a time; 0 for 4s, or 1.5s with -quick")
	fs.DurationVar(&o.span.warmup, "warmup", 0, "what runs before that; 0 for 2s, or 1s with -quick")
	names := fs.String("workloads", "", "comma-separated `list` of "+strings.Join(known, ", ")+"; empty for all")
	fs.StringVar(&o.only, "contenders", "", "comma-separated `list` of contenders, beside "+directName+"; empty for all")
	quick := fs.Bool("quick", false, "short windows and few rounds: to see that it works")
	missing := fs.Bool("no-install", false, "leave out what is not installed")
	fs.StringVar(&o.out, "out", "results", "`directory` for the table and the plot")
	err := fs.Parse(args)
	if err != nil {
		return nil, err
	}
	o.install = !*missing
	rounds, whole := 5, span{2 * time.Second, 4 * time.Second}
	if *quick {
		rounds, whole = 2, span{time.Second, 1500 * time.Millisecond}
	}
	if o.rounds == 0 {
		o.rounds = rounds
	}
	if o.span.window == 0 {
		o.span.window = whole.window
	}
	if o.span.warmup == 0 {
		o.span.warmup = whole.warmup
	}
	if o.workloads, err = choose(*names); err == nil && (o.rounds < 0 || o.span.window < 0 || o.span.warmup < 0 || fs.NArg() > 0) {
		err = errors.New("durations and rounds must be positive, and there are no arguments but flags")
	}
	if err != nil {
		fmt.Fprintln(stderr, "compare:", err)
	}
	return o, err
}

// run is the program; it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	context.AfterFunc(ctx, cancel) // a second signal ends the program at once
	if err := o.compare(ctx, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "compare:", err)
		return 1
	}
	return 0
}

// compare builds, measures and writes the results.
func (o *options) compare(ctx context.Context, stdout, stderr io.Writer) error {
	here, err := moduleDir()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	say := func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }
	say("building")
	if err := build(here, dir); err != nil {
		return err
	}
	there := o.chosen(present(contenders(dir), o.install, say))
	o.limit(say)
	b := &bench{load: filepath.Join(dir, "load"), dir: dir, span: o.span}
	defer b.stopAll()
	if err := b.startUpstreams(); err != nil {
		return err
	}
	r := results{}
	for round := range o.rounds {
		o.round(ctx, b, there, round, r, say)
	}
	b.stopAll()
	return o.write(r, there, here, stdout)
}

// chosen are the contenders that -contenders names.
func (o *options) chosen(all []contender) []contender {
	if o.only == "" {
		return all
	}
	var some []contender
	for _, c := range all {
		for _, name := range strings.Split(o.only, ",") {
			if strings.TrimSpace(name) == c.name {
				some = append(some, c)
			}
		}
	}
	return some
}

// limit makes workloads smaller that need more open files than there may be.
func (o *options) limit(say func(string, ...any)) {
	for i := range o.workloads {
		w := &o.workloads[i]
		if allowed := (openFiles() - files(0)) / 2; w.streams > allowed {
			say("%s: %d instead of %d streams, since %d files may be open", w.name, max(allowed, 1), w.streams, openFiles())
			w.streams = max(allowed, 1)
		}
	}
}

// round measures every workload through every contender once.
func (o *options) round(ctx context.Context, b *bench, there []contender, round int, r results, say func(string, ...any)) {
	for i := range o.workloads {
		w := &o.workloads[i]
		turns := w.turns(there)
		rand.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
		for _, c := range turns {
			if ctx.Err() != nil {
				return
			}
			name := directName
			if c != nil {
				name = c.name
			}
			s, err := b.measure(w, c)
			if err != nil {
				say("round %d, %s, %s: %v", round+1, w.name, name, err)
			}
			r.put(w.name, name, round, s)
		}
		say("round %d of %d: %s", round+1, o.rounds, w.name)
	}
}

// write prints the tables and writes them, with the plot, into files.
func (o *options) write(r results, there []contender, here string, stdout io.Writer) error {
	names := []string{}
	for _, c := range there {
		names = append(names, c.name)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "# Comparison\n\nMedians of the rounds (least…greatest); ratios are medians of each round's ratio, errors those of all rounds.\n\n")
	for _, line := range machine(there, o.rounds, o.span) {
		fmt.Fprintf(&text, "- %s\n", line)
	}
	r.writeTables(&text, o.workloads, append(names, directName))
	fmt.Fprint(stdout, text.String())
	out := o.out
	if !filepath.IsAbs(out) {
		out = filepath.Join(here, out)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "compare.md"), []byte(text.String()+"\n![plot](compare.png)\n"), 0o644); err != nil {
		return err
	}
	return r.writePlot(filepath.Join(out, "compare.png"), names)
}
