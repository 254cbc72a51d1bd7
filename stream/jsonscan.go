package stream

import "bytes"

// maxDepth bounds the nesting of JSON that is looked at. Deeper input is
// malformed to us: the API itself refuses it far earlier, and recursion that
// an upstream controls must end somewhere.
const maxDepth = 256

// bad is the offset that every scanning function returns for malformed input.
const bad = -1

// skipSpace returns the offset of the first byte at or after i that is not
// JSON white space (RFC 8259 section 2).
func skipSpace(b []byte, i int) int {
	// Fast path.
	if i < len(b) && b[i] > ' ' {
		return i
	}
	return skipSpaceSlow(b, i)
}

func skipSpaceSlow(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the offset after the string whose opening quote is at i,
// or bad. It finds the end only; what is inside may hold bytes that JSON
// forbids (see AppendEvent).
func skipString(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return bad
	}
	i++
	for {
		n := indexNear(b[i:], '"')
		if n < 0 {
			return bad
		}
		end := i + n
		// An odd number of backslashes before the quote escapes it.
		k := end
		for k > i && b[k-1] == '\\' {
			k--
		}
		if (end-k)&1 == 0 {
			return end + 1
		}
		i = end + 1
	}
}

// skipValue returns the offset after the JSON value that starts at i, which
// must not be white space, or bad.
func skipValue(b []byte, i, depth int) int {
	if i < len(b) && (b[i] == '{' || b[i] == '[') {
		return skipContainer(b, i, depth)
	}
	return skipScalar(b, i)
}

// skipScalar is skipValue for what is no object and no array.
func skipScalar(b []byte, i int) int {
	if i >= len(b) {
		return bad
	}
	switch c := b[i]; {
	case c == '"':
		return skipString(b, i)
	case c == '-' || c >= '0' && c <= '9':
		return skipNumber(b, i)
	default:
		return skipLiteral(b, i)
	}
}

// skipContainer skips the object or array that opens at i. It does not recurse:
// a stack that grew with the nesting of one request would stay with its stream.
func skipContainer(b []byte, i, depth int) int {
	var objects [maxDepth / 64]uint64 // a bit for each level that is open
	for floor := depth; ; {
		if i >= len(b) {
			return bad
		}
		// A value begins here.
		if c := b[i]; c == '{' || c == '[' {
			if depth >= maxDepth {
				return bad
			}
			first := skipSpace(b, i+1)
			if first >= len(b) || b[first] != c+2 { // '}' or ']'
				bit := uint64(1) << (depth & 63)
				objects[depth>>6] &^= bit
				if i = first; c == '{' {
					objects[depth>>6] |= bit
					if _, i = member(b, i); i == bad {
						return bad
					}
				}
				depth++
				continue
			}
			i = first + 1
		} else if i = skipScalar(b, i); i == bad {
			return bad
		}
		// A value has ended here, and what it was the last of.
		for more := false; !more; {
			if depth == floor {
				return i
			}
			end, object := byte(']'), objects[(depth-1)>>6]&(1<<((depth-1)&63)) != 0
			if object {
				end = '}'
			}
			if i, more = nextItem(b, i, end); i == bad {
				return bad
			}
			if !more {
				depth--
			} else if object {
				if _, i = member(b, i); i == bad {
					return bad
				}
			}
		}
	}
}

// member reads a member name at i and returns its raw bytes without quotes,
// which alias b, and the offset of the member's value; the offset is bad when
// the input is malformed.
func member(b []byte, i int) (name []byte, value int) {
	j := skipString(b, i)
	if j == bad {
		return nil, bad
	}
	name = b[i+1 : j-1]
	j = skipSpace(b, j)
	if j >= len(b) || b[j] != ':' {
		return nil, bad
	}
	return name, skipSpace(b, j+1)
}

// nextItem is called after a value inside a container that closes with end.
// more tells that another item starts at the returned offset; without it the
// offset is the one after the container.
func nextItem(b []byte, i int, end byte) (next int, more bool) {
	i = skipSpace(b, i)
	if i >= len(b) {
		return bad, false
	}
	switch b[i] {
	case ',':
		return skipSpace(b, i+1), true
	case end:
		return i + 1, false
	}
	return bad, false
}

// skipNumber skips a number (RFC 8259 section 6).
func skipNumber(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = skipDigits(b, i); i == bad {
		return bad
	}
	if i < len(b) && b[i] == '.' {
		if i = skipDigits(b, i+1); i == bad {
			return bad
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		i = skipDigits(b, i)
	}
	return i
}

// skipDigits skips digits, of which there must be one at least.
func skipDigits(b []byte, i int) int {
	start := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == start {
		return bad
	}
	return i
}

func skipLiteral(b []byte, i int) int {
	for _, lit := range [...]string{"true", "false", "null"} {
		if len(b)-i >= len(lit) && string(b[i:i+len(lit)]) == lit {
			return i + len(lit)
		}
	}
	return bad
}

// objectStart returns the offset of the first member name of the object at i,
// and whether there is one; bad when there is no object at i. For an empty
// object the offset is the one after it.
func objectStart(b []byte, i int) (first int, some bool) {
	return containerStart(b, i, '{', '}')
}

// arrayStart is objectStart for arrays.
func arrayStart(b []byte, i int) (first int, some bool) {
	return containerStart(b, i, '[', ']')
}

func containerStart(b []byte, i int, open, end byte) (first int, some bool) {
	if i >= len(b) || b[i] != open {
		return bad, false
	}
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == end {
		return i + 1, false
	}
	return i, true
}

// isNull tells whether the value at i is null, which the API's JSON mapping
// treats as an absent field.
func isNull(b []byte, i int) bool {
	return len(b)-i >= 4 && string(b[i:i+4]) == "null"
}

// plainName returns a member name with its escapes resolved. Names hold
// escapes only when somebody hides something, so this is the only place that
// pays for them; the result aliases name when it holds none.
func plainName(name []byte) []byte {
	// Fast path.
	if bytes.IndexByte(name, '\\') < 0 {
		return name
	}
	return AppendUnescaped(nil, name)
}

// validEscapes tells whether every backslash in b begins an escape that JSON
// knows. b is otherwise well formed, so that backslashes stand in strings only.
func validEscapes(b []byte) bool {
	for i := bytes.IndexByte(b, '\\'); i >= 0; i = indexNear(b, '\\') {
		b = b[i:]
		n := escapeEnd(b)
		if n == bad {
			return false
		}
		b = b[n:]
	}
	return true
}

// valid tells whether b is one JSON value with nothing but white space around
// it.
func valid(b []byte) bool {
	i := skipValue(b, skipSpace(b, 0), 0)
	return i != bad && skipSpace(b, i) == len(b)
}
