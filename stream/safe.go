package stream

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Bytes that are legal in UTF-8 JSON, or that lenient parsers let through,
// and at which the line splitters of real clients break: C0 controls, and
// U+0085, U+2028 and U+2029 in their UTF-8 form. TAB breaks none of them, but
// inside a string JSON forbids it.
var (
	nextLine  = []byte("\xc2\x85")
	lineSeps  = []byte("\xe2\x80\xa8")
	paraSeps  = []byte("\xe2\x80\xa9")
	dataField = []byte("data: ")
	eventEnd  = []byte("\r\n\r\n")
	linesEnd  = []byte("\n\n")
)

// isSafe tells whether payload, a JSON text, can be written as one data line
// that every known client reads.
func isSafe(payload []byte) bool {
	if len(payload) > 1 && payload[1] < ' ' {
		return false // set in lines, as the API's documents are
	}
	safe, ascii := plainBytes(payload)
	if !safe || ascii {
		return safe
	}
	// Slow path.
	return !breaksLines(payload)
}

// plainBytes tells whether b has no C0 controls, and whether it is ASCII. It
// looks at eight bytes at a time.
func plainBytes(b []byte) (noControls, ascii bool) {
	var below, above uint64
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		// The high bit of each byte that is below a space. A borrow can only
		// come out of such a byte, so that no other answer is wrong.
		below |= (x - ' '*ones) &^ x
		above |= x
	}
	for _, c := range b {
		below |= (uint64(c) - ' ') &^ uint64(c)
		above |= uint64(c)
	}
	return below&highs == 0, above&highs == 0
}

// AppendEvent appends payload, a JSON text, as one event in the only form
// that every Gemini client takes: "data: ", one line, CR LF CR LF. A payload
// that is safe already is copied to the byte; in any other, line breaks
// between tokens become spaces and characters inside strings at which a
// client would break are escaped, which changes no value.
func AppendEvent(dst, payload []byte) []byte { return appendFramed(dst, payload, eventEnd) }

// appendFramed is AppendEvent with any end of an event.
func appendFramed(dst, payload, end []byte) []byte {
	dst = append(dst, dataField...)
	if isSafe(payload) {
		dst = append(dst, payload...)
	} else {
		dst = appendOneLine(dst, payload)
	}
	return append(dst, end...)
}

// appendElement appends payload, a JSON text, as an element of an array. Line
// breaks may stand in it; inside strings JSON forbids what is escaped here.
func appendElement(dst, payload []byte) []byte {
	if plain, _ := plainBytes(payload); plain {
		return append(dst, payload...)
	}
	// Slow path.
	inString := false
	for i := 0; i < len(payload); i++ {
		n := nextMark(payload, i)
		if dst = append(dst, payload[i:n]...); n == len(payload) {
			break
		}
		i = n
		c := payload[i]
		switch {
		case inString && c == '\\' && i+1 < len(payload) && payload[i+1] >= ' ':
			dst = append(dst, c, payload[i+1])
			i++
		case inString && c == '\\':
			// What JSON knows no escape for loses the backslash only.
		case inString && c < ' ':
			dst = appendEscapedByte(dst, c)
		default:
			if c == '"' {
				inString = !inString
			}
			dst = append(dst, c)
		}
	}
	return dst
}

// mayBreakLines marks what appendOneLine and appendElement must look at.
var mayBreakLines = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	for _, c := range []byte{'"', '\\', nextLine[0], lineSeps[0]} {
		t[c] = true
	}
	return t
}()

// nextMark returns the offset of the first byte from i on that mayBreakLines has, or
// the end. It looks at eight bytes at a time.
func nextMark(b []byte, i int) int {
	for ; len(b)-i >= 8; i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		quote, escape, two, three := x^'"'*ones, x^'\\'*ones, x^0xc2*ones, x^0xe2*ones
		// As in insideEnd, the lowest is right.
		stop := ((quote-ones)&^quote | (escape-ones)&^escape | (two-ones)&^two | (three-ones)&^three | (x-' '*ones)&^x) & highs
		if stop != 0 {
			return i + bits.TrailingZeros64(stop)/8
		}
	}
	for i < len(b) && !mayBreakLines[b[i]] {
		i++
	}
	return i
}

// appendOneLine is the slow path of AppendEvent.
func appendOneLine(dst, payload []byte) []byte {
	inString := false
	for i := 0; i < len(payload); i++ {
		n := nextMark(payload, i)
		if dst = append(dst, payload[i:n]...); n == len(payload) {
			break
		}
		i = n
		c := payload[i]
		rest := payload[i:]
		switch {
		case inString && c == '\\' && i+1 < len(payload):
			// What JSON knows no escape for loses the backslash only.
			if next := payload[i+1]; next >= ' ' && next < utf8.RuneSelf {
				dst = append(dst, c, next)
				i++
			}
		case c == '"':
			inString = !inString
			dst = append(dst, c)
		case c < ' ' && !inString:
			dst = append(dst, ' ')
		case c < ' ':
			dst = appendEscapedByte(dst, c)
		case bytes.HasPrefix(rest, nextLine):
			dst = appendUnicodeEscape(dst, 0x85)
			i++
		case bytes.HasPrefix(rest, lineSeps), bytes.HasPrefix(rest, paraSeps):
			dst = appendUnicodeEscape(dst, 0x2000|uint16(payload[i+2]-0x80))
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
