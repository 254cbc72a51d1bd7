package stream

import "strconv"

// rewrites tells that the candidates of the event cannot go out as they came.
func (s *Splice) rewrites() bool {
	c, j := &s.chunk, &s.join
	return s.attempt.mute && c.Kinds&Thought != 0 || j.cut > 0 || j.keep >= 0 ||
		j.text && (c.Kinds&Token != 0 || c.offsets)
}

// appendCandidates appends the candidates array of a continuation: without
// thoughts that are muted, without the text that was repeated, without tokens
// of a hop that the client did not ask for, and with offsets into the text
// moved to where the whole answer has it. left tells whether any part is
// left; a candidate that loses all of its parts gets an empty text, since
// clients drop a turn that ends in a candidate without parts.
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
			if s.join.text {
				return
			}
		case "content":
			if value[0] == '{' {
				dst = appendName(dst, name)
				dst, left = s.appendContent(dst, value)
				return
			}
		case "groundingMetadata", "citationMetadata":
			if s.join.text {
				dst = appendName(dst, name)
				dst = appendShifted(dst, value, s.join.base-s.join.drop, s.join.drop)
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
	n := len(dst)
	dst = append(dst, '[')
	cut, keep := s.join.cut, s.join.keep
	i, some := arrayStart(parts, 0)
	for some && i != bad {
		var pt part
		start := i
		if i = pt.parse(parts, i); i == bad {
			break
		}
		from := len(dst)
		if from > n+1 {
			dst = append(dst, ',')
		}
		switch {
		case pt.kinds&Thought != 0 && s.attempt.mute:
			dst = dst[:from]
		case pt.kinds&Text != 0:
			text := pt.text.of(parts)
			drop := min(cut, len(text))
			cut -= drop
			text = text[drop:]
			if keep >= 0 {
				text = text[:min(keep, len(text))]
				keep -= len(text)
			}
			if len(text) == 0 && pt.alone {
				dst = dst[:from]
				break
			}
			dst = append(dst, parts[start:pt.text.from]...)
			dst = append(dst, text...)
			dst = append(dst, parts[pt.text.to:i]...)
			left = true
		default:
			dst = append(dst, parts[start:i]...)
			left = true
		}
		i, some = nextItem(parts, i, ']')
	}
	if len(dst) == n+1 {
		dst = append(dst, `{"text": ""}`...)
	}
	return append(dst, ']'), left
}

// appendShifted appends grounding or citation metadata whose offsets count
// the bytes of the continuation's own text, so that they count those of the
// whole answer: shift is added to each. What refers to text before least,
// which was dropped, is left out.
func appendShifted(dst, metadata []byte, shift, least int) []byte {
	if metadata[0] != '{' {
		return append(dst, metadata...)
	}
	dst = append(dst, '{')
	walkMembers(metadata, 0, func(name []byte, v span) {
		dst = appendName(dst, name)
		value := v.of(metadata)
		switch string(name) {
		case "groundingSupports", "citations", "citationSources":
			dst = appendShiftedList(dst, value, shift, least)
		default:
			dst = append(dst, value...)
		}
	})
	return append(dst, '}')
}

func appendShiftedList(dst, list []byte, shift, least int) []byte {
	if list[0] != '[' {
		return append(dst, list...)
	}
	dst = append(dst, '[')
	n := len(dst)
	i, some := arrayStart(list, 0)
	for some && i != bad {
		start := i
		if i = skipValue(list, i, 0); i == bad {
			break
		}
		if item, ok := shifted(list[start:i], shift, least); ok {
			if len(dst) > n {
				dst = append(dst, ',')
			}
			dst = append(dst, item...)
		}
		i, some = nextItem(list, i, ']')
	}
	return append(dst, ']')
}

// shifted moves the offsets of one support or citation; ok is false when they
// cannot be moved.
func shifted(item []byte, shift, least int) (out []byte, ok bool) {
	if item[0] != '{' {
		return item, true
	}
	ok = true
	from, hasTo := 0, false
	out = append(out, '{')
	walkMembers(item, 0, func(name []byte, v span) {
		value := v.of(item)
		n, isNumber := atoi(value)
		switch {
		case string(name) == "segment":
			var segment []byte
			segment, ok = shifted(value, shift, least)
			out = append(appendName(out, name), segment...)
			return
		case string(name) == "startIndex" && isNumber:
			from = int(n)
			return
		case string(name) == "endIndex" && isNumber:
			hasTo = true
			out = strconv.AppendInt(appendName(out, name), n+int64(shift), 10)
			return
		case string(name) == "partIndex" && isNumber && n > 0:
			ok = false
		}
		out = append(appendName(out, name), value...)
	})
	if hasTo {
		if from < least {
			return nil, false
		}
		out = strconv.AppendInt(appendName(out, []byte("startIndex")), int64(from+shift), 10)
	}
	return append(out, '}'), ok
}
