package routing

import "errors"

// What CheckPath and CheckQuery refuse. The texts are fit to be shown to the
// client: they do not repeat what it sent.
var (
	errPathStart     = errors.New(`the path must begin with "/"`)
	errPathCharacter = errors.New(`the path must not hold spaces, control characters, "?", "#" or "\"`)
	errPathNotASCII  = errors.New("the path must not hold characters outside ASCII")
	errPathEscape    = errors.New("the path holds a percent sign without two hexadecimal digits after it")
	errPathDots      = errors.New(`the path must not hold "." or ".." as a segment, percent-encoded or not`)
	errQuery         = errors.New(`the query must not hold spaces, control characters or "#"`)
)

// CheckPath checks the path of a client's request as it was sent, still
// percent-encoded. It refuses bytes that have no place in a path, broken
// percent-encoding, and segments that a server could take for "." or "..",
// which would lead out of the group's path: also those that come to light when
// the path is decoded once or twice, when a backslash or an encoded slash is
// taken for a slash, or when a parameter (";x") after the dots is dropped.
// CheckPath does not allocate.
func CheckPath(path []byte) error {
	if len(path) == 0 || path[0] != '/' {
		return errPathStart
	}
	escaped := false
	for i, c := range path {
		switch {
		case c <= ' ' || c == 0x7f || c == '?' || c == '#' || c == '\\':
			return errPathCharacter
		case c == '%':
			escaped = true
			if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
				return errPathEscape
			}
		}
	}
	if hasDotSegment(path, 0) {
		return errPathDots
	}
	// Slow path.
	if escaped && (hasDotSegment(path, 1) || hasDotSegment(path, 2)) {
		return errPathDots
	}
	return nil
}

// CheckQuery checks a raw query, without the question mark. It refuses bytes
// that would end the request target or that no server expects there.
func CheckQuery(query []byte) error {
	for _, c := range query {
		if c <= ' ' || c == 0x7f || c == '#' {
			return errQuery
		}
	}
	return nil
}

// AppendTarget appends the upstream's request target to dst: the base path, the
// group's path, the client's path as it was sent and, unless it is empty, the
// query. CheckPath and CheckQuery must have passed the latter two.
func AppendTarget(dst []byte, b *Base, g *Group, path, query []byte) []byte {
	dst = append(dst, b.Path...)
	dst = append(dst, g.Path...)
	dst = append(dst, path...)
	if len(query) > 0 {
		dst = append(dst, '?')
		dst = append(dst, query...)
	}
	return dst
}

// hasDotSegment reports whether the path, percent-decoded rounds times, has a
// segment that is "." or "..", alone or followed by ";".
func hasDotSegment(path []byte, rounds int) bool {
	dots, plain := 0, false
	for i := 0; i < len(path); {
		var c byte
		c, i = decodedByte(path, i, rounds)
		switch {
		case c == '/' || c == '\\':
			if dots > 0 && !plain {
				return true
			}
			dots, plain = 0, false
		case plain:
		case c == ';' && dots > 0:
			return true
		case c == '.' && dots < 2:
			dots++
		default:
			plain = true
		}
	}
	return dots > 0 && !plain
}
