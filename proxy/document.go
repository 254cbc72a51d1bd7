package proxy

import (
	"bytes"
	"errors"
	"time"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// reads tells whether a response, which claims to be c, is read as an answer.
func (h *healer) reads(c claim) bool {
	one := h.one
	if one == nil {
		return true
	}
	one.whole = false
	one.document = c == claimsJSON || c == claimsNothing && !h.e.viaStream
	if one.document && one.folder.Empty() && h.attempt.body.size() > int64(h.e.cfg.MaxTranscriptBytes) {
		h.e.record.note = noteTooLarge
		return false
	}
	return true
}

const noteTooLarge = "the answer is larger than MAX_TRANSCRIPT_BYTES, it was relayed"

// readDocument reads the body of an attempt that answers with one document.
func (h *healer) readDocument() {
	for {
		if h.one.folder.Empty() && len(h.in.bytes()) > h.e.cfg.MaxTranscriptBytes {
			h.e.record.note = noteTooLarge
			h.outcome = routing.Final
			h.phase = phasePass
			return
		}
		if is, _ := stream.SSE.IsStream(h.in.bytes()); is {
			// Not what was asked for, but an answer: events, or an array of them.
			h.one.document = false
			return
		}
		if !h.in.room() {
			h.broke(routing.Cut, errors.New("a response is larger than the proxy can hold"))
			return
		}
		if n, err := h.fill(); err != nil && n == 0 {
			h.takeDocument(err)
			return
		}
	}
}

// takeDocument decides on a body that is over, or cannot be read on. Whether
// it is whole is decided by what it says.
func (h *healer) takeDocument(err error) {
	body := h.in.bytes()
	if o := outcomeOf(err); o == routing.ClientGone || o == routing.Drain {
		h.broke(o, err)
		return
	}
	if h.e.group.bound {
		h.e.learn(body)
	}
	var v stream.Verdict
	if h.out, v, h.one.whole = h.splice.TakeBody(h.out, body, h.request.Thoughts); v == stream.More {
		// One object after another: read once more, as events.
		h.one.document, h.rode = false, err
		return
	}
	h.judge(v, body, err)
}

// cameWhole tells that all of a document has come, whatever the transport
// still announces.
func (h *healer) cameWhole() bool {
	body := bytes.TrimRight(h.in.bytes(), " \r\n")
	return len(body) > 0 && body[len(body)-1] == '}' && stream.IsDocument(body)
}

// keepHeld keeps a response of which everything is held, for the case that
// nothing better comes. That of a continuation is a part of what was delivered.
func (h *healer) keepHeld() {
	switch one := h.one; {
	case one == nil, !one.document && !h.continuing, !one.whole && !h.continuing:
		h.last.hold(&h.attempt.head)
	case !h.continuing:
		h.last.status(&h.attempt.head, h.in.bytes())
		h.last.head.Del(fasthttp.HeaderContentEncoding)
	}
}

// documentUntil says how long the next read of a document may take.
func (h *healer) documentUntil() time.Time {
	switch {
	case len(h.in.bytes()) == 0:
		return h.firstUntil
	case h.cameWhole():
		return time.Now().Add(min(h.e.cfg.StallTimeout, finishGrace))
	}
	return time.Now().Add(h.e.cfg.StallTimeout)
}
