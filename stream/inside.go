package stream

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// The lowest bit of each of eight bytes that are looked at together, and the highest.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// insideEnd returns the offset of the quote that ends the string whose inside
// begins at i, or bad when there is none, when JSON does not allow what is
// inside, or when that cannot be passed on as it is, see isSafe. It looks at
// eight bytes at a time, and at none twice.
func insideEnd(b []byte, i int) int {
	const (
		quotes  = '"' * ones
		escapes = '\\' * ones
	)
	start, above := i, uint64(0)
	for {
		for len(b)-i >= 8 {
			x := binary.LittleEndian.Uint64(b[i:])
			quote, escape := x^quotes, x^escapes
			// The high bit of each byte that is a quote, a backslash or below a
			// space. A borrow only comes out of such a byte, so that the lowest is
			// right.
			stop := ((quote-ones)&^quote | (escape-ones)&^escape | (x-' '*ones)&^x) & highs
			above |= x
			if stop != 0 {
				i += bits.TrailingZeros64(stop) / 8
				break
			}
			i += 8
		}
		for len(b)-i < 8 && i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
			above |= uint64(b[i])
			i++
		}
		switch {
		case i == len(b) || b[i] < ' ':
			return bad
		case b[i] == '\\':
			n := escapeEnd(b[i:])
			if n == bad {
				return bad
			}
			i += n
		case above&highs != 0 && breaksLines(b[start:i]):
			return bad
		default:
			return i
		}
	}
}

// escapeEnd returns the length of the escape at the front of b, or bad.
func escapeEnd(b []byte) int {
	if len(b) < 2 {
		return bad
	}
	switch escapeLens[b[1]] {
	case 2:
		return 2
	case 6:
		if _, ok := hex4(b); ok {
			return 6
		}
	}
	return bad
}

// escapeLens are the lengths of escapes by the byte behind the backslash, 0 of none:
// in a text the bytes follow each other as they like, and a branch for each would
// be guessed wrong.
var escapeLens = [256]uint8{'"': 2, '\\': 2, '/': 2, 'b': 2, 'f': 2, 'n': 2, 'r': 2, 't': 2, 'u': 6}

// indexNear is bytes.IndexByte, made for a c that is among the next eight bytes: JSON
// in a text has escapes that near.
func indexNear(b []byte, c byte) int {
	if len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b) ^ uint64(c)*ones
		if hit := (x - ones) &^ x & highs; hit != 0 {
			return bits.TrailingZeros64(hit) / 8
		}
	}
	return bytes.IndexByte(b, c)
}

// breaksLines tells whether b holds a character beyond ASCII at which a line
// splitter of some client breaks.
func breaksLines(b []byte) bool {
	return bytes.Contains(b, lineSeps) || bytes.Contains(b, paraSeps) || bytes.Contains(b, nextLine)
}
