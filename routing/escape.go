package routing

import "bytes"

// decodedByte returns the byte at p[i:] after percent-decoding p rounds times,
// and the position behind it. Each round reads through the one before, so that
// nothing has to be stored. A percent sign without two digits stays as it is.
func decodedByte(p []byte, i, rounds int) (c byte, next int) {
	if rounds == 0 {
		return p[i], i + 1
	}
	c, next = decodedByte(p, i, rounds-1)
	if c != '%' || next >= len(p) {
		return c, next
	}
	high, after := decodedByte(p, next, rounds-1)
	if !isHex(high) || after >= len(p) {
		return c, next
	}
	low, end := decodedByte(p, after, rounds-1)
	if !isHex(low) {
		return c, next
	}
	return unhex(high)<<4 | unhex(low), end
}

// appendDecoded appends p, percent-decoded once, to dst.
func appendDecoded(dst, p []byte) []byte {
	if bytes.IndexByte(p, '%') < 0 {
		return append(dst, p...)
	}
	for i := 0; i < len(p); {
		var c byte
		c, i = decodedByte(p, i, 1)
		dst = append(dst, c)
	}
	return dst
}

// decodesTo reports whether p, percent-decoded once, is s.
func decodesTo(p []byte, s string) bool {
	n := 0
	for i := 0; i < len(p); n++ {
		var c byte
		c, i = decodedByte(p, i, 1)
		if n >= len(s) || s[n] != c {
			return false
		}
	}
	return n == len(s)
}

// PlainPath returns a path with the unreserved characters decoded that it has
// percent-encoded: whoever reads it takes both for the same (RFC 3986 6.2.2.2).
// It is path itself when there are none. Everything else stays as it is.
func PlainPath(path []byte) []byte {
	for i, c := range path {
		if c == '%' && plainLen(path[i:]) > 1 {
			return appendPlain(nil, path)
		}
	}
	return path
}

func appendPlain(dst, path []byte) []byte {
	for i := 0; i < len(path); {
		n := plainLen(path[i:])
		if n > 1 {
			dst = append(dst, unhex(path[i+1])<<4|unhex(path[i+2]))
		} else {
			dst = append(dst, path[i])
		}
		i += n
	}
	return dst
}

// writtenLen returns how many bytes of path stand for the first n of its
// PlainPath.
func writtenLen(path []byte, n int) (written int) {
	for ; n > 0; n-- {
		written += plainLen(path[written:])
	}
	return written
}

// plainLen returns how many bytes at the beginning of p stand for one of its
// PlainPath: three for an unreserved character that is percent-encoded.
func plainLen(p []byte) int {
	const escape = 3
	if len(p) >= escape && p[0] == '%' && isHex(p[1]) && isHex(p[2]) && isUnreserved(unhex(p[1])<<4|unhex(p[2])) {
		return escape
	}
	return 1
}

// isUnreserved tells whether c means the same percent-encoded or not (RFC 3986
// 2.3).
func isUnreserved(c byte) bool {
	return isAlphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~'
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
