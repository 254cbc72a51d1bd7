package upstream

import "unicode/utf8"

// unaryForm is the form of Unary and OpenAIUnary: what the events say is kept
// and sent as one object at the end. When the answer is cut before its finish,
// the object is, too, behind the text. An error in the middle takes the whole
// answer's place.
type unaryForm struct {
	openai   bool
	thoughts string
	said     string
	rest     []byte // of the text's last character, when it was torn
	call     event
	reason   event // the event that had the reason
}

func (f *unaryForm) event(a *answer, e event) error {
	switch e.kind {
	case failureEvent:
		return Status(e.code, nil, f.failure(string(appendFailure(nil, e)))).play(a)
	case thoughtEvent:
		a.reply.thoughts += utf8.RuneCountInString(e.text)
		f.thoughts += e.text
	case callEvent:
		f.call = e
	case textEvent:
		a.reply.runes += utf8.RuneCountInString(e.text)
		f.said += e.text
	}
	if e.reason != "" {
		f.reason = e
	}
	return nil
}

func (f *unaryForm) torn(a *answer, e event) error {
	size := lastSize([]byte(e.text))
	if size > 1 {
		f.rest = []byte(e.text[len(e.text)-size:][:1])
	}
	e.text = e.text[:len(e.text)-size]
	return f.event(a, e)
}

func (f *unaryForm) end(a *answer, whole bool) error {
	if a.begun || a.over {
		return nil
	}
	whole = whole || f.reason.reason != ""
	if f.openai {
		a.event = f.appendOpenAI(a.event[:0], &a.reply, whole)
	} else {
		a.event = f.append(a.event[:0], &a.reply, whole)
	}
	return a.body(a.event)
}

func (f *unaryForm) failure(body string) string {
	if f.openai {
		return "[" + body + "]"
	}
	return body
}

// append encodes the native object; if it is not whole, as far as the text goes.
func (f *unaryForm) append(dst []byte, r *reply, whole bool) []byte {
	dst = append(dst, "{\n  "...)
	if f.reason.kind == blockEvent {
		dst = appendJSON(append(dst, `"promptFeedback": {"blockReason": `...), f.reason.reason)
		return append(r.appendShared(append(dst, "},\n  "...)), "\n}\n"...)
	}
	dst = append(dst, `"candidates": [{"content": {"parts": [`...)
	if f.thoughts != "" {
		dst = append(appendJSON(append(dst, `{"text": `...), f.thoughts), `,"thought": true},`...)
	}
	if f.said != "" || f.call.name == "" {
		dst = appendJSON(append(dst, `{"text": `...), f.said)
		if !whole {
			return append(dst[:len(dst)-1], f.rest...)
		}
		dst = append(dst, "},"...)
	}
	if f.call.name != "" {
		dst = appendJSON(append(dst, `{"functionCall": {"name": `...), f.call.name)
		dst = append(append(append(dst, `,"args": `...), f.call.args...), "}},"...)
	}
	if !whole {
		return dst[:len(dst)-2]
	}
	dst = appendReason(append(dst[:len(dst)-1], `],"role": "model"},`...), f.reason.reason)
	return append(r.appendShared(append(dst, ",\n  "...)), "\n}\n"...)
}

// appendShared appends the usage and the names of the answer.
func (r *reply) appendShared(dst []byte) []byte {
	dst = append(r.appendUsage(dst), ",\n  \"modelVersion\": \""+ModelVersion+"\",\n  \"responseId\": "...)
	return appendJSON(dst, r.id)
}

// appendOpenAI encodes a chat completion; if it is not whole, as far as the text
// goes.
func (f *unaryForm) appendOpenAI(dst []byte, r *reply, whole bool) []byte {
	dst = append(dst, `{"choices":[{`...)
	if reason := openaiReason(f.reason); reason != "" {
		dst = append(dst, `"finish_reason":"`+reason+`",`...)
	}
	dst = append(dst, `"index":0,"message":{`...)
	if f.said != "" || f.call.name == "" {
		dst = appendJSON(append(dst, `"content":`...), f.said)
		if !whole {
			return append(dst[:len(dst)-1], f.rest...)
		}
		dst = append(dst, ',')
	}
	dst = append(dst, `"role":"assistant"`...)
	if f.call.name != "" {
		dst = appendToolCall(append(dst, ','), r, f.call)
	}
	dst = append(dst, "}}],"...)
	return append(r.appendCompletion(dst, "chat.completion"), "}\n"...)
}
