package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// workload is one kind of load.
type workload struct {
	name    string // as -workloads takes it
	title   string
	mode    string // of the load generator
	streams int
	events  int     // of a stream, 0 for so many that none ends
	rate    float64 // events a second and stream
	size    int     // bytes of an event, 0 for the load generator's own
	prompt  int     // bytes of the question, 0 likewise
	secure  bool    // TLS to the upstream
	cut     bool
	begins  bool          // what counts is how streams begin
	warmup  time.Duration // at the least
	only    string        // the one contender that it is for, empty for all
}

// workloads are all there are.
func workloads() []workload {
	plain := []workload{
		{name: "200", title: "200 streams, 20 events/s each", mode: "stream", streams: 200, rate: 20},
		{name: "1000", title: "1000 streams, 20 events/s each", mode: "stream", streams: 1000, rate: 20},
		{name: "saturate", title: "64 streams of 2000 events, as fast as they come", mode: "saturate", streams: 64, events: 2000},
	}
	all := append([]workload{}, plain...)
	for _, w := range plain {
		w.name += "-tls"
		w.title += ", TLS to the upstream"
		w.secure = true
		all = append(all, w)
	}
	return append(all,
		workload{name: "short", title: "short requests, 1 KiB of JSON each way, 32 connections", mode: "short", streams: 32},
		workload{name: "unary", title: "the same as generateContent, which this proxy heals", mode: "unary", streams: 32},
		workload{name: "first", title: "new streams, 64 at a time, of five events at 50/s", mode: "stream", streams: 64, events: 5, rate: 50, begins: true},
		workload{name: "pages", title: "100 streams at a time, 40 events at 20/s of 8 KB each", mode: "stream", streams: 100, events: 40, rate: 20, size: 8000, warmup: 4 * time.Second},
		workload{name: "prompts", title: "requests of 1 MB, 32 streams at a time, of five events at 50/s", mode: "stream", streams: 32, events: 5, rate: 50, prompt: 1_000_000},
		workload{name: "10000", title: "10 000 streams, an event a second each", mode: "stream", streams: 10000, rate: 1, warmup: 12 * time.Second},
		workload{name: "idle", title: "2 000 idle streams, one event each", mode: "idle", streams: 2000},
		workload{name: "idle-10000", title: "10 000 idle streams, one event each", mode: "idle", streams: 10000, warmup: 6 * time.Second},
		workload{name: "uncut", title: "32 streams at a time, 40 events at 200/s", mode: "stream", streams: 32, events: 40, rate: 200, only: ourName},
		workload{name: "cut", title: "the same, each cut once at its middle and healed", mode: "stream", streams: 32, events: 40, rate: 200, cut: true, only: ourName},
	)
}

// choose returns the workloads of the given names, all for an empty list. The
// cut workload brings the uncut one with it.
func choose(names string) ([]workload, error) {
	all := workloads()
	if names == "" {
		return all, nil
	}
	wanted := map[string]bool{}
	for _, n := range strings.Split(names, ",") {
		wanted[strings.TrimSpace(n)] = true
	}
	if wanted["cut"] {
		wanted["uncut"] = true
	}
	var chosen []workload
	for _, w := range all {
		if wanted[w.name] {
			chosen = append(chosen, w)
			delete(wanted, w.name)
		}
	}
	for n := range wanted {
		return nil, fmt.Errorf("no workload %q", n)
	}
	return chosen, nil
}

// turns are the contenders that the workload is for; nil is no proxy.
func (w *workload) turns(there []contender) (turns []*contender) {
	if w.only == "" && w.mode != "idle" {
		turns = append(turns, nil)
	}
	for i := range there {
		if c := &there[i]; w.only == "" || w.only == c.name {
			turns = append(turns, c)
		}
	}
	return turns
}

// span is how long a measurement takes.
type span struct{ warmup, window time.Duration }

// args are the load generator's for the workload against target.
func (w *workload) args(target, ca string, s span) []string {
	s.warmup = max(s.warmup, w.warmup)
	events := w.events
	if events == 0 {
		events = int(w.rate*(s.warmup+s.window).Seconds()) + 100
	}
	args := []string{
		"-url", target, "-mode", w.mode, "-json", "-announce",
		"-streams", strconv.Itoa(w.streams), "-events", strconv.Itoa(max(events, 1)),
		"-rate", strconv.FormatFloat(w.rate, 'g', -1, 64),
		"-warmup", s.warmup.String(), "-duration", s.window.String(), "-ramp", (s.warmup / 2).String(),
	}
	if w.size > 0 {
		args = append(args, "-size", strconv.Itoa(w.size))
	}
	if w.prompt > 0 {
		args = append(args, "-prompt", strconv.Itoa(w.prompt))
	}
	if w.cut {
		args = append(args, "-cut")
	}
	if ca != "" {
		args = append(args, "-ca", ca)
	}
	return args
}
