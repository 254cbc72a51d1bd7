package stream

import "bytes"

// completion appends the chat.completion at i, which is cut.
func (s *salvager) completion(dst []byte, i int) []byte {
	dst = append(dst, '{')
	s.each(i, func(name []byte, v, end int) {
		if end != bad {
			dst = append(appendName(dst, name), s.b[v:end]...)
		} else if string(name) == "choices" {
			if choice := s.choices(v); choice != nil {
				dst = append(append(appendName(dst, name), '['), choice...)
				dst = append(dst, ']')
			}
		}
	})
	return append(dst, '}')
}

// choices returns the first choice of the array at v, which is cut.
func (s *salvager) choices(v int) []byte {
	i, some := arrayStart(s.b, v)
	if !some || i == bad || i >= len(s.b) {
		return nil
	}
	if end := s.value(i); end != bad {
		_, another := nextItem(s.b, end, ']')
		s.unfit = another
		return s.b[i:end]
	}
	return s.choice(i)
}

// choice returns the choice at i, which is cut: all that is whole when its
// message is, else the message alone. Its finish may stand in front of the
// message and then says nothing.
func (s *salvager) choice(i int) []byte {
	var message []byte
	others, closed := []byte{'{'}, false
	s.each(i, func(name []byte, v, end int) {
		switch {
		case end != bad:
			others = append(appendName(others, name), s.b[v:end]...)
			closed = closed || string(name) == "message"
		case string(name) == "message":
			message = s.message(v)
		}
	})
	switch {
	case closed:
		return append(others, '}')
	case message != nil:
		return append(append([]byte(`{"index": 0,"message": `), message...), '}')
	}
	return nil
}

// message returns the message at v, which is cut: its role and what is known
// to be text of the answer.
func (s *salvager) message(v int) []byte {
	m := []byte{'{'}
	s.each(v, func(name []byte, v, end int) {
		switch {
		case string(name) == "content" && s.b[v] == '"':
			text := s.b[v+1:]
			if end != bad {
				text = s.b[v+1 : end-1]
			}
			m = s.messageText(m, wholeText(text))
		case end != bad && (string(name) == "role" || isEmptyValue(s.b[v:end])):
			m = append(appendName(m, name), s.b[v:end]...)
		case string(name) == "reasoning_content", string(name) == "reasoning", string(name) == "extra_content":
			// What goes on has none of it either.
		case end == bad && s.b[v] == 'n':
			// The beginning of null.
		default:
			s.unfit = true
		}
	})
	return append(m, '}')
}

// messageText appends content, which may begin with a thought if the request
// asked for them: the mark of one would come after it.
func (s *salvager) messageText(m, text []byte) []byte {
	const mark = `,"extra_content": {"google": {"thought": true}}`
	thought := s.thoughts && beginsThought(text)
	if thought && !bytes.Contains(text, thoughtEnd) && !bytes.Contains(text, thoughtEndEscaped) {
		return m
	}
	m = append(append(appendName(m, []byte("content")), '"'), text...)
	if m = append(m, '"'); thought {
		m = append(m, mark...)
	}
	return m
}

// beginsThought tells whether content begins with the tag of a thought, or
// with a part of it.
func beginsThought(content []byte) bool {
	for _, tag := range [...]string{"<thought>", `\u003cthought\u003e`} {
		if n := min(len(tag), len(content)); string(content[:n]) == tag[:n] {
			return true
		}
	}
	return false
}

// opensThought tells whether content begins with the whole tag of a thought.
func opensThought(content []byte) bool {
	return bytes.HasPrefix(content, []byte("<thought>")) || bytes.HasPrefix(content, []byte(`\u003cthought\u003e`))
}
