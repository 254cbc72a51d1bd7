package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// report is what a run has seen, durations in microseconds.
type report struct {
	Mode       string                 `json:"mode"`
	Seconds    float64                `json:"seconds"`
	Open       int64                  `json:"open"` // streams at the end
	Events     int64                  `json:"events"`
	EventRate  float64                `json:"events_per_second"`
	Streams    int64                  `json:"streams"` // that were completed
	Requests   int64                  `json:"requests"`
	ReqRate    float64                `json:"requests_per_second"`
	Bytes      int64                  `json:"bytes"`
	Errors     int64                  `json:"errors"`
	Faults     map[string]int64       `json:"faults,omitempty"`
	FirstFault string                 `json:"first_fault,omitempty"`
	Timings    map[string]percentiles `json:"timings"`
}

// percentiles sums up durations, in microseconds.
type percentiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

func newReport(c *config, s *stats, open int64) *report {
	seconds := c.duration.Seconds()
	r := &report{
		Mode: c.mode, Seconds: seconds, Open: open,
		Events: s.events.Load(), Streams: s.streams.Load(), Requests: s.requests.Load(), Bytes: s.bytes.Load(),
		Faults: map[string]int64{}, Timings: map[string]percentiles{},
	}
	r.EventRate, r.ReqRate = float64(r.Events)/seconds, float64(r.Requests)/seconds
	for f := range faults {
		if n := s.faults[f].Load(); n > 0 {
			r.Faults[faultNames[f]] = n
			r.Errors += n
		}
	}
	r.FirstFault, _ = s.firstFault.Load().(string)
	for t := range timings {
		h := s.merged(t)
		if h.TotalCount() == 0 {
			continue
		}
		at := func(percent float64) float64 { return micros(h.ValueAtPercentile(percent)) }
		r.Timings[timingNames[t]] = percentiles{h.TotalCount(), at(50), at(90), at(99), at(99.9), micros(h.Max())}
	}
	return r
}

func micros(nanos int64) float64 { return float64(nanos/100) / 10 }

// writeJSON writes the report as one line.
func (r *report) writeJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// writeText writes the report for people.
func (r *report) writeText(w io.Writer) {
	fmt.Fprintf(w, "%s, %.1f s\n", r.Mode, r.Seconds)
	if isShort(r.Mode) {
		fmt.Fprintf(w, "%12.0f requests/s (%d)\n", r.ReqRate, r.Requests)
	} else {
		fmt.Fprintf(w, "%12.0f events/s (%d), %d streams completed, %d open at the end\n", r.EventRate, r.Events, r.Streams, r.Open)
	}
	fmt.Fprintf(w, "%12.2f MB/s\n", float64(r.Bytes)/r.Seconds/1e6)
	fmt.Fprintf(w, "%12d errors", r.Errors)
	for _, name := range faultNames {
		if n := r.Faults[name]; n > 0 {
			fmt.Fprintf(w, ", %s %d", name, n)
		}
	}
	if r.FirstFault != "" {
		fmt.Fprintf(w, " (first: %s)", r.FirstFault)
	}
	fmt.Fprintf(w, "\n%-9s %10s %10s %10s %10s %10s %10s\n", "", "p50", "p90", "p99", "p99.9", "max", "count")
	for _, name := range timingNames {
		p, ok := r.Timings[name]
		if !ok {
			continue
		}
		fmt.Fprintf(w, "%-9s %10s %10s %10s %10s %10s %10d\n", name, span(p.P50), span(p.P90), span(p.P99), span(p.P999), span(p.Max), p.Count)
	}
}

// span is a duration with three digits or so.
func span(micros float64) string {
	d := time.Duration(micros * float64(time.Microsecond))
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
