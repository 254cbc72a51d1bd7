package proxy

import (
	"bytes"
	"io"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// shadow looks at a relayed stream as the healer would, and counts what it
// would have healed. Nothing of it reaches the client.
type shadow struct {
	e       *exchange
	scanner stream.Reader
	splice  stream.Splice
	in      []byte
	out     []byte
	one     bool // the answer is one document
	zipped  bool // and comes with gzip
	over    bool // the answer is decided on

	framing  stream.Framing
	unproven bool // the body may yet turn out not to be a stream
}

// newShadow returns a shadow for the response of a, nil when there is nothing
// to look at.
func newShadow(e *exchange, a *attempt) *shadow {
	if e.cfg.Heal != "shadow" {
		return nil
	}
	form, ok := e.form()
	if !ok || e.reshaped() {
		return nil
	}
	if code := a.head.StatusCode(); code != 200 {
		if routing.RetryableStatus(code) {
			e.shadowed(routing.Status)
		}
		return nil
	}
	c := claimOf(a.head.ContentType())
	src, known := decoded(a)
	if form.Dialect == stream.OpenAI && c == claimsJSON {
		form.Framing = stream.Document
	}
	one, zipped := form.Framing == stream.Document, isDecoder(src)
	if !known || zipped && !one || c == claimsOther || one && c != claimsJSON {
		return nil
	}
	sh := &shadow{e: e, one: one, zipped: zipped, framing: form.Framing, unproven: c == claimsJSON}
	sh.splice.Reset(form, e.group.reasons, e.cfg.MaxTranscriptBytes)
	return sh
}

// shadowed counts an interruption that would have been healed.
func (e *exchange) shadowed(o routing.Outcome) {
	if o.Interruption() {
		e.s.metrics.shadow.WithLabelValues(e.group.Name, o.String()).Inc()
		e.record.verdict(o)
	}
}

// take looks at bytes of the body.
func (sh *shadow) take(p []byte) {
	if sh.over {
		return
	}
	sh.in = append(sh.in, p...)
	if sh.one {
		sh.over = len(sh.in) > sh.e.cfg.MaxTranscriptBytes
		return
	}
	if sh.unproven {
		is, known := sh.framing.IsStream(sh.in)
		if sh.unproven, sh.over = !known, known && !is; !is {
			return
		}
	}
	for {
		ev, n, ok := sh.scanner.Next(sh.in)
		if ok {
			var v stream.Verdict
			if sh.out, v = sh.splice.Take(sh.out[:0], ev); v != stream.More {
				sh.decide(v)
				return
			}
		}
		sh.in = sh.in[:copy(sh.in, sh.in[n:])]
		if !ok {
			sh.over = len(sh.in) > maxEvent
			return
		}
	}
}

// end looks at the end of the body.
func (sh *shadow) end(err error) {
	if sh.over {
		return
	}
	v := sh.ending()
	if v == stream.Cut && err != io.EOF && outcomeOf(err) == routing.Stall {
		sh.over = true
		sh.e.shadowed(routing.Stall)
		return
	}
	sh.decide(v)
}

// ending is the verdict on an attempt whose body is over.
func (sh *shadow) ending() (v stream.Verdict) {
	if sh.one {
		body := sh.in
		if sh.zipped {
			// What an error leaves is what a cut left.
			limit := int64(sh.e.cfg.MaxTranscriptBytes)
			body, _ = io.ReadAll(io.LimitReader(&gunzip{src: bytes.NewReader(sh.in)}, limit))
		}
		_, v, _ = sh.splice.TakeBody(nil, body, false)
		return v
	}
	rest, some := sh.scanner.Rest(sh.in)
	_, v = sh.splice.End(sh.out[:0], rest, some)
	return v
}

func (sh *shadow) decide(v stream.Verdict) {
	sh.over = true
	switch v {
	case stream.Finish:
		sh.e.shadowed(routing.Finish)
	case stream.Empty:
		sh.e.shadowed(routing.Empty)
	case stream.Cut:
		sh.e.shadowed(routing.Cut)
	case stream.Failed:
		if routing.RetryableStatus(sh.splice.Failure().Code) {
			sh.e.shadowed(routing.StreamError)
		}
	}
}
