package proxy

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// holdTime is how long text of a continuation is held back at most before it
// is decided how it joins.
const holdTime = time.Second

// directPrompt is the user turn of a continuation without an anchor: where
// the text repeats itself, a repeat could not be told from going on.
const directPrompt = "Your previous message was cut off before it was complete. " +
	"Continue it from exactly the point where it stopped. Begin directly with the next characters, " +
	"do not repeat anything already written, do not add an introduction, apology or comment, " +
	"and keep the same language, style and formatting."

// documentPrompt is added when the answer is a JSON document.
const documentPrompt = " The message is one JSON document: write only the rest of it, no code fence and nothing after its end."

// prepare makes the body of the next attempt: the original's, while nothing
// of the answer was delivered, else a continuation. It is false when there is
// to be none.
func (h *healer) prepare() bool {
	h.prefilled, h.resumed = false, false
	if h.continuing = h.splice.Delivered()&stream.Answer != 0; !h.continuing {
		return true
	}
	if h.resume() {
		return true
	}
	x := stream.Expect{Document: h.request.Document, Stops: h.request.Stops}
	prompt := ""
	if h.prefills() {
		h.prefilled, x.Prefilled = true, true
	} else {
		prompt, x.Anchored = h.prompt()
	}
	h.makeRoom(h.splice.Transcript().Len() + len(prompt))
	var err error
	h.continuation.B, err = h.request.AppendContinuation(h.continuation.B,
		h.splice.Transcript().Raw(), prompt, h.splice.Spent())
	switch {
	case errors.Is(err, stream.ErrBudgetSpent):
		h.finishWith("MAX_TOKENS")
		return false
	case err != nil:
		h.giveUp("no_contents")
		return false
	}
	h.splice.Continue(x)
	return true
}

// makeRoom empties the body of a continuation, with room for n bytes more than
// the client's own body has.
func (h *healer) makeRoom(n int) {
	const turns = 512 // what stands around them
	putHeld(h.continuation)
	h.continuation = getHeld(len(h.body.B) + n + turns)
}

// resume prepares an attempt that goes on from the API's own checkpoint: the
// newest that was delivered, or the one that the request itself brought.
func (h *healer) resume() bool {
	token, at := h.splice.Token()
	switch {
	case h.noResume:
		return false
	case token != nil:
		h.makeRoom(len(token))
		h.continuation.B = h.request.AppendResume(h.continuation.B, token)
	case h.request.Token:
		h.makeRoom(0)
		h.continuation.B = append(h.continuation.B, h.body.B...)
	default:
		return false
	}
	h.resumed = true
	h.splice.Continue(stream.Expect{Resumed: true, From: at})
	return true
}

// prompt returns the user turn of a continuation, and whether it asks for a
// repeat.
func (h *healer) prompt() (text string, anchored bool) {
	text = h.e.cfg.ContinuePrompt
	if strings.Contains(text, "{anchor}") {
		anchor := h.splice.Anchor()
		if anchored = len(anchor) > 0; anchored {
			text = strings.ReplaceAll(text, "{anchor}", string(anchor))
		} else {
			text = directPrompt
		}
	}
	if h.request.Document {
		text += documentPrompt
	}
	return text, anchored
}

// refused decides on a continuation that the upstream does not accept. A form
// of continuation that a model does not take is not tried again with it; what
// the upstream says is not for the client, whose request it was not.
func (h *healer) refused(code int) {
	body, _ := readErrorBody(h.attempt)
	h.refusedAs(code, body)
}

func (h *healer) refusedAs(code int, body []byte) {
	switch {
	case h.prefilled && code == 400:
		if bytes.Contains(bytes.ToLower(body), []byte("model turn")) {
			h.e.s.prefill.refuse(h.modelName())
		}
		h.noPrefill = true
	case h.resumed:
		h.noResume = true
	default:
		h.broke(routing.Refused, nil)
		return
	}
	h.outcome = routing.Refused
	h.e.record.verdict(h.outcome)
	h.debugAttempt()
	h.settle()
	h.attempt.close()
	h.splice.NextAttempt()
	h.phase = phaseStart
	if h.ledger.Attempts >= h.e.group.policy.MaxAttempts {
		h.giveUp(routing.ReasonAttempts)
		return
	}
	if !h.afford() {
		return
	}
	h.prepare()
}

// watchHeld notes until when text that is held back may be. What goes on being held
// for longer is a part of the repeat; with what comes behind it, it may be none.
func (h *healer) watchHeld() {
	switch {
	case !h.splice.Holding():
		h.holdUntil = time.Time{}
	case h.holdUntil.IsZero(), h.holdUntil.Equal(farFuture) && uint32(h.splice.Events()) > h.heldEvents:
		h.holdUntil = time.Now().Add(holdTime)
	}
}

// settled tells whether a read ended only because text was held long enough,
// and decides on that text. A decoder of content coding does not survive an
// interrupted read: behind one only the number of characters counts.
func (h *healer) settled(err error) bool {
	if !errors.Is(err, errStall) || h.holdUntil.IsZero() || time.Now().Before(h.holdUntil) || isDecoder(h.src) {
		return false
	}
	// Whatever is still held after this is a part of the repeat.
	h.holdUntil, h.heldEvents = farFuture, uint32(h.splice.Events())
	var v stream.Verdict
	if h.out, v = h.splice.Settle(h.out); v != stream.More {
		h.judge(v, nil, nil)
	}
	return true
}

// farFuture is a time that does not come.
var farFuture = time.Unix(1<<40, 0)

func isDecoder(r io.Reader) bool {
	_, ok := r.(*gunzip)
	return ok
}

// prefills knows which models refuse contents that end with a model turn. It
// learns for the life of the process and is safe for concurrent use.
type prefills struct {
	refused sync.Map // model name -> struct{}
}

// maxModels bounds what is learned: model names come from clients.
const maxModels = 1000

func (p *prefills) refuse(model string) {
	n := 0
	p.refused.Range(func(any, any) bool { n++; return n < maxModels })
	if n < maxModels {
		p.refused.Store(model, struct{}{})
	}
}

// prefills tells whether the next continuation ends with the model's own
// words.
func (h *healer) prefills() bool {
	if h.noPrefill || h.e.cfg.ContinueMode == "prompt" {
		return false
	}
	if h.chat() && h.e.cfg.ContinueMode != "prefill" {
		// What is made of a last assistant message is not documented.
		return false
	}
	model := h.modelName()
	if _, refused := h.e.s.prefill.refused.Load(model); refused {
		return false
	}
	return h.e.cfg.ContinueMode == "prefill" || takesPrefill(model)
}

// prefillModels are known to go on from contents that end with their own turn.
// Newer ones refuse them. A * stands for any end of a name.
var prefillModels = []string{"gemini-2.*", "gemini-3-*", "gemini-3.1-*", "gemini-3.5-flash", "gemini-pro-latest"}

func takesPrefill(model string) bool {
	for _, known := range prefillModels {
		begin, _, any := strings.Cut(known, "*")
		if model == begin || any && strings.HasPrefix(model, begin) {
			return true
		}
	}
	return false
}

func (h *healer) modelName() string {
	if name := h.request.Model; len(name) > 0 && len(h.e.asked) == 0 {
		// Vertex AI's models have the publisher in front.
		return string(name[bytes.LastIndexByte(name, '/')+1:])
	}
	return string(h.e.modelFor(h.e.group))
}
