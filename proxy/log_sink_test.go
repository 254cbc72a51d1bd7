package proxy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gemini-resilient-proxy/proxy"
)

// counted returns the value of a series of /metrics.
func (r *rig) counted(series string) float64 {
	r.t.Helper()
	v, err := strconv.ParseFloat(r.metric(series), 64)
	if err != nil {
		r.t.Fatalf("%s: %v", series, err)
	}
	return v
}

// logTo returns a log in JSON to w that takes so many lines a second.
func logTo(w io.Writer, rate int) *slog.Logger {
	cfg := proxy.DefaultConfig()
	cfg.LogFormat, cfg.LogLinesPerSecond = "json", rate
	return slog.New(proxy.NewLogHandler(&cfg, w))
}

// messages counts the lines of a log, by message.
func messages(t *testing.T, text string) map[string]int {
	t.Helper()
	all := map[string]int{}
	for line := range strings.Lines(text) {
		var m struct{ Msg string }
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Errorf("%v: %q", err, line)
		}
		all[m.Msg]++
	}
	return all
}

// suppressed returns what the log says was left out, and how often it says so.
func suppressed(text string) (lines, times int) {
	for line := range strings.Lines(text) {
		var m struct {
			Msg        string
			Suppressed int
		}
		if json.Unmarshal([]byte(line), &m); m.Msg == "log lines were left out" {
			lines += m.Suppressed
			times++
		}
	}
	return lines, times
}

func TestLogKeepsEveryLineInOrder(t *testing.T) {
	var b lockedBuffer
	log := logTo(&b, 0)
	const each, writers = 500, 8
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				log.Info("line", "w", w, "i", i)
				if i%50 == 0 {
					log.With("w", w).WithGroup("g").Error("error", "i", i)
				}
			}
		})
	}
	wg.Wait()
	proxy.FlushLog(log)
	if m := messages(t, b.String()); m["line"] != each*writers || m["error"] != writers*each/50 || len(m) != 2 {
		t.Errorf("%v", m)
	}
	next := map[int]int{}
	for line := range strings.Lines(b.String()) {
		var m struct {
			Msg  string
			W, I int
		}
		json.Unmarshal([]byte(line), &m)
		if m.Msg == "line" {
			if m.I != next[m.W] {
				t.Fatalf("writer %d: line %d, want %d", m.W, m.I, next[m.W])
			}
			next[m.W]++
		}
	}
}

// stuckWriter blocks its writers until it is let go.
type stuckWriter struct {
	lockedBuffer
	free chan struct{}
}

func (s *stuckWriter) Write(p []byte) (int, error) {
	<-s.free
	return s.lockedBuffer.Write(p)
}

// What nobody reads is left out, and nobody waits. Warnings come through.
func TestLogThatNobodyReads(t *testing.T) {
	t.Parallel()
	w := &stuckWriter{free: make(chan struct{})}
	log := logTo(w, 0)
	pad := strings.Repeat("x", 1000)
	for range 5000 {
		log.Info("info", "pad", pad)
	}
	for range 2000 {
		log.Warn("warning", "pad", pad)
	}
	proxy.FlushLog(log) // does not wait for ever either
	close(w.free)
	var m map[string]int
	if !eventually(func() bool {
		m = messages(t, w.String())
		return m["log lines were left out"] > 0
	}) {
		t.Fatalf("%v", m)
	}
	lines, _ := suppressed(w.String())
	if m["warning"] != 2000 || m["info"] == 0 || m["info"]+lines != 5000 {
		t.Errorf("%v, and %d left out", m, lines)
	}
}

// Even of warnings there is an end, and it is counted.
func TestLogMemoryIsBounded(t *testing.T) {
	w := &stuckWriter{free: make(chan struct{})}
	log := logTo(w, 0)
	pad := strings.Repeat("x", 100_000)
	for range 500 {
		log.Error("error", "pad", pad)
	}
	close(w.free)
	if !eventually(func() bool { lines, _ := suppressed(w.String()); return lines > 0 }) {
		t.Fatal("nothing was left out")
	}
	proxy.FlushLog(log)
	m := messages(t, w.String())
	lines, _ := suppressed(w.String())
	if m["error"]+lines != 500 || len(w.String()) > 20<<20 {
		t.Errorf("%v, %d left out, %d bytes", m, lines, len(w.String()))
	}
}

func TestLogRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b lockedBuffer
		stop := make(chan struct{})
		log := logTo(writerUntil{&b, stop}, 100)
		for range 1000 {
			log.Info("info")
			log.Warn("warning")
		}
		time.Sleep(500 * time.Millisecond)
		for range 1000 {
			log.Info("info")
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		m := messages(t, b.String())
		lines, times := suppressed(b.String())
		if m["info"] != 150 || m["warning"] != 1000 || lines != 1850 || times > 2 {
			t.Errorf("%v, %d left out, said %d times", m, lines, times)
		}
		close(stop)
		log.Warn("the goroutine of this log ends here")
		synctest.Wait()
	})
}

// writerUntil ends the goroutine that writes once stop is closed: a log lives as
// long as its program, which in a bubble is not for ever.
type writerUntil struct {
	io.Writer
	stop chan struct{}
}

func (w writerUntil) Write(p []byte) (int, error) {
	select {
	case <-w.stop:
		runtime.Goexit()
	default:
	}
	return w.Writer.Write(p)
}

// failingWriter takes so many bytes of a Write and no more.
type failingWriter struct {
	mu    sync.Mutex
	takes int
	b     bytes.Buffer
}

func (f *failingWriter) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(len(p), f.takes)
	f.b.Write(p[:n])
	if n < len(p) {
		return n, errors.New("no space left")
	}
	return n, nil
}

func TestLogThatCannotBeWritten(t *testing.T) {
	w := &failingWriter{}
	log := logTo(w, 0)
	for range 10 {
		log.Info("lost")
		proxy.FlushLog(log)
	}
	w.mu.Lock()
	w.takes = 1 << 20
	w.mu.Unlock()
	text := func() string { w.mu.Lock(); defer w.mu.Unlock(); return w.b.String() }
	if !eventually(func() bool { lines, _ := suppressed(text()); return lines == 10 }) {
		t.Error(text())
	}
}

// The metric shows what is left out, also what was before there was a server.
func TestSuppressedLinesAreCounted(t *testing.T) {
	w := &stuckWriter{free: make(chan struct{})}
	log := logTo(w, 5)
	for range 8 {
		log.Info("x")
	}
	s, err := proxy.New(proxy.DefaultConfig(), log)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, server: s}
	before := r.counted(`gemini_proxy_log_lines_suppressed_total{reason="rate"}`)
	log.Info("x")
	after := r.counted(`gemini_proxy_log_lines_suppressed_total{reason="rate"}`)
	if before != 3 || after != 4 {
		t.Errorf("%v, then %v", before, after)
	}
	close(w.free)
}

func TestLogFileIsRotated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "proxy.log")
	f, err := proxy.OpenLogFile(path)
	if err != nil {
		t.Fatal(err)
	}
	say := func(text string) {
		t.Helper()
		if _, err := io.WriteString(f, text+"\n"); err != nil {
			t.Error(err)
		}
	}
	holds := func(name, want string) {
		t.Helper()
		b, _ := os.ReadFile(name)
		if string(b) != want {
			t.Errorf("%s holds %q, want %q", filepath.Base(name), b, want)
		}
	}
	say("one")
	os.Rename(path, path+".1")
	f.Reopen()
	say("two")
	holds(path+".1", "one\n")
	holds(path, "two\n")
	// Without a word it is noticed all the same, a little later.
	os.Rename(path, path+".2")
	if !eventually(func() bool { say("x"); _, err := os.Stat(path); return err == nil }) {
		t.Error("the file was not made anew")
	}
	os.Remove(path)
	f.Reopen()
	say("four")
	holds(path, "four\n")
	// Cut short in its place: what comes is appended.
	os.Truncate(path, 0)
	say("five")
	holds(path, "five\n")
	// Where no new one can be made, the old one goes on.
	os.Rename(path, path+".3")
	os.Mkdir(path, 0o700)
	f.Reopen()
	say("six")
	holds(path+".3", "five\nsix\n")
	if _, err := proxy.OpenLogFile(path); err == nil {
		t.Error("a folder was opened")
	}
}

func TestLogLineAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	log := logTo(io.Discard, 0)
	none := slog.New(slog.NewJSONHandler(io.Discard, nil))
	count := func(l *slog.Logger) float64 {
		return testing.AllocsPerRun(1000, func() { l.Info("line", slog.String("a", "b"), slog.Int("n", 1000)) })
	}
	if got, want := count(log), count(none); got > want {
		t.Errorf("%v allocations a line, the plain handler has %v", got, want)
	}
}
