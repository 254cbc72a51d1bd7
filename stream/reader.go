package stream

import "bytes"

// Reader cuts the events out of a body in whatever framing it comes: what it
// begins with says which. Upstreams do not always answer in the framing that
// they were asked for.
//
// The zero value is ready to use.
type Reader struct {
	known    bool
	array    bool
	events   Scanner
	elements ArrayScanner
}

// Reset makes the Reader ready for another body.
func (r *Reader) Reset() {
	r.known = false
	r.events.Reset()
	r.elements.Reset()
}

// Next is Scanner.Next for a body in any framing.
func (r *Reader) Next(b []byte) (ev Event, n int, ok bool) {
	if !r.known {
		if n = r.begin(b); !r.known {
			return Event{}, n, false
		}
	}
	var used int
	if r.array {
		ev, used, ok = r.elements.Next(b[n:])
	} else {
		ev, used, ok = r.events.Next(b[n:])
	}
	return ev, n + used, ok
}

// BetweenEvents tells that what the next call of Next is given begins with an
// event of a stream of events, and that nothing of it was looked at yet.
func (r *Reader) BetweenEvents() bool {
	s := &r.events
	return r.known && !r.array && s.seen == 0 && !s.hasData && !s.skipLF && !s.loneCR && s.bare.depth == 0
}

// Held is Scanner.Held.
func (r *Reader) Held() int { return r.events.Held() }

// begin looks at the beginning of the body and returns how much of it can be
// dropped: a byte order mark, and white space, which some upstreams send while
// they wait.
func (r *Reader) begin(b []byte) (drop int) {
	if !r.events.started {
		var ok bool
		if drop, ok = r.events.start(b); !ok {
			return 0
		}
	}
	drop = skipSpace(b, drop)
	if r.known = drop < len(b); r.known {
		r.array = b[drop] == '[' || b[drop] == '{'
	}
	return drop
}

// Rest is Scanner.Rest for a body in any framing.
func (r *Reader) Rest(b []byte) (ev Event, ok bool) {
	switch {
	case !r.known:
		return Event{}, false
	case r.array:
		return r.elements.Rest(b)
	}
	return r.events.Rest(b)
}

// IsStream tells by the beginning of a JSON body whether it is the stream that
// was asked for in this framing, or some other answer that is to be passed on
// as it is. It is a stream when it is an array of objects, or none of JSON but
// events after all, and, where an array was asked for, one object after
// another. known is false while b does not say.
func (f Framing) IsStream(b []byte) (stream, known bool) {
	const mark = "\xef\xbb\xbf"
	i := skipSpace(b, 0)
	if bytes.HasPrefix(b, []byte(mark)) {
		i = skipSpace(b, len(mark))
	}
	if i == len(b) || len(b) < len(mark) && string(b) == mark[:len(b)] {
		return false, false
	}
	switch b[i] {
	case 'd', 'e', 'i', 'r', ':': // data, event, id, retry, a comment
		return true, true
	case '{':
		return f == Array, true
	case '[':
		i = skipSpace(b, i+1)
		return i < len(b) && (b[i] == '{' || b[i] == ']'), i < len(b)
	}
	return false, true
}
