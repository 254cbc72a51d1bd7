package stream

import "bytes"

// Salvage appends a payload with what is certain of body, a document of the
// dialect that breaks off: the text up to the cut, never with
// half a character, and the members that came whole. A finish counts once the
// content in front of it is closed. thoughts tells whether the request asked
// for thoughts.
//
// ok is false when there is nothing to go on from: no text, a part that text
// cannot stand in for, or text that may yet turn out to be a thought.
func Salvage(dst, body []byte, dialect Dialect, thoughts bool) (payload []byte, ok bool) {
	s := salvager{b: body, thoughts: thoughts}
	n := len(dst)
	start := skipSpace(body, 0)
	switch dialect {
	case Wrapped:
		dst = s.wrapper(dst, start)
	case OpenAI:
		dst = s.completion(dst, start)
	default:
		dst = s.response(dst, start)
	}
	c := Chunk{Dialect: dialect}
	if _, ok = c.Parse(dst[n:], nil); !ok || s.unfit || c.Finish == nil && (c.Kinds&Text == 0 || c.Kinds&Untextual != 0) {
		return dst[:n], false
	}
	return dst, true
}

// salvager reads a JSON text that may end anywhere.
type salvager struct {
	b        []byte
	thoughts bool
	unfit    bool // going on by text would lose what the cut took
}

// wrapper appends the object at i, which is cut, around its response.
func (s *salvager) wrapper(dst []byte, i int) []byte {
	dst = append(dst, '{')
	s.each(i, func(name []byte, v, end int) {
		if end != bad {
			dst = append(appendName(dst, name), s.b[v:end]...)
		} else if string(name) == "response" {
			dst = s.response(appendName(dst, name), v)
		}
	})
	return append(dst, '}')
}

// response appends the GenerateContentResponse at i, which is cut.
func (s *salvager) response(dst []byte, i int) []byte {
	dst = append(dst, '{')
	s.each(i, func(name []byte, v, end int) {
		if end != bad {
			dst = append(appendName(dst, name), s.b[v:end]...)
		} else if string(name) == "candidates" {
			if list, ok := s.candidates(nil, v); ok {
				dst = append(appendName(dst, name), list...)
			}
		}
	})
	return append(dst, '}')
}

// each calls f with each member of the object at i whose value has begun. end
// is bad for the one in which the text breaks off.
func (s *salvager) each(i int, f func(name []byte, v, end int)) {
	i, some := objectStart(s.b, i)
	for some && i != bad {
		name, v := member(s.b, i)
		if v == bad || v >= len(s.b) {
			return
		}
		end := s.value(v)
		f(plainName(name), v, end)
		if end == bad {
			return
		}
		i, some = nextItem(s.b, end, '}')
	}
}

// value returns the offset after the value at v, or bad unless all of it has
// come: the digits that a text ends in need not be the whole number.
func (s *salvager) value(v int) int {
	end := skipValue(s.b, v, 0)
	if end == len(s.b) && bytes.IndexByte([]byte(`"}]el`), s.b[end-1]) < 0 {
		return bad
	}
	return end
}

// candidates appends the array at v, which is cut, with its first candidate.
func (s *salvager) candidates(dst []byte, v int) (out []byte, ok bool) {
	i, some := arrayStart(s.b, v)
	if !some || i == bad || i >= len(s.b) {
		return dst, false
	}
	dst = append(dst, '[')
	end := s.value(i)
	if end == bad {
		dst, ok = s.candidate(dst, i)
		return append(dst, ']'), ok
	}
	_, another := nextItem(s.b, end, ']')
	s.unfit = another
	return append(append(dst, s.b[i:end]...), ']'), true
}

// candidate appends the candidate at i, which is cut: all that is whole when
// its content is, else the content alone.
func (s *salvager) candidate(dst []byte, i int) (out []byte, ok bool) {
	var others, content []byte
	closed := false
	others = append(others, '{')
	s.each(i, func(name []byte, v, end int) {
		switch {
		case end != bad:
			others = append(appendName(others, name), s.b[v:end]...)
			closed = closed || string(name) == "content"
		case string(name) == "content":
			content = s.content(nil, v)
		}
	})
	switch {
	case closed:
		return append(append(dst, others...), '}'), true
	case content != nil:
		dst = append(dst, `{"content": {"parts": [`...)
		dst = append(dst, content...)
		return append(dst, `],"role": "model"},"index": 0}`...), true
	}
	return dst, false
}

// content appends the parts, without brackets, of the content at v, which is
// cut.
func (s *salvager) content(dst []byte, v int) []byte {
	s.each(v, func(name []byte, v, _ int) {
		if string(name) == "parts" {
			dst = s.parts(dst, v)
		}
	})
	return dst
}

// parts appends the parts of the array at v, up to where it breaks off.
func (s *salvager) parts(dst []byte, v int) []byte {
	i, some := arrayStart(s.b, v)
	said := false // a part was answer text: thoughts come before it
	for some && i != bad && i < len(s.b) {
		from := i
		var pt part
		if i = pt.parse(s.b, i); i == bad {
			return s.part(dst, from, said)
		}
		said = said || pt.kinds == Text
		dst = append(appendItem(dst), s.b[from:i]...)
		i, some = nextItem(s.b, i, ']')
	}
	return dst
}

// part appends the part at v, which is cut, when it is known to be text of the
// answer.
func (s *salvager) part(dst []byte, v int, said bool) []byte {
	var text []byte
	thought := false
	s.each(v, func(name []byte, v, end int) {
		switch string(name) {
		case "text":
			switch {
			case s.b[v] != '"':
				s.unfit = true
			case end == bad:
				text = wholeText(s.b[v+1:])
			default:
				text = s.b[v+1 : end-1]
			}
		case "thought":
			thought = s.b[v] == 't'
		case "thoughtSignature":
		default:
			s.unfit = true
		}
	})
	if thought || s.thoughts && !said || len(text) == 0 {
		return dst
	}
	dst = append(appendItem(dst), `{"text": "`...)
	return append(append(dst, text...), `"}`...)
}

// appendItem appends the comma that separates an item from those in dst.
func appendItem(dst []byte) []byte {
	if len(dst) == 0 {
		return dst
	}
	return append(dst, ',')
}

// wholeText returns inside, the beginning of the inside of a JSON string,
// without what may be half an escape or half a character at its end.
func wholeText(inside []byte) []byte {
	for i := 0; ; {
		n := bytes.IndexByte(inside[i:], '\\')
		if n < 0 {
			break
		}
		i += n
		if !validEscapes(inside[i:min(len(inside), i+escapeLen(inside[i:]))]) {
			inside = inside[:i]
			break
		}
		i += escapeLen(inside[i:])
	}
	return inside[:len(inside)-unfinished(inside)]
}

// escapeLen returns the length of the escape that b begins with, were it
// whole.
func escapeLen(b []byte) int {
	if len(b) > 1 && b[1] == 'u' {
		return 6
	}
	return 2
}
