package stream

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// AppendJSONString appends s to dst as a JSON string with its quotes
// (RFC 8259 section 7). Bytes that are not UTF-8 become U+FFFD. Beyond what
// JSON asks for it escapes U+0085, U+2028 and U+2029, at which some clients'
// line splitters break, and DEL.
func AppendJSONString(dst []byte, s []byte) []byte {
	dst = append(dst, '"')
	dst = appendEscaped(dst, s)
	return append(dst, '"')
}

func appendEscaped(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < 0x7f {
			dst = append(dst, c)
			i++
			continue
		}
		if c < utf8.RuneSelf {
			dst = appendEscapedByte(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(dst, "\uFFFD"...)
		case r == 0x85 || r == 0x2028 || r == 0x2029:
			dst = appendUnicodeEscape(dst, uint16(r))
		default:
			dst = append(dst, s[i:i+n]...)
		}
		i += n
	}
	return dst
}

func appendEscapedByte(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return appendUnicodeEscape(dst, uint16(c))
}

func appendUnicodeEscape(dst []byte, u uint16) []byte {
	return append(dst, '\\', 'u', hexDigits[u>>12], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}

// AppendUnescaped appends the text that the inside of a JSON string stands
// for. A surrogate without its pair, an escape that JSON does not know and a
// byte that is not UTF-8 become U+FFFD, so the result is always UTF-8.
func AppendUnescaped(dst, inside []byte) []byte {
	for len(inside) > 0 {
		n := bytes.IndexByte(inside, '\\')
		if n < 0 {
			return appendValidUTF8(dst, inside)
		}
		dst = appendValidUTF8(dst, inside[:n])
		r, used := unescape(inside[n:])
		dst = utf8.AppendRune(dst, r)
		inside = inside[n+used:]
	}
	return dst
}

func appendValidUTF8(dst, s []byte) []byte {
	// Fast path.
	if utf8.Valid(s) {
		return append(dst, s...)
	}
	// Slow path.
	for _, r := range string(s) {
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// unescape reads the escape at the start of b, which begins with a backslash,
// and returns its rune and its length.
func unescape(b []byte) (r rune, n int) {
	if len(b) < 2 {
		return utf8.RuneError, len(b)
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		return unescapeUnicode(b)
	}
	return utf8.RuneError, 2
}

func unescapeUnicode(b []byte) (r rune, n int) {
	hi, ok := hex4(b)
	if !ok {
		return utf8.RuneError, 2
	}
	if !utf16.IsSurrogate(hi) {
		return hi, 6
	}
	if lo, ok := hex4(b[6:]); ok {
		if r := utf16.DecodeRune(hi, lo); r != utf8.RuneError {
			return r, 12
		}
	}
	return utf8.RuneError, 6
}

// hex4 reads \uXXXX at the start of b.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// appendReescaped appends the inside of a JSON string as a strict parser
// takes it: what needs no change is copied, and anything that JSON, UTF-8 or
// UTF-16 forbids is replaced as AppendUnescaped replaces it.
func appendReescaped(dst, inside []byte) []byte {
	for len(inside) > 0 {
		n := bytes.IndexByte(inside, '\\')
		if n < 0 {
			n = len(inside)
		}
		dst = appendEscaped(dst, inside[:n])
		inside = inside[n:]
		if len(inside) == 0 {
			break
		}
		r, used := unescape(inside)
		if r == utf8.RuneError && !bytes.EqualFold(inside[:min(used, len(inside))], []byte(`\ufffd`)) {
			dst = append(dst, "\uFFFD"...)
		} else {
			dst = append(dst, inside[:used]...)
		}
		inside = inside[used:]
	}
	return dst
}
