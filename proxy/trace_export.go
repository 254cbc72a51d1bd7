package proxy

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// maxSpans is how many spans wait to be sent; more are dropped. They hold a
	// few KiB each.
	maxSpans = 2048
	// spanBatch is how many spans are sent at once, spanDelay how long the
	// first of them waits for others.
	spanBatch = 512
	spanDelay = 2 * time.Second
	// flushTime is how long the end of the program waits for the last ones.
	flushTime = 3 * time.Second
	// complainEvery is how often it is logged that spans cannot be sent.
	complainEvery = time.Minute
)

// exporter sends spans to a collector, in a goroutine of its own. Whoever ends a
// span never waits for it.
type exporter struct {
	otlp    *otlptrace.Exporter
	upload  *uploader
	metrics *metrics
	log     *slog.Logger
	queue   chan sdk.ReadOnlySpan
	closing chan struct{}
	closed  chan struct{}
	ctx     context.Context // of everything that is sent
	cancel  context.CancelFunc

	complained time.Time // when it was logged last that spans are lost
	lost       int       // since then
}

func newExporter(target string, c *TraceConfig, m *metrics, log *slog.Logger) (*exporter, error) {
	headers, err := parseOTLPHeaders(string([]byte(c.Headers)))
	if err != nil {
		return nil, err
	}
	x := &exporter{
		upload:  newUploader(target, headers),
		metrics: m, log: log,
		queue:   make(chan sdk.ReadOnlySpan, maxSpans),
		closing: make(chan struct{}),
		closed:  make(chan struct{}),
	}
	x.ctx, x.cancel = context.WithCancel(context.Background())
	if x.otlp, err = otlptrace.New(x.ctx, x.upload); err != nil {
		return nil, err
	}
	go x.run()
	return x, nil
}

// OnStart is called when a span begins.
func (x *exporter) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd takes a span that is over, or drops it when too many wait.
func (x *exporter) OnEnd(s sdk.ReadOnlySpan) {
	select {
	case x.queue <- s:
	default:
		x.metrics.spansDropped[dropQueue].Inc()
	}
}

// ForceFlush is not used.
func (x *exporter) ForceFlush(context.Context) error { return nil }

// Shutdown is close, in the SDK's words.
func (x *exporter) Shutdown(context.Context) error { return nil }

// close sends what waits, within flushTime, and ends the goroutine. It is called
// once, when no span comes any more.
func (x *exporter) close() {
	t := time.AfterFunc(flushTime, x.cancel)
	defer t.Stop()
	close(x.closing)
	<-x.closed
	x.cancel()
	x.upload.client.CloseIdleConnections()
}

// run sends batches until it is told to close.
func (x *exporter) run() {
	defer close(x.closed)
	batch := make([]sdk.ReadOnlySpan, 0, spanBatch)
	due := time.NewTimer(spanDelay)
	due.Stop()
	for {
		full := false
		select {
		case s := <-x.queue:
			if batch = append(batch, s); len(batch) == 1 {
				due.Reset(spanDelay)
			}
			full = len(batch) == spanBatch
		case <-due.C:
			full = true
		case <-x.closing:
			for {
				select {
				case s := <-x.queue:
					if batch = append(batch, s); len(batch) < spanBatch {
						continue
					}
				default:
					x.send(batch)
					return
				}
				x.send(batch)
				batch = batch[:0]
			}
		}
		if full {
			due.Stop()
			x.send(batch)
			clear(batch)
			batch = batch[:0]
		}
	}
}

// send sends a batch, and again while that is of use: not once the program ends.
func (x *exporter) send(batch []sdk.ReadOnlySpan) {
	if len(batch) == 0 {
		return
	}
	defer x.recovered(len(batch))
	var err error
	for n := 0; ; n++ {
		x.upload.rejected = 0
		if err = x.otlp.ExportSpans(x.ctx, batch); err == nil {
			break
		}
		wait, again := x.upload.again(n)
		if !again {
			break
		}
		select {
		case <-time.After(wait):
			continue
		case <-x.closing:
		}
		break
	}
	if err != nil {
		x.metrics.spansDropped[dropFailed].Add(float64(len(batch)))
		x.complain(len(batch), err.Error())
		return
	}
	rejected := min(x.upload.rejected, len(batch))
	x.metrics.spansExported.Add(float64(len(batch) - rejected))
	if rejected > 0 {
		x.metrics.spansDropped[dropRejected].Add(float64(rejected))
		x.complain(rejected, "the collector rejected them")
		return
	}
	if !x.complained.IsZero() {
		x.complained, x.lost = time.Time{}, 0
		x.log.Info("traces are exported again")
	}
}

// recovered counts a batch whose sending panicked. Traces are not worth the
// program.
func (x *exporter) recovered(spans int) {
	if p := recover(); p != nil {
		x.metrics.panics.Inc()
		x.metrics.spansDropped[dropFailed].Add(float64(spans))
		x.complain(spans, "panic while sending")
	}
}

// complain logs that spans are lost, now and then.
func (x *exporter) complain(spans int, why string) {
	x.lost += spans
	now := time.Now()
	if !x.complained.IsZero() && now.Sub(x.complained) < complainEvery {
		return
	}
	x.log.Warn("traces cannot be exported", "error", why, "spans_lost", x.lost)
	x.complained, x.lost = now, 0
}

// Why a span was not exported.
const (
	dropQueue = iota
	dropFailed
	dropRejected
	dropReasons
)

var dropNames = [dropReasons]string{"queue_full", "failed", "rejected"}

// countSpans makes the counters of spans.
func (m *metrics) countSpans(dropped *prometheus.CounterVec) {
	m.spansExported = prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "trace_spans_exported_total",
		Help: "Spans that the collector of traces has taken."})
	for i, name := range dropNames {
		m.spansDropped[i] = dropped.WithLabelValues(name)
	}
	m.registry.MustRegister(dropped, m.spansExported)
}
