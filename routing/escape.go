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

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
