package upstream

import (
	"strconv"
	"unicode/utf8"
)

const (
	// ModelVersion is the modelVersion of every event.
	ModelVersion = "gemini-2.5-flash"
	// PromptTokens is the promptTokenCount unless a Prompt step says another.
	PromptTokens = 7
	// DefaultPiece is the number of runes an event of Say and Model holds.
	DefaultPiece = 24
)

// reply encodes the events of one answer and keeps its running usage.
type reply struct {
	id       string
	eol      string
	prompt   int
	runes    int // of the text so far
	thoughts int // runes of the thoughts so far
	calls    int // function calls so far
}

func newReply(id string) reply {
	return reply{id: id, eol: "\r\n\r\n", prompt: PromptTokens}
}

// tokens is what a number of runes costs: four are a token.
func tokens(runes int) int { return (runes + 3) / 4 }

// append appends e the way SSE has it.
func (r *reply) append(dst []byte, e event) []byte {
	switch e.kind {
	case thoughtEvent:
		return r.appendThought(dst, e.text)
	case callEvent:
		return r.appendCall(dst, e.name, e.args)
	case bareEvent:
		return r.appendBare(dst, e.reason)
	case blockEvent:
		return r.appendBlock(dst, e.reason)
	case usageEvent:
		return r.appendEnd(r.appendUsage(append(dst, "data: {"...)))
	case failureEvent:
		return append(appendFailure(append(dst, "data: "...), e), r.eol...)
	}
	return r.appendText(dst, e.text, e.reason)
}

// appendText appends an event with one text part. A reason makes it the last.
func (r *reply) appendText(dst []byte, text, reason string) []byte {
	r.runes += utf8.RuneCountInString(text)
	dst = append(dst, `data: {"candidates": [{"content": {"parts": [{"text": `...)
	dst = appendJSON(dst, text)
	dst = append(dst, `}],"role": "model"},`...)
	return r.appendTail(appendReason(dst, reason))
}

// appendThought appends an event with one thought part.
func (r *reply) appendThought(dst []byte, text string) []byte {
	r.thoughts += utf8.RuneCountInString(text)
	dst = append(dst, `data: {"candidates": [{"content": {"parts": [{"text": `...)
	dst = appendJSON(dst, text)
	dst = append(dst, `,"thought": true}],"role": "model"},`...)
	return r.appendTail(appendReason(dst, ""))
}

// appendCall appends an event with a function call; args is JSON.
func (r *reply) appendCall(dst []byte, name, args string) []byte {
	dst = append(dst, `data: {"candidates": [{"content": {"parts": [{"functionCall": {"name": `...)
	dst = appendJSON(dst, name)
	dst = append(dst, `,"args": `...)
	dst = append(dst, args...)
	dst = append(dst, `}}],"role": "model"},`...)
	return r.appendTail(appendReason(dst, ""))
}

// appendBare appends an event whose candidate has a reason and no content.
// Google leaves the model and the id out of those.
func (r *reply) appendBare(dst []byte, reason string) []byte {
	dst = append(dst, `data: {"candidates": [{`...)
	dst = append(appendReason(dst, reason), ',')
	dst = append(r.appendUsage(dst), '}')
	return append(dst, r.eol...)
}

// appendBlock appends an event that says the prompt was blocked.
func (r *reply) appendBlock(dst []byte, reason string) []byte {
	dst = append(dst, `data: {"promptFeedback": {"blockReason": `...)
	dst = append(appendJSON(dst, reason), "},"...)
	return r.appendEnd(r.appendUsage(dst))
}

// appendReason closes the candidate.
func appendReason(dst []byte, reason string) []byte {
	if reason != "" {
		dst = append(dst, `"finishReason": `...)
		dst = append(appendJSON(dst, reason), ',')
	}
	return append(dst, `"index": 0}]`...)
}

func (r *reply) appendTail(dst []byte) []byte {
	return r.appendEnd(r.appendUsage(append(dst, ',')))
}

// appendUsage appends the running usage. Google leaves counts of zero out.
func (r *reply) appendUsage(dst []byte) []byte {
	text, thoughts := tokens(r.runes), tokens(r.thoughts)
	dst = append(dst, `"usageMetadata": {"promptTokenCount": `...)
	dst = strconv.AppendInt(dst, int64(r.prompt), 10)
	if text > 0 {
		dst = append(dst, `,"candidatesTokenCount": `...)
		dst = strconv.AppendInt(dst, int64(text), 10)
	}
	dst = append(dst, `,"totalTokenCount": `...)
	dst = strconv.AppendInt(dst, int64(r.prompt+text+thoughts), 10)
	if thoughts > 0 {
		dst = append(dst, `,"thoughtsTokenCount": `...)
		dst = strconv.AppendInt(dst, int64(thoughts), 10)
	}
	return append(dst, '}')
}

// appendEnd appends what stands at the end of nearly every event.
func (r *reply) appendEnd(dst []byte) []byte {
	dst = append(dst, `,"modelVersion": "`+ModelVersion+`","responseId": `...)
	dst = append(appendJSON(dst, r.id), '}')
	return append(dst, r.eol...)
}
