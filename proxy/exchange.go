package proxy

import (
	"bufio"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	otel "go.opentelemetry.io/otel/trace"
)

// cause is why an exchange was canceled from outside.
type cause int32

const (
	causeNone cause = iota
	causeGone
	causeDrain
	causeBody // the request body did not come as announced
)

// exchange is one client request from its head to its log line. It belongs to
// the goroutine of the client's connection; cancel alone may be called from
// others.
type exchange struct {
	s        *Server
	st       *state  // the configuration that the request began with
	cfg      *Config // the program's, then that of the group
	client   *clientConn
	watched  bool
	started  time.Time
	deadline time.Time // of a healed request: STREAM_DEADLINE
	ended    time.Time // when all that was waited for had come; zero: now

	method, path, query []byte // alias the request; path is the PlainPath of written
	written             []byte // the path as the client wrote it, and as it goes upstream
	head                head
	group               *group
	key                 []byte // without prefix; may alias the request
	keyIn               keyPlace
	rest                []byte // the query without key and group
	target              []byte // upstream request target
	renamed             []byte // the path with the upstream's name for the model
	scratch             []byte // for the query without key and group

	lease     lease  // of the attempt that runs
	failed    failed // of the one before
	from      whence // where what the request brings came from
	asked     []byte // the model that the body names, when the path does not
	asking    []byte // a relayed body that may name several; aliases it until enter
	viaStream bool   // the streaming endpoint is asked in place of the other
	pooled    bool   // a key of the group is used, not one of the client's
	file      bool   // the body is a file, or a part of one
	place     place  // among the requests that run

	canceled atomic.Int32
	wake     chan struct{} // holds one value once canceled
	mu       sync.Mutex
	upstream net.Conn // what cancel interrupts, nil between attempts
	riding   *ride    // what it ends, nil while there is none
	bodyErr  error    // of causeBody, set before it

	next, prev *exchange // among those that run, under Server.mu

	reader      *bufio.Reader // fasthttp's for the client, nil where it is not known
	parked      bool          // it has no memory, see readers
	spareReader *bufio.Reader // may be nil

	upgrade   bool         // the upstream may answer with 101
	uploaded  atomic.Int64 // when a part of the request body was sent on last, in ticks; 0: none was
	streaming bool         // the response body ends the exchange, not the handler
	tallied   bool         // see tally

	record  record
	trace   *trace       // nil when the request is not sampled
	traceID otel.TraceID // of the trace that the request is part of, as far as that is known
	attrs   []slog.Attr  // of the log line
}

// noDeadline is the deadline of requests that end by silence alone.
const noDeadline = 1 << 62

var exchanges = sync.Pool{New: func() any { return &exchange{wake: make(chan struct{}, 1)} }}

// begin makes an exchange for the request in ctx.
func (s *Server) begin(ctx *fasthttp.RequestCtx) *exchange {
	e := exchanges.Get().(*exchange)
	e.s = s
	e.st = s.state.Load()
	e.cfg = &e.st.cfg
	e.started = time.Now()
	e.deadline = e.started.Add(noDeadline)
	e.method = ctx.Request.Header.Method()
	e.client, _ = ctx.Conn().(*clientConn)
	if e.client == nil {
		e.client = newClientConn(ctx.Conn(), ctx.Conn(), s.cfg.ClientStallTimeout)
	}
	e.client.allowed = false
	s.enter(e)
	return e
}

// now is the time, for what ends an exchange.
func (e *exchange) now() time.Time {
	if e.ended.IsZero() {
		return time.Now()
	}
	return e.ended
}

// watch lets the exchange be canceled when its client leaves. It is called
// where something is waited for that may take long; a client that has left by
// then is noticed at once. Short requests do not pay for it.
func (e *exchange) watch() {
	if !e.watched {
		e.s.watcher.watch(e.client, e)
		e.watched = true
	}
}

// unwatch ends watch.
func (e *exchange) unwatch() {
	if e.watched {
		e.s.watcher.unwatch(e.client)
	}
}

// groupName is the name of the request's group, "" where it has none.
func (e *exchange) groupName() string {
	if e.group == nil {
		return ""
	}
	return e.group.Name
}

// tally gives back what the exchange has taken of limits and counts it. It comes
// before the last bytes of an answer where those end the response: a client that
// has the end asks again at once, perhaps where it may ask only one thing at a
// time, and who reads the metrics then finds what the answer was. What a failing
// write shows is left to observe.
func (e *exchange) tally() {
	if e.tallied {
		return
	}
	e.tallied = true
	defer e.s.recovered("tally", nil)
	e.settle(0, 0)
	e.depart()
	e.s.metrics.done(e)
	if e.record.healed {
		e.s.recent.add(e)
	}
}

// finish ends the exchange: nothing can cancel it any more, its log line is
// written, and it goes back to the pool.
func (e *exchange) finish() {
	s := e.s
	e.unpark()
	e.tally()
	e.unwatch()
	s.observe(e)
	s.leave(e)
	e.head.reset()
	select {
	case <-e.wake:
	default:
	}
	e.reset()
	exchanges.Put(e)
}

// reset forgets everything but the memory that the next exchange can use.
// Field by field: a composite literal would be made on the stack first.
func (e *exchange) reset() {
	wake, target, scratch, attrs, verdicts := e.wake, e.target[:0], e.scratch[:0], e.attrs, e.record.verdicts[:0]
	fields, connection := e.head.fields, e.head.connection
	renamed, ready, seams, spare := e.renamed[:0], e.place.ticket.Ready, e.record.seams[:0], e.spareReader
	*e = exchange{}
	e.spareReader = spare
	e.record.seams = seams
	e.renamed, e.place.ticket.Ready = renamed, ready
	e.wake, e.target, e.scratch, e.attrs, e.record.verdicts = wake, target, scratch, attrs, verdicts
	e.head.fields, e.head.connection = fields, connection
}

// cancel interrupts the exchange: whatever it reads, writes or waits for ends
// at once. Only the first cause counts.
func (e *exchange) cancel(why cause) {
	if !e.canceled.CompareAndSwap(int32(causeNone), int32(why)) {
		return
	}
	e.wake <- struct{}{}
	e.mu.Lock()
	if e.upstream != nil {
		e.upstream.SetDeadline(time.Unix(1, 0))
	}
	if e.riding != nil {
		e.riding.eject()
	}
	e.mu.Unlock()
	if why == causeDrain {
		// A client that is sending its body is still there and may be slow.
		e.client.stopReads()
	}
}

// err returns the error of the cause, nil while the exchange goes on.
func (e *exchange) err() error {
	switch cause(e.canceled.Load()) {
	case causeGone:
		return errGone
	case causeDrain:
		return errDrain
	case causeBody:
		return e.bodyErr
	}
	return nil
}

// fail cancels the exchange because its request body cannot be read. It is
// called by the goroutine that sends the body on.
func (e *exchange) fail(err error) {
	e.bodyErr = err
	e.cancel(causeBody)
}

// bind makes conn the connection that cancel interrupts; nil ends that.
func (e *exchange) bind(conn net.Conn) {
	e.mu.Lock()
	e.upstream = conn
	e.mu.Unlock()
}

// arm gives the next read of conn until at and returns the error of an
// exchange that was canceled. The order matters: a cancel that comes before
// SetReadDeadline is seen by err, one that comes after it sets its own.
func (e *exchange) arm(conn *upstreamConn, at time.Time) error {
	conn.readBy(at, slack(time.Until(at)))
	return e.err()
}

// slack is how much later than asked for a wait of d may end.
func slack(d time.Duration) time.Duration { return min(max(d, 0)/16, time.Second) }

// sleep waits for d. It returns early with the error of a cancellation.
func (e *exchange) sleep(d time.Duration) error {
	if err := e.err(); err != nil || d <= 0 {
		return err
	}
	e.watch()
	t := fasthttp.AcquireTimer(d)
	defer fasthttp.ReleaseTimer(t)
	select {
	case <-t.C:
	case <-e.wake:
		// Others may wait for the same signal.
		e.wake <- struct{}{}
	}
	return e.err()
}
