package stream

import "bytes"

// appendEditedOpenAI appends an event of a later attempt, as appendEdited
// does: id, created and model become those of the first attempt, usage that of
// the whole answer, and of the delta stays what the client is to see.
func (s *Splice) appendEditedOpenAI(dst []byte) []byte {
	c := &s.chunk
	if s.openAI.tagged && c.Kinds&Answer != 0 && c.Kinds&Text == 0 {
		dst = s.appendThoughtEnd(dst)
	}
	var e editor
	if s.rewrites() || c.openAI.role && s.openAI.role || s.openAI.tagged && c.Kinds&Text != 0 {
		choices, left := s.appendChoices(nil, c.candidates.of(c.payload))
		if !left && c.Finish == nil {
			return dst
		}
		e.replace(c.candidates, choices)
	}
	for _, m := range [...]struct {
		at    span
		first []byte
	}{{c.responseID, s.responseID}, {c.version, s.version}, {c.openAI.created, s.openAI.created}} {
		if m.at.present() && len(m.first) > 0 {
			e.replace(m.at, m.first)
		}
	}
	if c.Usage.known {
		s.drafts.usage = s.tally.appendOpenAI(s.drafts.usage[:0], c, s.attempt.usage)
		e.replace(c.usage, s.drafts.usage)
	}
	s.drafts.payload = e.append(s.drafts.payload[:0], c.payload)
	return s.form.append(dst, s.drafts.payload)
}

// appendThoughtEnd appends a chunk that ends a thought in front of what is no text,
// such as a tool call: to a client that goes by tags all of the content is a thought
// otherwise. It is a chunk of its own, since some take content or calls from one.
func (s *Splice) appendThoughtEnd(dst []byte) []byte {
	p := append([]byte(nil), `{"choices":[{"delta":{"content":"`...)
	p = append(append(p, thoughtEnd...), `"},"index":0}]`...)
	return s.form.append(dst, append(s.appendIdentityOpenAI(p), '}'))
}

// appendChoices appends the choices array of a continuation. left tells
// whether anything of an answer is left in it.
func (s *Splice) appendChoices(dst, choices []byte) (out []byte, left bool) {
	dst = append(dst, '[')
	i, some := arrayStart(choices, 0)
	for n := 0; some && i != bad; n++ {
		if n > 0 {
			dst = append(dst, ',')
		}
		start := i
		if i = skipValue(choices, i, 0); i == bad {
			return dst, left
		}
		if choice := choices[start:i]; n > 0 || choice[0] != '{' {
			// Not the answer's.
			dst, left = append(dst, choice...), true
		} else {
			dst, left = s.appendChoice(dst, choice)
		}
		i, some = nextItem(choices, i, ']')
	}
	return append(dst, ']'), left
}

func (s *Splice) appendChoice(dst, choice []byte) (out []byte, left bool) {
	dst = append(dst, '{')
	walkMembers(choice, 0, func(name []byte, v span) {
		dst = appendName(dst, name)
		value := v.of(choice)
		if string(name) != "delta" && string(name) != "message" || value[0] != '{' {
			dst = append(dst, value...)
			return
		}
		dst, left = s.appendDelta(dst, value)
	})
	return append(dst, '}'), left
}

// appendDelta appends what is left of a delta: no role, which the client has
// been told, no thoughts that are muted, no text that was repeated. A thought
// of an earlier attempt that the client has the beginning of ends in front of
// the first text: everything would be a thought to a client that goes by tags.
func (s *Splice) appendDelta(dst, delta []byte) (out []byte, left bool) {
	var d openAIDelta
	d.parse(delta, 0)
	mute := s.attempt.mute
	text := d.split(delta, s.chunk.openAI.thinking)
	dst = append(dst, '{')
	walkMembers(delta, 0, func(name []byte, v span) {
		value := v.of(delta)
		switch string(name) {
		case "role":
			if s.openAI.role {
				return
			}
		case "content":
			if value[0] == '"' {
				kept := s.keptContent(delta, d.content, text)
				left = left || len(kept) > 0
				dst = append(appendName(dst, name), '"')
				dst = append(append(dst, kept...), '"')
				return
			}
		case "reasoning_content", "reasoning", "reasoning_details", "thinking":
			if mute {
				return
			}
		case "extra_content":
			if mute && d.thought {
				return
			}
		case "annotations":
			// Their offsets count the text of this attempt alone.
			if s.join.text {
				return
			}
		}
		left = left || !isEmptyValue(value)
		dst = append(appendName(dst, name), value...)
	})
	return append(dst, '}'), left
}

// keptContent returns what the client gets of the content at at, of which text
// is the answer's.
func (s *Splice) keptContent(delta []byte, at, text span) []byte {
	w := window{s.join.cut, s.join.keep}
	kept := w.of(text.of(delta))
	if s.openAI.tagged && len(kept) > 0 {
		return append(bytes.Clone(thoughtEnd), kept...)
	}
	if s.attempt.mute || text.from == at.from {
		return kept
	}
	return append(append([]byte(nil), delta[at.from:text.from]...), kept...)
}
