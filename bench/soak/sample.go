package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sample is what was seen at a moment. Times are in milliseconds, memory in
// MiB; latencies and rates are those since the sample before.
type sample struct {
	seconds    float64 // since the load began
	heap       float64 // in use after a collection
	resident   float64
	goroutines float64
	files      float64
	series     float64 // of metrics
	open       float64 // requests that the proxy serves
	cores      float64 // processors that the proxy keeps busy
	perArrival float64 // processor time of the proxy for an arrival, ms
	rate       float64 // arrivals a second
	p50, p99   [ways]float64

	cpu      float64 // seconds of the proxy so far
	healed   float64
	panics   float64
	arrivals int64
}

// added is the time to the first event less that of requests without the proxy.
func (s *sample) added(p *[ways]float64) float64 {
	if p[wayThrough] < 0 || p[wayDirect] < 0 {
		return -1
	}
	return p[wayThrough] - p[wayDirect]
}

const mib = 1 << 20

// look takes a sample from the admin listener.
func (p *process) look(t *tally) (*sample, error) {
	// The heap is only comparable when what is garbage has gone.
	if _, err := p.get("/debug/pprof/heap?gc=1"); err != nil {
		return nil, err
	}
	text, err := p.get("/metrics")
	if err != nil {
		return nil, err
	}
	m, series := metrics(text)
	s := &sample{
		heap: m["go_memstats_heap_alloc_bytes"] / mib, resident: m["process_resident_memory_bytes"] / mib,
		goroutines: m["go_goroutines"], files: m["process_open_fds"], series: float64(series),
		open: m["gemini_proxy_open_requests"], cpu: m["process_cpu_seconds_total"],
		healed: m["gemini_proxy_healed_total"], panics: m["gemini_proxy_panics_total"],
		arrivals: t.arrivals.Load() - t.skipped.Load(),
	}
	s.p50, s.p99 = t.cut()
	return s, nil
}

// since fills in what the time from the sample before says.
func (s *sample) since(before *sample) {
	span, arrivals := s.seconds-before.seconds, float64(s.arrivals-before.arrivals)
	if span > 0 {
		s.cores, s.rate = (s.cpu-before.cpu)/span, arrivals/span
	}
	if arrivals > 0 {
		s.perArrival = (s.cpu - before.cpu) / arrivals * 1000
	}
}

var adminClient = &http.Client{Timeout: 30 * time.Second}

func (p *process) get(path string) (string, error) {
	resp, err := adminClient.Get(p.admin + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return string(b), err
}

// metrics reads the text format of Prometheus: the sum of each metric's series,
// and how many series there are.
func metrics(text string) (sums map[string]float64, series int) {
	sums = map[string]float64{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			continue
		}
		name, _, _ := strings.Cut(line[:at], "{")
		sums[name] += v
		series++
	}
	return sums, series
}

// ownSeconds is the processor time of this process so far.
func ownSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
