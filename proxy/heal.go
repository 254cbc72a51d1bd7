package proxy

import (
	"bytes"
	"io"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// finishGrace is how long the end of a body is waited for once the finish has
// come: the answer is complete, only the connection's reuse is at stake.
const finishGrace = 5 * time.Second

// phase is where a healer stands.
type phase uint8

const (
	phaseStart    phase = iota // an attempt is to be started
	phaseRead                  // its answer is being read
	phaseBroken                // it was interrupted
	phaseComplete              // the answer is over, nothing is to be added
	phaseGiveUp                // it is over, but broken
	phasePass                  // the upstream's response is passed on as it is
	phaseGone                  // there is nobody left to answer
)

// healer answers one healed request: it runs attempts one after another until
// the answer is whole, and gives the client one stream. It owns its attempt
// and its buffers, and it is the body stream of fasthttp's response.
//
// advance is the heart: a loop over the phases that returns whenever there
// are bytes for the client, so that nothing is waited for with something to
// say in hand.
type healer struct {
	attempt *attempt // one, used again for each
	scanner stream.Reader
	splice  stream.Splice

	ride *ride
	// Made once for each healer, see board.
	holdUpstream, holdClient func(fd uintptr)

	healing
}

// healing is what a healer knows of one request; the rest of it stays with it
// in its pool.
type healing struct {
	e      *exchange
	src    io.Reader // the attempt's body, without content coding
	form   stream.Form
	ledger routing.Ledger
	phase  phase

	body         *buffer        // the client's request, without key
	request      stream.Request // what body says
	readable     bool           // body is JSON that a continuation can be made of
	continuation *buffer        // the body of a continuation, nil before the first
	foreign      []byte         // a body without another upstream's signatures
	continuing   bool           // the attempt is one
	prefilled    bool           // it ends with the model's own words
	resumed      bool           // it goes on from a checkpoint of the API
	noPrefill    bool           // the model does not take it
	noResume     bool           // a resumed attempt differed, or was refused
	diverged     int            // continuations that contradicted what was delivered

	in         inbox  // what was read of the attempt and is not consumed
	unproven   bool   // the body may yet turn out not to be a stream
	out        []byte // a frame: what the client gets next; nil while there is nothing
	outMem     *buffer
	firstUntil time.Time // when the first event must have come, or, once finished, the end
	holdUntil  time.Time // when text that is held back must be decided on
	committed  bool
	finished   bool   // the finish of the attempt has come
	heldEvents uint32 // events of the attempt when held text was decided on last

	last     response        // before the commit point: what the upstream said last
	outcome  routing.Outcome // how the last attempt ended
	cause    error           // and why, where an error said so
	told     time.Duration
	hasTold  bool
	brokenAt time.Time // since when the client waits for a continuation

	clientFD uintptr        // held by a ride
	event    stream.Event   // that is taken
	met      stream.Verdict // what the loop met and left to be judged
	metIn    []byte         // the payload that led to it
	rode     error          // what ended a ride, for the next read
	unsent   []byte         // of a frame that the client did not take at once
	closing  bool           // what is pending is the last of the answer
	ashore   ashore         // why no loop may carry the stream now

	counted int       // events of the attempt that are in the metrics
	turns   uint8     // reads, of which some are timed
	readAt  time.Time // of one that is, zero while none is

	one *unary // for a request that asks for one document, else nil

	hurried  bool     // the client's X-Server-Timeout is what the upstream has
	keyFault bool     // the key of the last attempt was at fault, not the upstream
	parked   *refusal // there is no key to go on with
}

var healers = sync.Pool{New: func() any { return newPooledHealer() }}

func newPooledHealer() *healer {
	h := &healer{attempt: &attempt{}}
	h.splice.UseMemory(textMemory{})
	h.holdUpstream, h.holdClient = h.carried, h.carriedBoth
	h.ride = &ride{rider: h, wake: make(chan struct{}, 1)}
	return h
}

// heal answers a request whose answer can be healed.
func (s *Server) heal(ctx *fasthttp.RequestCtx, e *exchange) {
	h := s.prepare(ctx, e)
	if h == nil {
		return
	}
	defer h.releaseOnPanic(ctx)
	if !h.readable || h.request.Several || !e.group.heals() {
		h.pass(ctx)
		return
	}
	if h.form.Framing == stream.Document {
		h.answer(ctx)
		return
	}
	h.open(ctx)
}

// prepare reads and routes the request. It returns nil when that failed and
// the client has been told so.
func (s *Server) prepare(ctx *fasthttp.RequestCtx, e *exchange) *healer {
	e.record.kind = kindHeal
	buf := e.holdBody(ctx)
	if buf == nil {
		return nil
	}
	e.deadline = e.started.Add(e.cfg.StreamDeadline)
	h := newHealer(e, buf)
	if h.form.Framing != stream.Document {
		e.watch()
	}
	return h
}

// releaseOnPanic closes the attempt of a healer that panics before it is
// fasthttp's to close. The healer itself is not used again.
func (h *healer) releaseOnPanic(ctx *fasthttp.RequestCtx) {
	if p := recover(); p != nil {
		if !ctx.Response.IsBodyStream() {
			h.attempt.spoil()
			h.attempt.close()
		}
		panic(p)
	}
}

// newHealer makes a healer for a request whose whole body is in buf; it takes
// buf over.
func newHealer(e *exchange, buf *buffer) *healer {
	h := healers.Get().(*healer)
	h.e, h.body = e, buf
	h.attempt.e = e
	h.frame()
	h.form, _ = e.form()
	h.request, h.readable = stream.ParseRequest(h.form.Dialect, buf.B)
	if h.request.HasKey {
		buf.B = stream.AppendWithoutKey(buf.B[:0], buf.B)
		h.request, h.readable = stream.ParseRequest(h.form.Dialect, buf.B)
	}
	e.record.model = clip(h.request.Model)
	e.findOrigin(buf.B)
	if h.chat() && !h.request.Stream {
		h.form.Framing = stream.Document
	}
	h.splice.Reset(h.form, e.group.reasons, e.cfg.MaxTranscriptBytes)
	if h.request.UsageApart {
		h.splice.UsageApart()
	}
	if bytes.Contains(e.head.apiClient, emptyTextDrops) {
		h.splice.DropsEmptyText()
	}
	return h
}

// emptyTextDrops marks @google/generative-ai, which keeps no answer in a chat's
// history that has an empty text.
var emptyTextDrops = []byte("genai-js/")

// pass relays the request as it is, once: there is nothing in it that could
// be healed.
func (h *healer) pass(ctx *fasthttp.RequestCtx) {
	h.e.record.kind = kindRelay
	r := &relayed{e: h.e, a: h.attempt, owner: h}
	h.e.deadline = h.e.started.Add(noDeadline)
	if r := h.e.aim(); r != nil {
		h.e.refuse(ctx, r)
		h.release()
		return
	}
	h.attempt.plan, h.attempt.until = plan{}, time.Now().Add(h.e.cfg.FirstEventTimeout)
	if no, err := r.ask(h.body.B, false); no != nil {
		h.e.refuse(ctx, no)
		h.release()
		return
	} else if err != nil {
		h.e.relayFailed(ctx, err)
		h.release()
		return
	}
	r.respond(ctx)
}

// open runs attempts until it is known what the client is told first.
func (h *healer) open(ctx *fasthttp.RequestCtx) {
	h.advance()
	switch {
	case h.pending():
		h.commit(ctx, &h.attempt.head)
	case h.phase == phasePass:
		h.passOn(ctx)
	case h.phase == phaseGone:
		h.e.abandon(ctx)
		h.dismiss()
	default:
		h.refuse(ctx)
	}
}

// SupportsBodyWriteTo tells fasthttp to call WriteTo.
func (h *healer) SupportsBodyWriteTo() bool { return true }

// Read is not called, see SupportsBodyWriteTo.
func (h *healer) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// WriteTo streams the answer. The first bytes go through fasthttp, in one
// write with the head; from then on frames go to the connection itself, and
// fasthttp adds the end of the body. After an error it closes the connection
// without one.
func (h *healer) WriteTo(w io.Writer) (n int64, err error) {
	defer h.e.s.recovered("heal", &err)
	h.e.first()
	h.conclude()
	if err := h.sendFirst(w); err != nil {
		return 0, h.clientFailed(err)
	}
	for {
		h.out = emptyFrame(h.out)
		if err := h.board(); err != nil {
			return h.e.record.bytes, err
		}
		h.advance()
		if !h.pending() {
			if h.boardable() {
				continue
			}
			break
		}
		h.conclude()
		if err := h.flush(); err != nil {
			return h.e.record.bytes, err
		}
		h.timeEnd()
	}
	switch h.phase {
	case phaseGiveUp:
		err = h.sayGiveUp()
	case phaseGone:
		err = errGone
	}
	return h.e.record.bytes, err
}

// flush writes what is pending as one chunk.
func (h *healer) flush() error {
	h.e.record.bytes += int64(len(h.out) - frameRoom)
	if h.closing {
		h.close()
	}
	if _, err := h.e.client.writePieces(h.seal()); err != nil {
		return h.clientFailed(err)
	}
	h.noteJoined()
	return nil
}

// noteJoined notes that the client has got something. After an interruption
// that ends its wait.
func (h *healer) noteJoined() {
	if !h.brokenAt.IsZero() {
		h.e.joined(h.brokenAt)
		h.brokenAt = time.Time{}
	}
}

func (h *healer) clientFailed(err error) error {
	err = h.e.clientWriteError(err)
	h.e.record.verdict(outcomeOf(err))
	h.phase = phaseGone
	return err
}

// pending tells whether there are bytes for the client.
func (h *healer) pending() bool { return len(h.out) > frameRoom }

// advance works until there are bytes for the client, a loop can carry the
// stream, or the answer is over.
func (h *healer) advance() {
	defer h.countEvents()
	for !h.pending() {
		switch h.phase {
		case phaseStart:
			h.start()
		case phaseRead:
			if h.read(); h.boardable() {
				return
			}
		case phaseBroken:
			h.mend()
		default:
			return
		}
	}
}

// Close is called by fasthttp when the response is over, however it ended.
func (h *healer) Close() error {
	h.finish()
	return nil
}

// finish ends the exchange and the healer.
func (h *healer) finish() {
	e := h.e
	defer e.finish()
	defer e.s.recovered("close", nil)
	h.sum()
	h.traceUsage()
	h.release()
}

// sum notes what the answer was, which is over but for the writing.
func (h *healer) sum() {
	r := &h.e.record
	if h.phase == phaseComplete && h.ledger.Attempts > 1 {
		r.healed, r.text = true, h.splice.Transcript().Len()
	}
	r.wasted = h.splice.Wasted() + h.dropped()
	h.countAll(&h.e.s.metrics.events)
}

// dismiss releases a request of whose answer nothing was given to the client: all
// that attempts have cost is wasted, also what was put together for a document.
func (h *healer) dismiss() {
	h.splice.NextAttempt()
	_, output, _ := h.splice.Usage()
	h.e.record.wasted = h.splice.Wasted() + output + h.dropped()
	h.release()
}

// release gives back everything but the exchange.
func (h *healer) release() {
	h.countAll(&h.e.s.metrics.events)
	h.attempt.close()
	putHeld(h.body)
	putHeld(h.continuation)
	h.in.reset()
	h.dropFrame()
	h.splice.Release()
	h.attempt.forget()
	if h.one != nil {
		h.one.recycle()
	}
	h.healing = healing{}
	healers.Put(h)
}
