package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// figure is something that is measured.
type figure string

const (
	cpuPerEvent  figure = "cpu/event"  // µs of processor time
	cpuPerReq    figure = "cpu/req"    // µs
	cpuPerStream figure = "cpu/stream" // µs
	eventRate    figure = "events/s"
	requestRate  figure = "requests/s"
	p50          figure = "p50" // µs under way
	p99          figure = "p99"
	first50      figure = "first p50" // µs from the request to the first event
	first99      figure = "first p99"
	seam50       figure = "seam p50" // µs from the cut to the next event
	seam99       figure = "seam p99"
	memory       figure = "memory/stream" // KiB
	memoryBase   figure = "memory"        // KiB, of a contender with nothing to do
	faultCount   figure = "errors"
)

// sample is what one measurement found.
type sample map[figure]float64

// report is what the load generator reports; see bench/load.
type report struct {
	Open       float64 `json:"open"`
	Events     float64 `json:"events"`
	EventRate  float64 `json:"events_per_second"`
	Streams    float64 `json:"streams"`
	Requests   float64 `json:"requests"`
	ReqRate    float64 `json:"requests_per_second"`
	Errors     float64 `json:"errors"`
	FirstFault string  `json:"first_fault"`
	Timings    map[string]struct{ P50, P99 float64 }
}

// measure runs a workload through a contender, or directly if c is nil.
func (b *bench) measure(w *workload, c *contender) (sample, error) {
	dir, err := os.MkdirTemp(b.dir, "run")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	pl := place{dir: dir, upstream: b.upstream[w.secure], secure: w.secure, ca: b.ca, streams: w.streams}
	if c == nil {
		ca := ""
		if w.secure {
			ca = b.ca
		}
		return b.under(w, pl.url(), ca, nil)
	}
	if pl.listen, err = freeAddress(); err != nil {
		return nil, err
	}
	proc, err := c.start(pl)
	if err != nil {
		return nil, err
	}
	b.keep(proc)
	defer b.stop(proc)
	return b.under(w, "http://"+pl.listen, "", proc)
}

// under runs the load against target and watches proc, which may be nil.
func (b *bench) under(w *workload, target, ca string, proc *process) (sample, error) {
	gauge := meter{proc: proc}
	base := gauge.memory()
	cmd := exec.Command(b.load, w.args(target, ca, b.span)...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", threads))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var r *report
	var used time.Duration
	held := 0.0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch line := lines.Text(); line {
		case "begin":
			used = -gauge.cpu()
			held = gauge.memory() - base
		case "end":
			used += gauge.cpu()
		default:
			r = new(report)
			if err := json.Unmarshal([]byte(line), r); err != nil {
				return nil, err
			}
		}
	}
	err = cmd.Wait() // says too that there were errors, which r has
	if r == nil {
		return nil, fmt.Errorf("no report of the load: %w", err)
	}
	if gauge.err != nil {
		return nil, gauge.err
	}
	if r.Errors > 0 {
		fmt.Fprintf(os.Stderr, "%s: %.0f errors, the first of them: %s\n", w.name, r.Errors, r.FirstFault)
	}
	s, err := w.evaluate(r, used, base, held)
	if proc == nil {
		delete(s, cpuPerEvent)
		delete(s, cpuPerReq)
	}
	return s, err
}

// evaluate makes a sample of a report and of what the contender used.
func (w *workload) evaluate(r *report, used time.Duration, base, held float64) (sample, error) {
	s := sample{faultCount: r.Errors, memoryBase: base}
	micros := float64(used.Nanoseconds()) / 1e3
	timed := "transit"
	switch w.mode {
	case "idle":
		if r.Open < float64(w.streams) {
			return nil, fmt.Errorf("%.0f of %d streams are open: %s", r.Open, w.streams, r.FirstFault)
		}
		s[memory] = held / r.Open
		return s, nil
	case "short", "unary":
		if r.Requests == 0 {
			return nil, errors.New("no request was answered: " + r.FirstFault)
		}
		timed = "answer"
		s[requestRate], s[cpuPerReq] = r.ReqRate, micros/r.Requests
	default:
		if r.Events == 0 {
			return nil, errors.New("no event came: " + r.FirstFault)
		}
		s[eventRate], s[cpuPerEvent] = r.EventRate, micros/r.Events
	}
	if w.mode != "saturate" { // the time that full buffers take says nothing
		s[p50], s[p99] = r.Timings[timed].P50, r.Timings[timed].P99
	}
	if w.begins {
		s[first50], s[first99] = r.Timings["first"].P50, r.Timings["first"].P99
	}
	if w.only != "" && r.Streams > 0 {
		// Streams that the window cuts in two even out; events say how many
		// there were.
		s[cpuPerStream] = micros / (r.Events / float64(w.events))
	}
	if w.cut {
		s[seam50], s[seam99] = r.Timings["seam"].P50, r.Timings["seam"].P99
	}
	return s, nil
}

// meter reads what a process uses.
type meter struct {
	proc *process // nil measures nothing
	err  error
}

func (m *meter) cpu() time.Duration {
	if m.proc == nil {
		return 0
	}
	d, err := cpuTime(family(m.proc.pid()))
	m.err = errors.Join(m.err, err)
	return d
}

func (m *meter) memory() float64 {
	if m.proc == nil {
		return 0
	}
	return residentKiB(family(m.proc.pid()))
}
