package proxy

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

const (
	// liveTick is the time between two points of the live page.
	liveTick = time.Second
	// livePoints is how many are kept: ten minutes.
	livePoints = 600
	// liveWindow is what the percentiles of the last minute are taken over, in
	// points, and liveSmooth those that are plotted: at a few requests a second,
	// one second alone has too little in it.
	liveWindow, liveSmooth = 60, 10
	// liveKeys bounds the keys of a group that the page shows.
	liveKeys = 50
)

// livePoint is what the page plots: the state at a time, and rates a second of
// the time since the point before.
type livePoint struct {
	At            int64     `json:"at"` // Unix seconds
	Open          int       `json:"open"`
	Events        float64   `json:"events"`
	Requests      float64   `json:"requests"`
	Interruptions float64   `json:"interruptions"`
	Healed        float64   `json:"healed"`
	Added         []float64 `json:"added"` // see percentiles
}

// liveDetail is what the page shows beside the plots. Counts are since the
// process began.
type liveDetail struct {
	Version       string             `json:"version,omitempty"` // of the program
	Healed        int64              `json:"healed"`
	GaveUp        int64              `json:"gave_up"`
	Interruptions int64              `json:"interruptions"`
	Causes        map[string]float64 `json:"causes"`
	Reasons       map[string]float64 `json:"reasons"`
	Added         []float64          `json:"added"` // of the last minute, see percentiles
	First         []float64          `json:"first"`
	Gap           []float64          `json:"gap"`
	Groups        groupsView         `json:"groups"`
	Streams       []healedNote       `json:"streams"`
}

// liveMessage is one event to the page.
type liveMessage struct {
	History []livePoint `json:"history,omitempty"`
	Point   *livePoint  `json:"point,omitempty"`
	Detail  liveDetail  `json:"detail"`
}

// live keeps the last minutes for the page. It samples all the time, so that
// whoever looks sees what led there; a sample costs some microseconds.
type live struct {
	mu       sync.Mutex
	points   []livePoint
	last     [4]int64  // events, requests, interruptions, healed
	lastAt   time.Time // zero before the first
	history  []liveSums
	watchers map[chan struct{}]struct{} // told of each new point

	making sync.Mutex // held while the newest event is made, and guards what follows
	event  []byte     // of the newest point
	made   time.Time  // of which point it is
}

// liveSums are histograms at a time.
type liveSums struct{ added, first, gap *dto.Histogram }

// sample takes the points until the server is drained.
func (s *Server) sampleLive() {
	t := time.NewTicker(liveTick)
	defer t.Stop()
	for {
		s.samplePoint(time.Now())
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
	}
}

func (s *Server) samplePoint(now time.Time) {
	m, l := s.metrics, &s.live
	sums := liveSums{histogram(m.added), histogram(m.toFirstOf[kindHeal]), histogram(m.seamGap)}
	ever := [4]int64{s.eventsEver(), m.requestsEver.Load(), m.brokenEver.Load(), m.healedEver.Load()}
	open := s.Running()
	l.mu.Lock()
	defer l.mu.Unlock()
	p := livePoint{At: now.Unix(), Open: open}
	if seconds := now.Sub(l.lastAt).Seconds(); !l.lastAt.IsZero() && seconds > 0 {
		rate := func(i int) float64 { return float64(ever[i]-l.last[i]) / seconds }
		p.Events, p.Requests, p.Interruptions, p.Healed = rate(0), rate(1), rate(2), rate(3)
	}
	l.last, l.lastAt = ever, now
	if n := len(l.history); n > 0 {
		p.Added = percentiles(sums.added, l.history[max(0, n-liveSmooth)].added)
	}
	if l.history = append(l.history, sums); len(l.history) > liveWindow {
		l.history = slices.Delete(l.history, 0, 1)
	}
	if l.points = append(l.points, p); len(l.points) > livePoints {
		l.points = slices.Delete(l.points, 0, 1)
	}
	for w := range l.watchers {
		select {
		case w <- struct{}{}:
		default: // it has one to read yet
		}
	}
}

// liveMessage returns what a watcher is told: everything, or the newest.
func (s *Server) liveMessage(all bool) liveMessage {
	m, l := s.metrics, &s.live
	d := liveDetail{
		Version: s.version,
		Healed:  m.healedEver.Load(), GaveUp: m.gaveUpEver.Load(), Interruptions: m.brokenEver.Load(),
		Causes: sums(m.interruptions, "cause"), Reasons: sums(m.gaveUp, "reason"),
		Groups: s.groupsView(), Streams: s.recent.list(),
	}
	for i := range d.Groups.Groups {
		d.Groups.Groups[i].shorten()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.history); n > 0 {
		now, then := l.history[n-1], l.history[0]
		d.Added = percentiles(now.added, then.added)
		d.First = percentiles(now.first, then.first)
		d.Gap = percentiles(now.gap, then.gap)
	}
	msg := liveMessage{Detail: d}
	if all {
		msg.History = slices.Clone(l.points)
	} else if n := len(l.points); n > 0 {
		p := l.points[n-1]
		msg.Point = &p
	}
	return msg
}

// shorten leaves out keys of which nothing is to be told, when there are many,
// and the end of every key.
func (g *groupView) shorten() {
	all := g.Keys
	if len(all) > liveKeys {
		g.Keys = nil
		for _, k := range all {
			if k.State != "admitted" && len(g.Keys) < liveKeys {
				g.Keys = append(g.Keys, k)
			}
		}
		g.More = len(all) - len(g.Keys)
	}
	for i := range g.Keys {
		g.Keys[i].Tail = ""
	}
}

// histogram returns what a histogram holds.
func histogram(o any) *dto.Histogram {
	var m dto.Metric
	if metric, ok := o.(prometheus.Metric); !ok || metric.Write(&m) != nil {
		return &dto.Histogram{}
	}
	return m.Histogram
}

// sums adds up the counters of a vector by one of its labels.
func sums(vec *prometheus.CounterVec, label string) map[string]float64 {
	found := make(chan prometheus.Metric)
	go func() {
		vec.Collect(found)
		close(found)
	}()
	by := map[string]float64{}
	for metric := range found {
		var m dto.Metric
		if metric.Write(&m) != nil {
			continue
		}
		for _, l := range m.Label {
			if l.GetName() == label {
				by[l.GetValue()] += m.Counter.GetValue()
			}
		}
	}
	return by
}

// quantiles are the percentiles that the page shows.
var quantiles = [...]float64{.50, .95, .99}

// percentiles returns the quantiles, in seconds, of what was observed between
// two states of a histogram, interpolated within buckets; nil when that is
// nothing. What lies above the last bucket counts as its upper end.
func percentiles(now, then *dto.Histogram) []float64 {
	total := float64(now.GetSampleCount() - then.GetSampleCount())
	if total == 0 {
		return nil
	}
	list := make([]float64, len(quantiles))
	for i, q := range quantiles {
		rank, below, low := q*total, 0.0, 0.0
		for j, b := range now.Bucket {
			upTo := float64(b.GetCumulativeCount())
			if j < len(then.GetBucket()) {
				upTo -= float64(then.Bucket[j].GetCumulativeCount())
			}
			list[i] = b.GetUpperBound()
			if upTo >= rank {
				list[i] = low + (b.GetUpperBound()-low)*(rank-below)/(upTo-below)
				break
			}
			below, low = upTo, b.GetUpperBound()
		}
	}
	return list
}
