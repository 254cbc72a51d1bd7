package stream

import "bytes"

// Event is one event cut out of a stream.
type Event struct {
	// Data is the event's payload: the data lines joined by LF (WHATWG HTML
	// 9.2.6, "process the field"), or a bare JSON text. It aliases the bytes
	// given to Next or a buffer of the Scanner, and lives until the next call.
	Data []byte
	// Bare tells that the payload came without any field name: this is how
	// the API writes an error into a stream that has begun.
	Bare bool
}

// Scanner cuts server-sent events out of a byte stream that arrives in
// pieces of any size. It parses leniently: LF, CR LF and lone CR end a line,
// a byte order mark in front is dropped, comments and all fields other than
// data are skipped, and a JSON text without field name is found as well.
//
// It keeps no copy of an event that arrives in the usual form, one data line
// and a blank line, and it never looks at a byte twice, so time is linear in
// the input whatever the split.
//
// The zero value is ready to use.
type Scanner struct {
	seen    int    // bytes at the front of b that hold no end of what is being looked for
	joined  []byte // data lines of an event that needs more than the fast path
	hasData bool   // joined belongs to an event that has begun
	skipLF  bool   // a line ended with CR, a LF that follows belongs to it
	started bool   // the first byte was seen, no byte order mark can come
	loneCR  bool   // a CR alone ended a line: the fast path would search in vain
	margin  bool   // the seen bytes are blanks, a bare JSON text may follow
	bare    bareState
}

// bareState follows a JSON text without field name through its nesting.
type bareState struct {
	depth    int
	inString bool
	escaped  bool
}

// maxJoined is the capacity above which a Scanner gives its buffer back when
// it is reset.
const maxJoined = 64 << 10

// Reset makes the Scanner ready for another stream.
func (s *Scanner) Reset() {
	joined := s.joined[:0]
	if cap(joined) > maxJoined {
		joined = nil
	}
	*s = Scanner{joined: joined}
}

// Held returns how many bytes of an event that has begun the Scanner keeps: an
// event of many lines is not bounded by what is given to Next.
func (s *Scanner) Held() int {
	if !s.hasData {
		return 0
	}
	return len(s.joined)
}

// Next cuts the first event out of b, which holds all bytes of the stream
// that no earlier call has consumed. It returns how many bytes it consumed;
// the caller drops these and gives the rest, with more behind it, to the
// next call. Without a complete event in b, ok is false and n may still be
// positive.
func (s *Scanner) Next(b []byte) (ev Event, n int, ok bool) {
	if !s.started {
		if n, ok = s.start(b); !ok {
			return Event{}, 0, false
		}
	}
	for {
		if s.bare.depth == 0 && !s.hasData && !s.skipLF && !s.loneCR {
			ev, used, ok := s.fast(b[n:])
			if ok {
				return ev, n + used, true
			}
			if used < 0 {
				return Event{}, n, false
			}
		}
		ev, used, state := s.line(b[n:])
		n += used
		switch state {
		case lineEvent:
			return ev, n, true
		case lineShort:
			return Event{}, n, false
		}
	}
}

// start drops a byte order mark; ok is false while one might still be coming.
func (s *Scanner) start(b []byte) (n int, ok bool) {
	const mark = "\xef\xbb\xbf"
	switch {
	case bytes.HasPrefix(b, []byte(mark)):
		n = len(mark)
	case len(b) < len(mark) && string(b) == mark[:len(b)]:
		return 0, false
	}
	s.started = true
	return n, true
}

// fast is the fast path: the whole event is one data line and a blank line.
// used is negative when b may still become such an event and more bytes are
// needed, and zero when the slow path must look at b.
func (s *Scanner) fast(b []byte) (ev Event, used int, ok bool) {
	if len(b) < len(dataField) {
		if bytes.HasPrefix(dataField, b) {
			return Event{}, -1, false
		}
		return Event{}, 0, false
	}
	if !bytes.HasPrefix(b, dataField[:5]) {
		return Event{}, 0, false
	}
	i := bytes.IndexByte(b[s.seen:], '\n')
	if i < 0 {
		if k := bytes.IndexByte(b[s.seen:], '\r'); k >= 0 && s.seen+k < len(b)-1 {
			s.loneCR = true
			return Event{}, 0, false
		}
		s.seen = len(b)
		if b[len(b)-1] == '\r' {
			s.seen--
		}
		return Event{}, -1, false
	}
	i += s.seen
	end := i
	if b[end-1] == '\r' {
		end--
	}
	if bytes.IndexByte(b[s.seen:max(end, s.seen)], '\r') >= 0 {
		s.loneCR = true
		return Event{}, 0, false
	}
	return s.fastBlank(b, end, i+1)
}

// fastBlank looks for the blank line at next, after a data line that ends at
// end.
func (s *Scanner) fastBlank(b []byte, end, next int) (ev Event, used int, ok bool) {
	switch {
	case next < len(b) && b[next] == '\n':
		next++
	case next+1 < len(b) && b[next] == '\r' && b[next+1] == '\n':
		next += 2
	case next+1 == len(b) && b[next] == '\r':
		// A CR alone is a blank line too, and a LF that follows belongs to it.
		s.skipLF = true
		next++
	case next == len(b):
		s.seen = end
		return Event{}, -1, false
	default:
		return Event{}, 0, false
	}
	s.seen = 0
	from := len(dataField) - 1
	if b[from] == ' ' {
		from++
	}
	return Event{Data: b[from:max(end, from)]}, next, true
}

type lineState uint8

const (
	lineShort lineState = iota // no complete line in the input
	lineTaken                  // a line was consumed, no event is complete
	lineEvent                  // an event is complete
)

// line is the slow path: it consumes one line, or a bare JSON text.
func (s *Scanner) line(b []byte) (ev Event, n int, state lineState) {
	if s.skipLF && len(b) > 0 {
		s.skipLF = false
		if b[0] == '\n' {
			return Event{}, 1, lineTaken
		}
	}
	if s.bare.depth > 0 {
		return s.bareText(b)
	}
	if !s.hasData && (s.seen == 0 || s.margin) {
		i := skipBlanks(b, s.seen)
		// Nothing at all is no blanks: a LF that is skipped may come first, and
		// then a line that the fast path looks at.
		if s.margin = i == len(b) && i > 0; i == len(b) {
			s.seen = i
			return Event{}, 0, lineShort
		}
		if b[i] == '{' || b[i] == '[' {
			s.seen = 0
			if i > 0 {
				return Event{}, i, lineTaken
			}
			return s.bareText(b)
		}
	}
	i := bytes.IndexAny(b[min(s.seen, len(b)):], "\r\n")
	if i < 0 {
		s.seen = len(b)
		return Event{}, 0, lineShort
	}
	i += s.seen
	s.seen = 0
	n = i + 1
	if b[i] == '\r' {
		if n < len(b) && b[n] == '\n' {
			n++
		} else if n == len(b) {
			s.skipLF = true
		}
	}
	if i > 0 {
		s.field(b[:i])
		return Event{}, n, lineTaken
	}
	if !s.hasData {
		return Event{}, n, lineTaken
	}
	s.hasData = false
	return Event{Data: s.joined}, n, lineEvent
}

// field takes one line that is not blank (WHATWG HTML 9.2.6).
func (s *Scanner) field(line []byte) {
	value, isData := bytes.CutPrefix(line, dataField[:4])
	if !isData || len(value) > 0 && value[0] != ':' {
		return
	}
	if len(value) > 0 {
		value = bytes.TrimPrefix(value[1:], dataField[5:])
	}
	if s.hasData {
		s.joined = append(s.joined, '\n')
	} else {
		s.joined = s.joined[:0]
		s.hasData = true
	}
	s.joined = append(s.joined, value...)
}

// skipBlanks returns the offset of the first byte at or after i that is no
// space or TAB.
func skipBlanks(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// bareText consumes a JSON text without field name once its last bracket has
// come.
func (s *Scanner) bareText(b []byte) (ev Event, n int, state lineState) {
	st := &s.bare
	for i := s.seen; i < len(b); i++ {
		c := b[i]
		switch {
		case st.inString:
			if st.escaped {
				st.escaped = false
			} else if c == '\\' {
				st.escaped = true
			} else if c == '"' {
				st.inString = false
			}
		case c == '"':
			st.inString = true
		case c == '{' || c == '[':
			st.depth++
		case c == '}' || c == ']':
			if st.depth--; st.depth == 0 {
				s.seen = 0
				return Event{Data: b[:i+1], Bare: true}, i + 1, lineEvent
			}
		}
	}
	s.seen = len(b)
	return Event{}, 0, lineShort
}

// Rest returns what the stream ended in: the payload of an event whose blank
// line never came. The standard tells a browser to discard it (WHATWG HTML
// 9.2.6, end of the stream); a caller that can tell a whole payload from a
// part of one need not. b holds the bytes that no call of Next consumed. ok
// is false when nothing had begun. The result aliases b or the Scanner.
func (s *Scanner) Rest(b []byte) (ev Event, ok bool) {
	if s.bare.depth > 0 || !s.hasData && len(b) > 0 && (b[0] == '{' || b[0] == '[') {
		return Event{Data: b, Bare: true}, true
	}
	if len(b) > 0 {
		line := bytes.TrimRight(b, "\r\n")
		s.field(line)
	}
	if !s.hasData {
		return Event{}, false
	}
	s.hasData = false
	return Event{Data: s.joined}, true
}
