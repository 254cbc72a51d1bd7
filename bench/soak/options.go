package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// options are what the program is told.
type options struct {
	duration  time.Duration
	every     time.Duration
	calibrate time.Duration
	rate      float64
	share     float64
	open      int64
	program   string
	out       string
	env       settings
}

// settings are the -set flags: environment of the proxy.
type settings []string

func (s *settings) String() string { return "" }

func (s *settings) Set(v string) error { *s = append(*s, v); return nil }

// parseOptions reads the arguments.
func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := new(options)
	fs := flag.NewFlagSet("soak", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.DurationVar(&o.duration, "duration", 10*time.Minute, "how long the load lasts")
	fs.DurationVar(&o.every, "every", 0, "time between samples; 0 for a 120th of the duration")
	fs.DurationVar(&o.calibrate, "calibrate", 8*time.Second, "how long the cost of an arrival is measured first")
	fs.Float64Var(&o.rate, "rate", 0, "arrivals a second; 0 for -share of the capacity")
	fs.Float64Var(&o.share, "share", 0.5, "share of the capacity")
	fs.Int64Var(&o.open, "open", 2000, "requests at a time, beyond which arrivals are left out")
	fs.StringVar(&o.program, "proxy", "", "`file` of a built proxy; empty builds the repository's")
	fs.StringVar(&o.out, "out", "results", "`directory` for the table, the samples and the plot")
	fs.Var(&o.env, "set", "`NAME=value` for the proxy's environment; may be repeated")
	err := fs.Parse(args)
	if err != nil {
		return nil, err
	}
	if o.every == 0 {
		o.every = max(o.duration/120, 100*time.Millisecond)
	}
	if o.duration <= 0 || o.every < 0 || o.calibrate <= 0 || o.rate < 0 || o.share <= 0 || o.share > 1 || o.open < 1 || fs.NArg() > 0 {
		err = errors.New("durations and -open must be positive, -rate not negative, -share above 0 and at most 1, and there are no arguments but flags")
		fmt.Fprintln(stderr, "soak:", err)
	}
	return o, err
}

// warmup is the part of the load of which samples are shown and not judged.
func (o *options) warmup() time.Duration { return min(o.duration/5, 3*time.Minute) }
