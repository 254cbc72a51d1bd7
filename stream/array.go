package stream

import "bytes"

// ArrayScanner cuts the elements out of a JSON array of objects that arrives
// in pieces of any size, each as soon as its last bracket has come. It parses
// leniently: brackets, commas and anything else between two objects are
// passed over, so that objects one after another or one a line are read too.
//
// It keeps no bytes and never looks at one twice but for backslashes before a
// quote, so time is linear in the input whatever the split.
//
// The zero value is ready to use.
type ArrayScanner struct {
	seen     int // bytes of the element that were looked at
	depth    int // open objects; 0 between two elements
	inString bool
}

// Reset makes the ArrayScanner ready for another stream.
func (s *ArrayScanner) Reset() { *s = ArrayScanner{} }

// Next is Scanner.Next for elements. Their data alias b.
func (s *ArrayScanner) Next(b []byte) (ev Event, n int, ok bool) {
	if s.depth == 0 {
		if n = bytes.IndexByte(b, '{'); n < 0 {
			return Event{}, len(b), false
		}
	}
	end := s.object(b[n:])
	if end == bad {
		return Event{}, n, false
	}
	s.seen = 0
	return Event{Data: b[n : n+end]}, n + end, true
}

// object returns the offset after the object that b begins with, or bad while
// it has not come whole.
func (s *ArrayScanner) object(b []byte) int {
	for i := s.seen; i < len(b); i++ {
		if s.inString {
			n := bytes.IndexByte(b[i:], '"')
			if n < 0 {
				break
			}
			i += n
			s.inString = escapes(b[:i])
			continue
		}
		switch b[i] {
		case '"':
			s.inString = true
		case '{':
			s.depth++
		case '}':
			if s.depth--; s.depth == 0 {
				return i + 1
			}
		}
	}
	s.seen = len(b)
	return bad
}

// escapes tells whether b ends in a backslash that is not itself escaped.
func escapes(b []byte) bool {
	n := len(b)
	for n > 0 && b[n-1] == '\\' {
		n--
	}
	return (len(b)-n)&1 == 1
}

// Rest returns the element that the stream ended in. b holds the bytes that
// no call of Next consumed, and the result aliases it. ok is false when none
// had begun.
func (s *ArrayScanner) Rest(b []byte) (ev Event, ok bool) {
	return Event{Data: b}, s.depth > 0
}
