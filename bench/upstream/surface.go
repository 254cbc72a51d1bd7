package upstream

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Surface is one of the forms in which the API gives the same answer.
type Surface int

const (
	SSE          Surface = iota // streamGenerateContent?alt=sse: an event for each piece
	Array                       // streamGenerateContent: one JSON array, an element for each piece
	Unary                       // generateContent: one JSON object
	OpenAI                      // chat/completions with "stream": true: chunks and "[DONE]"
	OpenAIUnary                 // chat/completions: one JSON object
	CodeAssist                  // v1internal:streamGenerateContent?alt=sse: events like SSE's, each in a wrapper
	Interactions                // interactions with "stream": true: named events that can be asked for again
)

// String is the name of the surface for people.
func (s Surface) String() string {
	return [...]string{"SSE", "array", "unary", "OpenAI", "OpenAI unary", "Code Assist", "Interactions"}[s]
}

// Surface is the form that r asks for; SSE if its path is none of the above.
func (r *Request) Surface() Surface {
	path, query, _ := strings.Cut(r.Target, "?")
	switch {
	case path == "/v1internal:streamGenerateContent":
		return CodeAssist
	case r.isInteraction():
		return Interactions
	case strings.HasSuffix(path, ":streamGenerateContent") && !strings.Contains("&"+query+"&", "&alt=sse&"):
		return Array
	case strings.HasSuffix(path, ":generateContent"):
		return Unary
	case strings.HasSuffix(path, "/chat/completions"):
		var body struct{ Stream bool }
		if json.Unmarshal(r.Body, &body); body.Stream {
			return OpenAI
		}
		return OpenAIUnary
	}
	return SSE
}

// Model is the name of the model that r asks: the last segment of its path up
// to the method, or the model that the body names where the path names none.
func (r *Request) Model() string {
	if r.isInteraction() && r.Method != "POST" {
		id, _ := r.interaction()
		model, _ := resumed(id)
		return model
	}
	path, _, _ := strings.Cut(r.Target, "?")
	if !r.isInteraction() && !strings.HasSuffix(path, "/chat/completions") && !strings.HasPrefix(path, "/v1internal:") {
		name, _, _ := strings.Cut(path[strings.LastIndexByte(path, '/')+1:], ":")
		return name
	}
	var body struct{ Model string }
	json.Unmarshal(r.Body, &body)
	return body.Model[strings.LastIndexByte(body.Model, '/')+1:]
}

// As gives the following events the form of s, and the answer a head with the
// content type of s. It belongs before the first of them. Without it an answer
// is SSE. Send, Wire, Status and ErrorRaw send their bytes as they are on every
// surface.
func As(s Surface) Step {
	return act(func(a *answer) error {
		switch s {
		case Array:
			a.form = &arrayForm{}
			return Header("Content-Type", jsonType).play(a)
		case Unary, OpenAIUnary:
			a.form = &unaryForm{openai: s == OpenAIUnary}
			a.header = []string{"Content-Type", jsonType, "Vary", "Origin, X-Origin, Referer"}
		case OpenAI:
			a.form = &openaiForm{}
		case CodeAssist:
			a.form = wrappedForm{}
		case Interactions:
			a.form = newInteractionForm(a.req)
		}
		return nil
	})
}

const jsonType = "application/json; charset=UTF-8"

// form writes an answer the way a surface does.
type form interface {
	// event sends e, or keeps it for the end.
	event(a *answer, e event) error
	// torn sends e, which has a text, up to the middle of the text's last
	// character.
	torn(a *answer, e event) error
	// end sends what stands behind the last event; of an answer that is not
	// whole, because it is about to be cut, only what has been kept.
	end(a *answer, whole bool) error
	// failure is the body that goes with an HTTP status of an error.
	failure(body string) string
}

// sseForm is the form of SSE: each event for itself.
type sseForm struct{}

func (sseForm) event(a *answer, e event) error {
	a.event = a.reply.append(a.event[:0], e)
	return a.body(a.event)
}

func (sseForm) torn(a *answer, e event) error {
	a.event = tear(a.reply.append(a.event[:0], e), e.text)
	return a.body(a.event)
}

func (sseForm) end(*answer, bool) error    { return nil }
func (sseForm) failure(body string) string { return body }

// wrappedForm is the form of CodeAssist: each event for itself, its object a
// member of another. An error stands alone.
type wrappedForm struct{ sseForm }

func (f wrappedForm) event(a *answer, e event) error {
	a.event = f.append(a, e)
	return a.body(a.event)
}

func (f wrappedForm) torn(a *answer, e event) error {
	a.event = tear(f.append(a, e), e.text)
	return a.body(a.event)
}

func (wrappedForm) append(a *answer, e event) []byte {
	a.event = a.reply.append(a.event[:0], e)
	if e.kind == failureEvent {
		return a.event
	}
	object := string(bytes.TrimSuffix(a.event[len("data: "):], []byte(a.reply.eol)))
	dst := append(append(a.event[:0], `data: {"response": `...), object...)
	return append(append(dst, `,"traceId": "4bf92f3577b34da6"}`...), a.reply.eol...)
}

// tear cuts an encoded event behind the first byte of the last character of its
// text, or before that character if it has only one byte.
func tear(encoded []byte, text string) []byte {
	quoted := appendJSON(nil, text)
	end := bytes.LastIndex(encoded, quoted) + len(quoted) - 1 // before the quote
	start := end - lastSize(quoted[:len(quoted)-1])
	if end-start > 1 {
		start++
	}
	return encoded[:start]
}
