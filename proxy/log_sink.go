package proxy

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxLogInfo is how many bytes of lines may wait to be written before
	// others are left out. Warnings and errors may fill maxLogAll.
	maxLogInfo = 1 << 20
	maxLogAll  = 8 << 20
	// maxLogSpare is the size up to which a buffer of lines is used again.
	maxLogSpare = 64 << 10
	// reportEvery is how often it is logged, at most, that lines were left out.
	reportEvery = time.Second
	// logFlush is how long FlushLog waits at most.
	logFlush = time.Second
)

// logSink takes the lines of the log to where they are kept. Whoever logs leaves
// a line here and goes on: a pipe that nobody reads, or a disk that is slow,
// makes lines be left out, and nobody wait. Lines are also left out when there
// are too many of them in a second. Warnings and errors are not, as long as
// there is any room. It is safe for concurrent use.
type logSink struct {
	w    io.Writer
	rate float64 // lines a second, 0 for no limit
	high slog.Handler

	mu      sync.Mutex
	pending []byte
	writing bool // a batch is on its way
	idle    *sync.Cond
	tokens  float64
	refill  time.Time
	left    [leftReasons]uint64 // lines left out, in all
	told    [leftReasons]uint64 // those of them that were reported or counted
	counts  *[leftReasons]prometheus.Counter

	wake chan struct{}
	lost bool // it was reported that the file cannot be opened again; run's
}

// Why a line was left out.
const (
	leftRate   = iota // more than so many a second
	leftSlow          // too much waits to be written
	leftFailed        // it could not be written
	leftReasons
)

var leftNames = [leftReasons]string{"rate", "slow", "failed"}

// NewLogHandler returns a handler that writes lines to w, in the form and from
// the level on that cfg asks for, and never makes whoever logs wait for w. Its
// goroutine lives as long as the program; FlushLog waits for it.
func NewLogHandler(cfg *Config, w io.Writer) slog.Handler {
	k := &logSink{w: w, rate: float64(cfg.LogLinesPerSecond), wake: make(chan struct{}, 1), refill: time.Now()}
	k.tokens = k.rate
	k.idle = sync.NewCond(&k.mu)
	opts := &slog.HandlerOptions{}
	if cfg.DebugMode {
		opts.Level = slog.LevelDebug
	}
	handler := func(limit int) slog.Handler {
		if cfg.LogFormat == "json" {
			return slog.NewJSONHandler(sinkWriter{k, limit}, opts)
		}
		return slog.NewTextHandler(sinkWriter{k, limit}, opts)
	}
	h := &logHandler{k, handler(maxLogInfo), handler(maxLogAll)}
	k.high = h.high
	go k.run()
	return h
}

// FlushLog waits, but not for long, until the lines that a logger with a handler
// of NewLogHandler has taken are written.
func FlushLog(log *slog.Logger) {
	h, ok := log.Handler().(*logHandler)
	if !ok {
		return
	}
	k := h.sink
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.mu.Lock()
		defer k.mu.Unlock()
		for len(k.pending) > 0 || k.writing {
			k.idle.Wait()
		}
	}()
	select {
	case <-done:
	case <-time.After(logFlush):
	}
}

// logHandler formats lines into a sink: warnings and errors into more of its
// room than others.
type logHandler struct {
	sink      *logSink
	low, high slog.Handler
}

// Enabled tells whether lines of a level are kept.
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.high.Enabled(ctx, level)
}

// Handle takes a line.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		return h.high.Handle(ctx, r)
	}
	if !h.sink.admits(r.Time) {
		return nil
	}
	return h.low.Handle(ctx, r)
}

// WithAttrs returns a handler of the same sink.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.sink, h.low.WithAttrs(attrs), h.high.WithAttrs(attrs)}
}

// WithGroup returns a handler of the same sink.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.sink, h.low.WithGroup(name), h.high.WithGroup(name)}
}

// admits tells whether a line below a warning is to be formatted at all.
func (k *logSink) admits(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.pending) >= maxLogInfo {
		k.leave(leftSlow, 1)
		return false
	}
	if k.rate == 0 {
		return true
	}
	if passed := now.Sub(k.refill); passed > 0 {
		k.tokens = min(k.rate, k.tokens+passed.Seconds()*k.rate)
		k.refill = now
	}
	if k.tokens < 1 {
		k.leave(leftRate, 1)
		return false
	}
	k.tokens--
	return true
}

// leave counts lines that are left out. It is called with mu held.
func (k *logSink) leave(why, lines int) {
	k.left[why] += uint64(lines)
	if k.counts != nil {
		k.counts[why].Add(float64(lines))
	}
	k.signal()
}

func (k *logSink) signal() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// sinkWriter is what lines are formatted to. Each comes in one Write.
type sinkWriter struct {
	k     *logSink
	limit int // of what may wait
}

func (s sinkWriter) Write(line []byte) (int, error) {
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	if len(s.k.pending)+len(line) > s.limit {
		s.k.leave(leftSlow, 1)
	} else {
		s.k.pending = append(s.k.pending, line...)
		s.k.signal()
	}
	return len(line), nil
}

// run writes what waits, and reports what was left out.
func (k *logSink) run() {
	var spare []byte
	report := time.NewTimer(reportEvery)
	report.Stop()
	armed := false
	for {
		select {
		case <-k.wake:
		case <-report.C:
			armed = false
			k.report()
		}
		spare = k.write(spare)
		if !armed && k.unreported() {
			armed = true
			report.Reset(reportEvery)
		}
	}
}

// write writes what waits. spare is memory for what comes meanwhile, and what it
// returns is for the next time.
func (k *logSink) write(spare []byte) []byte {
	k.mu.Lock()
	batch := k.pending
	k.pending = spare[:0]
	k.writing = len(batch) > 0
	k.mu.Unlock()
	if len(batch) == 0 {
		k.mu.Lock()
		k.idle.Broadcast()
		k.mu.Unlock()
		return batch
	}
	n, err := k.w.Write(batch)
	k.reportLost()
	k.mu.Lock()
	if err != nil {
		k.leave(leftFailed, bytes.Count(batch[min(max(n, 0), len(batch)):], []byte("\n")))
	}
	k.writing = false
	k.idle.Broadcast()
	k.mu.Unlock()
	if cap(batch) > maxLogSpare {
		return nil
	}
	return batch
}

func (k *logSink) unreported() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.left != k.told
}

// report logs how many lines were left out since the last time.
func (k *logSink) report() {
	k.mu.Lock()
	var n [leftReasons]uint64
	total := uint64(0)
	for i := range n {
		n[i] = k.left[i] - k.told[i]
		total += n[i]
	}
	k.told = k.left
	k.mu.Unlock()
	if total == 0 {
		return
	}
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines were left out", 0)
	r.AddAttrs(slog.Uint64("suppressed", total))
	for i, name := range leftNames {
		r.AddAttrs(slog.Uint64(name, n[i]))
	}
	k.high.Handle(context.Background(), r)
}

// reportLost logs, once, that the file of the log cannot be opened again: lines go
// where nobody may look for them, and perhaps nowhere that has a name.
func (k *logSink) reportLost() {
	f, ok := k.w.(*LogFile)
	if !ok {
		return
	}
	again := k.lost
	if k.lost = f.lost != nil; !k.lost || again {
		return
	}
	r := slog.NewRecord(time.Now(), slog.LevelError, "the file of the log cannot be opened again, lines go to the one that was moved away", 0)
	r.AddAttrs(slog.String("file", f.path), slog.String("error", bare(f.lost).Error()))
	k.high.Handle(context.Background(), r)
}

// useLog lets the metrics count what the log leaves out.
func (s *Server) useLog(log *slog.Logger) {
	s.log = slog.New(&safeLog{log.Handler(), s.metrics.panics})
	if h, ok := log.Handler().(*logHandler); ok {
		s.sink = h.sink
		s.sink.countIn(&s.metrics.linesLeft)
	}
}

// reopenLog lets the log's next line go to a new file, if it is a file.
func (s *Server) reopenLog() {
	if s.sink == nil {
		return
	}
	if f, ok := s.sink.w.(*LogFile); ok {
		f.Reopen()
	}
}

// countIn lets the counters of a Server show what is left out, also what was so
// far.
func (k *logSink) countIn(counts *[leftReasons]prometheus.Counter) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.counts = counts
	for i := range counts {
		counts[i].Add(float64(k.left[i]))
	}
}
