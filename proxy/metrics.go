package proxy

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"gemini-resilient-proxy/routing"
)

// metrics are the proxy's counters. Labels come from the configuration and
// from fixed lists, never from a request: a client cannot make series.
type metrics struct {
	registry      *prometheus.Registry
	requests      *prometheus.CounterVec
	attempts      *prometheus.CounterVec
	interruptions *prometheus.CounterVec
	healed        *prometheus.CounterVec
	gaveUp        *prometheus.CounterVec
	clientGone    *prometheus.CounterVec
	bytes         *prometheus.CounterVec
	panics        prometheus.Counter
	toFirst       *prometheus.HistogramVec
	toFirstOf     [len(kindNames)]prometheus.Observer
	seamGap       prometheus.Histogram
	seams         *prometheus.CounterVec
	seamDropped   prometheus.Counter
	wasted        *prometheus.CounterVec
	shadow        *prometheus.CounterVec
	callEnds      *prometheus.CounterVec
	added         prometheus.Histogram
	refused       *prometheus.CounterVec
	ejections     *prometheus.CounterVec
	keysEjected   *prometheus.CounterVec
	keysParked    *prometheus.CounterVec
	fallbacks     *prometheus.CounterVec
	clients       *prometheus.CounterVec
	reloadOK      prometheus.Gauge
	reloadAt      prometheus.Gauge
	spansExported prometheus.Counter
	spansDropped  [dropReasons]prometheus.Counter
	linesLeft     [leftReasons]prometheus.Counter

	// Sums over all groups, for the live page. Of events those of no loop.
	events, requestsEver, healedEver, gaveUpEver, brokenEver atomic.Int64

	perGroup sync.Map        // group name -> *groupCounters
	making   sync.Mutex      // held while a value of perGroup is made, and while a group is forgotten
	groups   map[string]bool // that have series, and whether they are gone; see follow
}

// groupCounters are a group's counters that every request moves. Looking one
// up by its labels costs as much as routing the request.
type groupCounters struct {
	requests               [len(kindNames)][len(codeClasses)]atomic.Pointer[prometheus.Counter]
	attempts, bytes, waste prometheus.Counter
}

const namespace = "gemini_proxy"

func newMetrics(groups []string) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	m := &metrics{
		registry:      prometheus.NewRegistry(),
		requests:      counter("requests_total", "Client requests that are over, by what was done with them and the class of the status.", "group", "kind", "code"),
		attempts:      counter("upstream_attempts_total", "Requests sent to the upstream.", "group"),
		interruptions: counter("interruptions_total", "Attempts of healed requests that were interrupted, by cause.", "group", "cause"),
		healed:        counter("healed_total", "Client requests whose answer came whole after one interruption or more.", "group"),
		gaveUp:        counter("given_up_total", "Client requests whose answer could not be completed, by reason.", "group", "reason"),
		clientGone:    counter("client_gone_total", "Client requests whose client left or stalled before the end.", "group"),
		bytes:         counter("response_bytes_total", "Bytes of response bodies written to clients.", "group"),
		panics: prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "panics_total",
			Help: "Panics that were caught while serving a request. Each is a bug."}),
		toFirst: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "time_to_first_byte_seconds",
			Help:    "Time from a request's head to the first byte of its answer.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}}, []string{"kind"}),
		seamGap: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: "seam_gap_seconds",
			Help:    "Time from an interruption of a stream to the next byte for the client.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}}),
	}
	m.seams = counter("seams_total", "Continuations, by how their text joined what was delivered.", "kind")
	m.seamDropped = prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "seam_dropped_bytes_total",
		Help: "Bytes of text that continuations repeated and clients were spared."})
	m.wasted = counter("wasted_tokens_total", "Tokens that attempts cost of which nothing was delivered, by the upstream's own usage.", "group")
	m.shadow = counter("shadow_interruptions_total", "Interruptions that would have been healed, were it not for HEAL=shadow.", "group", "cause")
	m.callEnds = counter("ended_after_call_total", "Interrupted answers that were ended behind a function call that had come whole.", "group")
	m.refused = counter("refused_total", "Client requests that were refused for who asked or for want of room, by reason.", "reason")
	m.ejections = counter("target_ejections_total", "Times that a failing target was left out for a while.", "group")
	m.keysEjected = counter("keys_ejected_total", "Keys of a group that the upstream refused.", "group")
	m.keysParked = counter("keys_parked_total", "Times that a key was left out until its quota was back.", "group")
	m.fallbacks = counter("fallback_attempts_total", "Attempts that a group's fallback made in its place.", "group")
	m.reloadOK = prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: "config_last_reload_successful",
		Help: "1 when the configuration that was loaded last is the one that runs, 0 when it had a mistake."})
	m.reloadAt = prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: "config_last_reload_success_timestamp_seconds",
		Help: "When the running configuration was loaded."})
	m.clients = counter("client_requests_total", "Requests of clients with a token that are over, by the class of the status.", "client", "code")
	m.added = prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: "added_latency_seconds",
		Help:    "Time from when an upstream is found to have sent something to the end of its write to the client, of one read in 32.",
		Buckets: []float64{5e-6, 1e-5, 2e-5, 3e-5, 5e-5, 75e-6, 1e-4, 15e-5, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3, 5e-3, .01, .02, .05, .1, .25}})
	m.registry.MustRegister(m.added)
	m.registry.MustRegister(m.clients, m.reloadOK, m.reloadAt, m.refused, m.ejections, m.keysEjected, m.keysParked, m.fallbacks, m.callEnds, m.seams, m.seamDropped, m.wasted, m.shadow,
		m.requests, m.attempts, m.interruptions, m.healed, m.gaveUp, m.clientGone, m.bytes,
		m.panics, m.toFirst, m.seamGap,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.countSpans(counter("trace_spans_dropped_total", "Spans that were not exported, by reason.", "reason"))
	lines := counter("log_lines_suppressed_total", "Lines of the log that were left out, by reason.", "reason")
	for i, name := range leftNames {
		m.linesLeft[i] = lines.WithLabelValues(name)
	}
	m.registry.MustRegister(lines)
	m.follow(groups)
	for i, name := range kindNames {
		m.toFirstOf[i] = m.toFirst.WithLabelValues(name)
	}
	return m
}

// reloaded notes how loading the configuration went.
func (m *metrics) reloaded(err error) {
	if err != nil {
		m.reloadOK.Set(0)
		return
	}
	m.reloadOK.Set(1)
	m.reloadAt.SetToCurrentTime()
}

// watchRunning shows how many requests are being served.
func (m *metrics) watchRunning(count func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: "open_requests",
		Help: "Client requests being served, streams included."}, func() float64 { return float64(count()) }))
}

// watchQueue shows how many requests wait for a place.
func (m *metrics) watchQueue(g *routing.Gate) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: "waiting_requests",
		Help: "Client requests that wait for others to end."}, func() float64 {
		_, waiting := g.Load()
		return float64(waiting)
	}))
}

// watchEvents shows how many events have come, which ever returns.
func (m *metrics) watchEvents(ever func() int64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: namespace, Name: "stream_events_total",
		Help: "Events of healed streams that came from upstreams."}, func() float64 { return float64(ever()) }))
}

// watchCertificate shows when the public listener's certificate expires.
func (m *metrics) watchCertificate(c *certificates) {
	if c == nil {
		return
	}
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: "certificate_expiry_timestamp_seconds",
		Help: "When the certificate of the public listener is no longer valid, in Unix time."}, func() float64 {
		return float64(c.expiry().Unix())
	}))
}

// showVersion says what runs. It is called once.
func (m *metrics) showVersion(version string) {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info",
		Help: "1, with the version of the program and that of Go which it was built with."}, []string{"version", "goversion"})
	info.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(info)
}

// gaveUpReasons are the reasons for which answers are given up; they are
// explained in docs/healing.md.
var gaveUpReasons = []string{
	routing.ReasonFailures, routing.ReasonAttempts, routing.ReasonRetryAfter, routing.ReasonDeadline, routing.ReasonBudget,
	reasonParked, "transcript_full", "refused", "broken", "diverged", "call", "not_text", "constrained", "no_contents", "not_stored", "no_event_id", "drain",
}

// refusedReasons are the reasons of refusals that enter gives.
var refusedReasons = []string{"token", "group", "model", "rate", "memory", "client_streams", "group_streams", "streams", "parked"}

func (m *metrics) interrupted(g *group, o routing.Outcome) {
	if o.Interruption() {
		m.interruptions.WithLabelValues(g.Name, o.String()).Inc()
		m.brokenEver.Add(1)
	}
}

// left counts an exchange whose client has left.
func (m *metrics) left(e *exchange) {
	r := &e.record
	if r.note == errGone.Error() || slices.Contains(r.verdicts, routing.ClientGone) {
		m.clientGone.WithLabelValues(e.groupName()).Inc()
	}
}

// done counts an exchange that is over.
func (m *metrics) done(e *exchange) {
	r := &e.record
	group := e.groupName()
	c := m.countersOf(group)
	m.request(c, group, r.kind, r.status).Inc()
	addSome(c.attempts, float64(r.attempts))
	addSome(c.bytes, float64(r.bytes))
	addSome(c.waste, float64(r.wasted))
	if name := e.place.name(); name != "" {
		m.clients.WithLabelValues(name, codeClass(r.status)).Inc()
	}
	if r.healed {
		m.healed.WithLabelValues(group).Inc()
		m.healedEver.Add(1)
	}
	if r.gaveUp != "" {
		m.gaveUp.WithLabelValues(group, r.gaveUp).Inc()
		m.gaveUpEver.Add(1)
	}
	if r.toFirst > 0 {
		observe(m.toFirstOf[r.kind], r.toFirst.Seconds(), e.trace)
	}
	m.requestsEver.Add(1)
}

// addSome adds n, mostly nothing, for which no memory need be shared.
func addSome(c prometheus.Counter, n float64) {
	if n > 0 {
		c.Add(n)
	}
}

// countersOf returns the counters of a group, "" for requests that have none.
func (m *metrics) countersOf(group string) *groupCounters {
	if c, known := m.perGroup.Load(group); known {
		return c.(*groupCounters)
	}
	m.making.Lock()
	defer m.making.Unlock()
	c, _ := m.perGroup.LoadOrStore(group, &groupCounters{
		attempts: m.attempts.WithLabelValues(group), bytes: m.bytes.WithLabelValues(group), waste: m.wasted.WithLabelValues(group),
	})
	return c.(*groupCounters)
}

// request returns the counter of a kind of request. Its series is made when
// the first such request is over.
func (m *metrics) request(c *groupCounters, group string, k kind, status int) prometheus.Counter {
	at := &c.requests[k][classOf(status)]
	if known := at.Load(); known != nil {
		return *known
	}
	counter := m.requests.WithLabelValues(group, kindNames[k], codeClass(status))
	at.Store(&counter)
	return counter
}

var codeClasses = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// codeClass is the class of a status, "2xx" and so on.
func codeClass(status int) string { return codeClasses[classOf(status)] }

func classOf(status int) int {
	if status < 100 || status > 599 {
		return 0
	}
	return status / 100
}
