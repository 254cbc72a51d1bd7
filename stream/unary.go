package stream

import "bytes"

// TakeBody takes the body of an attempt whose answer is one document and not a
// stream: as one payload when it is whole, else with what Salvage finds in it.
// thoughts tells whether the request asked for thoughts. It appends events as
// Take does, and ends the attempt. whole tells that body is one JSON value with
// nothing behind it. The verdict is More, and nothing was taken, when body is one
// object after another: it is to be read as events.
//
// A text under a finish that is retried counts as delivered, only the finish
// is held: unlike in a stream, the two always come together.
//
// A whole body that is the whole answer, the verdict is Complete or Policy then, is
// not appended unless something was delivered before it: what the client may see is
// the body, to the byte.
func (s *Splice) TakeBody(dst, body []byte, thoughts bool) (out []byte, v Verdict, whole bool) {
	body = afterMark(body)
	payload := body
	s.transcript.reserve(len(body))
	text, ok := s.chunk.parseInto(&s.transcript, payload)
	// What parses is valid, and is not looked at twice.
	if whole = ok || valid(body); !whole {
		if isSeveral(body) {
			return dst, More, false
		}
		if payload, ok = Salvage(nil, body, s.form.Dialect, thoughts); !ok {
			dst, v = s.End(dst, Event{}, false)
			return dst, v, whole
		}
		text, ok = s.chunk.parseInto(&s.transcript, payload)
	}
	var first, finish []byte
	both := false
	if ok {
		first, finish, both = s.splitFinish(payload)
	}
	if both {
		if dst, v = s.Take(dst, Event{Data: first}); v == More {
			dst, v = s.Take(dst, Event{Data: finish})
		}
	} else {
		s.asIs = whole && !s.attempt.spliced
		dst, v = s.parsed(dst, Event{Data: payload}, text, ok)
	}
	if v == More {
		dst, v = s.End(dst, Event{}, false)
	}
	if s.asIs && s.attempt.any && v != Complete && v != Policy {
		dst = s.form.append(dst, payload)
	}
	s.asIs = false
	return dst, v, whole
}

// IsDocument tells whether body is one JSON value with nothing behind it.
func IsDocument(body []byte) bool { return valid(afterMark(body)) }

// isSeveral tells whether body begins with one JSON object and then another.
func isSeveral(body []byte) bool {
	i := skipSpace(body, 0)
	if i == len(body) || body[i] != '{' {
		return false
	}
	i = skipValue(body, i, 0)
	if i == bad {
		return false
	}
	i = skipSpace(body, i)
	return i < len(body) && body[i] == '{'
}

// afterMark returns a document without the byte order mark that it may have in
// front. Readers may ignore one (RFC 8259 8.1), and browsers do.
func afterMark(body []byte) []byte { return bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")) }

// splitFinish makes two payloads of the one that was parsed, if that has text
// and a finish that is retried. ok is false for any other.
func (s *Splice) splitFinish(payload []byte) (text, finish []byte, ok bool) {
	c := &s.chunk
	if !s.retries(c.Finish) || c.Kinds&Text == 0 || c.Kinds&Untextual != 0 {
		return nil, nil, false
	}
	v, some := arrayStart(payload, c.candidates.from)
	end := skipValue(payload, v, 0)
	if !some || end == bad {
		return nil, nil, false
	}
	candidate := payload[v:end]
	with := func(candidate []byte) []byte {
		var e editor
		e.replace(span{v, end}, candidate)
		return e.append(nil, payload)
	}
	if c.Dialect == OpenAI {
		return with(appendWithout(nil, candidate, isFinishReason)), with(appendWithoutMessage(nil, candidate)), true
	}
	text = with(appendWithout(nil, candidate, func(name []byte) bool {
		switch string(name) {
		case "finishReason", "finishMessage", "avgLogprobs", "tokenCount":
			return true // of an answer that ends here
		}
		return false
	}))
	empty := []byte(`{"content": {"parts": [{"text": ""}],"role": "model"}`)
	walkMembers(candidate, 0, func(name []byte, v span) {
		if string(name) != "content" {
			empty = append(appendName(empty, name), v.of(candidate)...)
		}
	})
	return text, with(append(empty, '}')), true
}

// retries tells whether finish is an interruption. The end of a hop of a long
// decode is one where the client cannot go on from it: the token is that of a
// request that it does not know.
func (s *Splice) retries(finish []byte) bool {
	if string(finish) == hopEnds {
		return s.join.text && s.chunk.Kinds&Token != 0
	}
	return finish != nil && !natural(finish) && s.reasons.retried[string(finish)]
}

func isFinishReason(name []byte) bool { return string(name) == "finish_reason" }

// appendWithoutMessage appends a choice whose message says nothing.
func appendWithoutMessage(dst, choice []byte) []byte {
	dst = append(dst, `{"message": {"content": ""}`...)
	walkMembers(choice, 0, func(name []byte, v span) {
		if string(name) != "message" && string(name) != "delta" {
			dst = append(appendName(dst, name), v.of(choice)...)
		}
	})
	return append(dst, '}')
}
