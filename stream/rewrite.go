package stream

// rewrites tells that the candidates of the event cannot go out as they came.
func (s *Splice) rewrites() bool {
	c, j := &s.chunk, &s.join
	return s.attempt.mute && c.Kinds&Thought != 0 || j.cut > 0 || j.keep >= 0 ||
		c.Kinds&Token != 0 && s.hidesToken() || j.text && c.beside
}

// hidesToken tells that the event's continuationToken is not for the client:
// it goes on from a request that the client does not know, or from before
// what the client has.
func (s *Splice) hidesToken() bool { return s.join.text || s.join.behind }

// appendCandidates appends the candidates array of a continuation: without
// thoughts that are muted, without the text that was repeated, without tokens
// of a hop that the client did not ask for, without numbers that are those of a
// part of the answer, and with offsets into the text moved to where the whole
// answer has it. left tells whether any part is left; a candidate that loses all
// of its parts gets an empty text, since most clients drop a turn that ends in a
// candidate without parts, see DropsEmptyText.
func (s *Splice) appendCandidates(dst, candidates []byte) (out []byte, left bool) {
	dst = append(dst, '[')
	i, some := arrayStart(candidates, 0)
	for n := 0; some && i != bad; n++ {
		if n > 0 {
			dst = append(dst, ',')
		}
		start := i
		if i = skipValue(candidates, i, 0); i == bad {
			return dst, left
		}
		var any bool
		dst, any = s.appendCandidate(dst, candidates[start:i], n == 0)
		left = left || any
		i, some = nextItem(candidates, i, ']')
	}
	return append(dst, ']'), left
}

// appendCandidate appends one candidate; first is whether its text counts.
func (s *Splice) appendCandidate(dst, candidate []byte, first bool) (out []byte, left bool) {
	if !first || candidate[0] != '{' {
		return append(dst, candidate...), true
	}
	dst = append(dst, '{')
	walkMembers(candidate, 0, func(name []byte, v span) {
		value := v.of(candidate)
		switch string(name) {
		case "continuationToken":
			if s.hidesToken() {
				return
			}
		case "content":
			if value[0] == '{' {
				dst = appendName(dst, name)
				dst, left = s.appendContent(dst, value)
				return
			}
		case "avgLogprobs", "logprobsResult", "tokenCount":
			if s.join.text {
				return
			}
		case "groundingMetadata", "citationMetadata":
			if s.join.text {
				dst = appendName(dst, name)
				dst = appendShifted(dst, value, s.join.base-s.join.drop, s.join.least)
				return
			}
		}
		dst = append(appendName(dst, name), value...)
	})
	return append(dst, '}'), left
}

// appendName appends a member's name and colon, with a comma where one is due.
func appendName(dst, name []byte) []byte {
	dst = AppendJSONString(appendComma(dst), name)
	return append(dst, ": "...)
}

func (s *Splice) appendContent(dst, content []byte) (out []byte, left bool) {
	dst = append(dst, '{')
	walkMembers(content, 0, func(name []byte, v span) {
		dst = appendName(dst, name)
		value := v.of(content)
		if string(name) != "parts" || value[0] != '[' {
			dst = append(dst, value...)
			return
		}
		dst, left = s.appendParts(dst, value)
	})
	return append(dst, '}'), left
}

// appendParts appends the parts that the client may see.
func (s *Splice) appendParts(dst, parts []byte) (out []byte, left bool) {
	dst = append(dst, '[')
	first := len(dst)
	w := window{s.join.cut, s.join.keep}
	i, some := arrayStart(parts, 0)
	for some && i != bad {
		var pt part
		start := i
		if i = pt.parse(parts, i); i == bad {
			break
		}
		from := len(dst)
		if from > first {
			dst = append(dst, ',')
		}
		to := len(dst)
		if dst = s.appendPart(dst, parts, span{start, i}, &pt, &w); len(dst) == to {
			dst = dst[:from]
		}
		i, some = nextItem(parts, i, ']')
	}
	if left = len(dst) > first; !left {
		dst = append(dst, s.nothing()...)
	}
	return append(dst, ']'), left
}

// appendPart appends what the client may see of the part at at, which may be
// nothing.
func (s *Splice) appendPart(dst, parts []byte, at span, pt *part, w *window) []byte {
	switch {
	case pt.kinds&Thought != 0 && s.attempt.mute:
		return dst
	case pt.kinds&Text == 0:
		return append(dst, at.of(parts)...)
	}
	text := w.of(pt.text.of(parts))
	if len(text) == 0 && pt.alone {
		return dst
	}
	dst = append(dst, parts[at.from:pt.text.from]...)
	dst = append(dst, text...)
	return append(dst, parts[pt.text.to:at.to]...)
}

// window is the piece of an event's text that is delivered: cut bytes are
// dropped in front, then keep bytes kept, all when it is negative.
type window struct{ cut, keep int }

// of returns what is kept of text, which comes next.
func (w *window) of(text []byte) []byte {
	drop := min(w.cut, len(text))
	w.cut -= drop
	text = text[drop:]
	if w.keep >= 0 {
		text = text[:min(w.keep, len(text))]
		w.keep -= len(text)
	}
	return text
}
