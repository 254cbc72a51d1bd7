package proxy

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// kind says what was done with a request.
type kind uint8

const (
	kindRefused kind = iota // answered by the proxy itself
	kindRelay
	kindHeal
	kindTunnel
)

var kindNames = [...]string{"refused", "relay", "heal", "tunnel"}

// record is what is told about a request when it is over.
type record struct {
	kind     kind
	status   int
	attempts int
	verdicts []routing.Outcome // of the attempts, the first maxVerdicts
	bytes    int64             // of the body, written to the client
	toFirst  time.Duration     // from the request to the first byte of the answer
	text     int               // bytes of text of a healed answer, where they are known
	seams    []seamNote        // where the answer was cut, the first maxSeams
	cuts     int               // how many there were
	healed   bool
	wasted   int64 // tokens of attempts of which nothing was delivered
	gaveUp   string
	model    string // that the body names, where the path has none
	note     string // why the proxy itself answered or ended the exchange
}

// maxVerdicts bounds what is logged of a request that was interrupted often.
const maxVerdicts = 64

func (r *record) verdict(o routing.Outcome) {
	if len(r.verdicts) < maxVerdicts {
		r.verdicts = append(r.verdicts, o)
	}
}

// names returns the verdicts as the log has them.
func (r *record) names() string {
	var b strings.Builder
	for i, o := range r.verdicts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(o.String())
	}
	return b.String()
}

// maxLogged bounds what a client can put into a log line, in bytes a field.
const maxLogged = 200

// millis is a duration as logs have it: in milliseconds, to the microsecond.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func clip(b []byte) string { return string(b[:min(len(b), maxLogged)]) }

// refuse makes r the response and its message the exchange's note.
func (e *exchange) refuse(ctx *fasthttp.RequestCtx, r *refusal) {
	writeFailure(ctx, r.status, r.message)
	if f, ok := e.form(); ok {
		ctx.Response.SetBody(f.Framing.AppendErrorBody(nil, ctx.Response.Body()))
	}
	if r.after > 0 {
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(retryAfterSeconds(r.after)))
	}
	if r.status == 401 {
		ctx.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, "Bearer")
	}
	e.s.cors.allow(&ctx.Response.Header, e.head.origin)
	e.record.status = r.status
	e.record.note = r.message
	e.record.bytes = int64(len(ctx.Response.Body()))
}

// refuseBody answers a request whose body could not be read. What is left of
// it cannot be told from the next request, so the connection is closed.
func (e *exchange) refuseBody(ctx *fasthttp.RequestCtx, err error, limit int64) {
	if outcomeOf(err) == routing.ClientGone && err == errGone {
		e.abandon(ctx)
		return
	}
	e.refuse(ctx, bodyRefusal(err, limit))
	e.client.leaveUnread(ctx)
	ctx.SetConnectionClose()
}

// statusGone is nginx's word for a client that has left, only for the log.
const statusGone = 499

// abandon ends an exchange whose client has left.
func (e *exchange) abandon(ctx *fasthttp.RequestCtx) {
	ctx.SetConnectionClose()
	e.record.status = statusGone
	e.record.note = errGone.Error()
}

// first notes the time of the answer's first byte.
func (e *exchange) first() { e.record.toFirst = time.Since(e.started) }

// joined notes that the client gets something again of an answer that was
// interrupted.
func (e *exchange) joined(brokenAt time.Time) {
	now := time.Now()
	observe(e.s.metrics.seamGap, now.Sub(brokenAt).Seconds(), e.trace)
	if e.trace != nil {
		e.trace.joined = now
	}
}

// giveUp notes why the answer is not completed, "" when that is for the upstream
// to say.
func (e *exchange) giveUp(why string) {
	e.record.gaveUp = why
	if e.trace != nil {
		e.trace.gaveUp(why)
	}
}

// clientWriteError says why writing to the client failed.
func (e *exchange) clientWriteError(err error) error {
	if isTimeout(err) {
		e.record.note = "the client did not take what was written in time"
	} else {
		e.record.note = errGone.Error()
	}
	return errGone
}

// observe ends the trace of the exchange and writes its log line.
func (s *Server) observe(e *exchange) {
	defer s.recovered("observe", nil)
	r := &e.record
	s.metrics.left(e)
	if e.trace != nil {
		e.trace.end(e)
	}
	level := slog.LevelInfo
	if r.gaveUp != "" || r.status >= 500 {
		level = slog.LevelWarn
	}
	if s.cfg.AccessLog == "off" || s.cfg.AccessLog == "problems" && level == slog.LevelInfo || !s.log.Enabled(context.Background(), level) {
		return
	}
	s.logRequest(e, level)
}

// logRequest writes the log line of an exchange that is over. The attributes
// lie in the exchange: on the stack they would make every idle connection's
// twice as large.
func (s *Server) logRequest(e *exchange, level slog.Level) {
	r := &e.record
	group := e.groupName()
	model, action := modelOf(beforeParameters(e.path))
	if r.model != "" {
		model = []byte(r.model)
	}
	e.attrs = append(e.attrs[:0],
		slog.String("kind", kindNames[r.kind]),
		slog.String("method", loggedMethod(e.method)),
		slog.String("group", group),
		slog.String("client", e.place.name()),
		slog.String("model", loggedName(model)),
		slog.String("action", loggedName(action)),
		slog.Int("status", r.status),
		slog.Int("attempts", r.attempts),
		slog.String("verdicts", r.names()),
		slog.Int64("bytes", r.bytes),
		slog.Float64("ttfb_ms", millis(r.toFirst)),
		slog.Float64("duration_ms", millis(time.Since(e.started))),
		slog.Bool("healed", r.healed),
		slog.String("gave_up", r.gaveUp),
		slog.String("note", r.note))
	if e.traceID.IsValid() {
		e.attrs = append(e.attrs, slog.String("trace_id", e.traceID.String()))
	}
	s.log.LogAttrs(context.Background(), level, "request", e.attrs...)
	clear(e.attrs)
}

// debugAttempt logs an attempt that is over.
func (h *healer) debugAttempt() {
	s := h.e.s
	if !s.cfg.DebugMode {
		return
	}
	errText := ""
	if h.cause != nil {
		errText = h.cause.Error()
	}
	s.log.LogAttrs(context.Background(), slog.LevelDebug, "attempt",
		slog.String("group", h.e.group.Name),
		slog.Int("attempt", h.ledger.Attempts),
		slog.Bool("continuation", h.continuing),
		slog.String("verdict", h.outcome.String()),
		slog.String("finish", clip([]byte(h.splice.Finish()))),
		slog.Int("status", h.attempt.head.StatusCode()),
		slog.Int("events", h.splice.Events()),
		slog.Bool("progress", h.splice.Progress()),
		slog.Float64("duration_ms", millis(time.Since(h.attempt.sent))),
		slog.String("error", errText))
}

// noteSeam counts how a continuation that is over has joined.
func (h *healer) noteSeam() {
	if !h.continuing {
		return
	}
	s := h.e.s
	kind, dropped := h.splice.Seam()
	if h.outcome != routing.Natural && !h.splice.Progress() {
		kind = stream.SeamNone
	}
	s.metrics.seams.WithLabelValues(kind.String()).Inc()
	s.metrics.seamDropped.Add(float64(dropped))
	h.e.record.join(kind, dropped)
	h.traceSeam(kind, dropped)
	if !s.cfg.DebugMode {
		return
	}
	s.log.LogAttrs(context.Background(), slog.LevelDebug, "seam",
		slog.String("group", h.e.group.Name),
		slog.Int("attempt", h.ledger.Attempts),
		slog.String("kind", kind.String()),
		slog.Int("dropped_bytes", dropped),
		slog.Bool("prefill", h.prefilled),
		slog.Int("transcript_bytes", h.splice.Transcript().Len()))
}

// debugRetry logs that another attempt follows.
func (h *healer) debugRetry(wait time.Duration) {
	s := h.e.s
	if !s.cfg.DebugMode {
		return
	}
	s.log.LogAttrs(context.Background(), slog.LevelDebug, "retry",
		slog.String("group", h.e.group.Name),
		slog.Int("after_attempt", h.ledger.Attempts),
		slog.Bool("continuation", h.continuing),
		slog.Int("transcript_bytes", h.splice.Transcript().Len()),
		slog.Float64("wait_ms", millis(wait)))
}
