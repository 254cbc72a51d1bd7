package routing

import "bytes"

const (
	streamParameter = "stream"
	lastParameter   = "last_event_id"
)

// AppendResume appends the upstream's request target that asks for the rest of
// an interaction's stream, behind the event last. target is that of the
// request that began it; id is the interaction that target does not name, nil
// when it does. Other parameters stay as they are.
func AppendResume(dst, target, id, last []byte) []byte {
	path, query, _ := bytes.Cut(target, []byte("?"))
	dst = append(dst, path...)
	if len(id) > 0 {
		dst = appendEncoded(append(dst, '/'), id)
	}
	dst = append(dst, '?')
	for tail := query; len(tail) > 0; {
		var part []byte
		part, tail = cutPart(tail)
		if name, _ := cutValue(part); !decodesTo(name, streamParameter) && !decodesTo(name, lastParameter) {
			dst = append(append(dst, part...), '&')
		}
	}
	dst = append(dst, streamParameter+"=true&"+lastParameter+"="...)
	return appendEncoded(dst, last)
}

// LastEvent returns the event behind which a client itself asks for the rest,
// nil when it asks for all.
func LastEvent(query []byte) []byte {
	value, _ := QueryValue(query, lastParameter)
	return appendDecoded(nil, value)
}

// appendEncoded appends p with everything but unreserved characters
// percent-encoded (RFC 3986 2.3).
func appendEncoded(dst, p []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range p {
		if isUnreserved(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}
