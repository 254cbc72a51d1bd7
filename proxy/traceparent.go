package proxy

import (
	"bytes"
	"encoding/hex"
)

const (
	// traceparentSize is the length of a traceparent of version 00. Those of
	// later versions begin with the same fields.
	traceparentSize = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	// maxStateMembers and maxStateBytes bound a tracestate that is passed on.
	maxStateMembers = 32
	maxStateBytes   = 512
)

const (
	flagSampled = 1
	// flagRandom says that the trace's identity was drawn at random; together
	// with flagSampled it is all that is known of the flags.
	flagRandom = 2
)

// parent is what a traceparent says: the span that the request is part of. It
// is a value, and aliases nothing.
type parent struct {
	trace [16]byte
	span  [8]byte
	flags byte
}

// parseTraceparent reads a traceparent (https://www.w3.org/TR/trace-context-2/#traceparent-header).
// Of a version above 00 the fields that are known are taken, as that page asks
// for, and its flags but for those are dropped. It is false for anything that is
// not exactly of the form.
func parseTraceparent(b []byte) (p parent, ok bool) {
	if len(b) < traceparentSize || b[2] != '-' || b[35] != '-' || b[52] != '-' {
		return p, false
	}
	var version, flags [1]byte
	if !decodeHex(version[:], b[:2]) || !decodeHex(p.trace[:], b[3:35]) ||
		!decodeHex(p.span[:], b[36:52]) || !decodeHex(flags[:], b[53:55]) {
		return parent{}, false
	}
	switch {
	case version[0] == 0xff, p.trace == [16]byte{}, p.span == [8]byte{}:
		return parent{}, false
	case len(b) > traceparentSize && (version[0] == 0 || b[traceparentSize] != '-'):
		return parent{}, false
	}
	p.flags = flags[0] & (flagSampled | flagRandom)
	return p, true
}

// decodeHex decodes src, whose letters must be small, into dst, half as long.
func decodeHex(dst, src []byte) bool {
	for _, c := range src {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	_, err := hex.Decode(dst, src)
	return err == nil
}

// appendTraceparent appends a traceparent of version 00.
func appendTraceparent(dst []byte, trace [16]byte, span [8]byte, flags byte) []byte {
	dst = append(dst, "00-"...)
	dst = hex.AppendEncode(dst, trace[:])
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, span[:])
	dst = append(dst, '-')
	return hex.AppendEncode(dst, []byte{flags})
}

// isTraceField tells whether a header field is one that says which trace the
// request is part of.
func isTraceField(name []byte) bool {
	switch len(name) {
	case len("traceparent"):
		return bytes.EqualFold(name, []byte("traceparent"))
	case len("tracestate"):
		return bytes.EqualFold(name, []byte("tracestate"))
	}
	return false
}

// clientTrace returns the parent that the client names. Several traceparents
// are as good as none.
func clientTrace(fields []field) (p parent, ok bool) {
	seen := false
	for _, f := range fields {
		if len(f.name) != len("traceparent") || !isTraceField(f.name) {
			continue
		}
		if seen {
			return parent{}, false
		}
		seen = true
		p, ok = parseTraceparent(f.value)
	}
	return p, ok
}

// appendTracestate appends the tracestate of a request, its fields joined by
// commas (https://www.w3.org/TR/trace-context-2/#tracestate-header). One that is
// not of the form, or has more than maxStateMembers members, is dropped as a
// whole. Where it is longer than maxStateBytes, members of more than 128 bytes
// go first, then those at the end: they are the oldest.
func appendTracestate(dst []byte, fields []field) []byte {
	var all [maxStateMembers][]byte
	members, size := all[:0], 0
	for _, f := range fields {
		if len(f.name) != len("tracestate") || !isTraceField(f.name) {
			continue
		}
		for m := range bytes.SplitSeq(f.value, []byte(",")) {
			if m = bytes.Trim(m, " \t"); len(m) == 0 {
				continue
			}
			if !isStateMember(m) || len(members) == maxStateMembers || namesMember(members, m) {
				return dst
			}
			members = append(members, m)
			size += len(m) + 1
		}
	}
	if size-1 > maxStateBytes {
		members = shorten(members)
	}
	for i, m := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, m...)
	}
	return dst
}

// shorten drops members until the rest fits.
func shorten(members [][]byte) [][]byte {
	size := -1
	for _, m := range members {
		size += len(m) + 1
	}
	for i := len(members) - 1; i >= 0 && size > maxStateBytes; i-- {
		if len(members[i]) > 128 {
			size -= len(members[i]) + 1
			members = append(members[:i], members[i+1:]...)
		}
	}
	for size > maxStateBytes {
		size -= len(members[len(members)-1]) + 1
		members = members[:len(members)-1]
	}
	return members
}

// namesMember tells whether there is a member of m's key among members.
func namesMember(members [][]byte, m []byte) bool {
	key, _, _ := bytes.Cut(m, []byte("="))
	for _, other := range members {
		if k, _, _ := bytes.Cut(other, []byte("=")); bytes.Equal(k, key) {
			return true
		}
	}
	return false
}

// isStateMember tells whether m is key=value as a tracestate has it.
func isStateMember(m []byte) bool {
	key, value, ok := bytes.Cut(m, []byte("="))
	if !ok || len(key) == 0 || len(key) > 256 || len(value) == 0 || len(value) > 256 {
		return false
	}
	for i, c := range key {
		small := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !small && (i == 0 || c != '_' && c != '-' && c != '*' && c != '/' && c != '@') {
			return false
		}
	}
	for _, c := range value {
		if c < ' ' || c > '~' || c == ',' || c == '=' {
			return false
		}
	}
	return value[len(value)-1] != ' '
}
