package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

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
	good, err := o.soak(ctx, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "soak:", err)
	}
	if err != nil || !good {
		return 1
	}
	return 0
}

// soak runs the load and writes what came of it. It is true when nothing grows
// and every answer was as it must be.
func (o *options) soak(ctx context.Context, stdout, stderr io.Writer) (good bool, err error) {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	program := o.program
	if program == "" {
		if program, err = buildProxy(dir); err != nil {
			return false, err
		}
	}
	up, err := newScripted()
	if err != nil {
		return false, err
	}
	defer up.Close()
	p, err := startProxy(program, dir, up.URL(), o.env)
	if err != nil {
		return false, err
	}
	defer p.stop()
	r := &soaking{options: o, proxy: p, up: up, stderr: stderr}
	r.client = newClient(p.url, up, &r.tally)
	r.load = &load{client: r.client, open: o.open, rate: o.rate}
	if err := r.measure(ctx); err != nil {
		said, _ := os.ReadFile(p.log)
		return false, fmt.Errorf("%w\nthe end of the proxy's log:\n%s", err, said[max(len(said)-4000, 0):])
	}
	return r.report(stdout)
}

// report writes the tables, the samples and the plot.
func (r *soaking) report(stdout io.Writer) (good bool, err error) {
	var text strings.Builder
	fmt.Fprintf(&text, "# Soak\n\n%s; %d processors; %s. %s.\n\n", time.Now().Format(time.DateOnly), runtime.NumCPU(), runtime.Version(), r.plan())
	overTime(&text, r.samples)
	fmt.Fprintf(&text, "\nGrowth over the measured time, after a warm-up of %v, by the median of all slopes (Theil–Sen):\n\n", r.warmup().Round(time.Second))
	r.outcome.write(&text)
	if _, err := io.WriteString(stdout, text.String()); err != nil {
		return false, err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return false, err
	}
	lines := columns
	for _, s := range r.samples {
		lines += s.line()
	}
	if err := os.WriteFile(filepath.Join(r.out, "soak.tsv"), []byte(lines), 0o644); err != nil {
		return false, err
	}
	if err := os.WriteFile(filepath.Join(r.out, "soak.md"), []byte(text.String()+"\n![plot](soak.png)\n"), 0o644); err != nil {
		return false, err
	}
	if err := writePlot(filepath.Join(r.out, "soak.png"), r.samples, r.outcome.growths, r.warmup().Seconds()); err != nil {
		return false, err
	}
	return r.outcome.complaints() == nil, nil
}
