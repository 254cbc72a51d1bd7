package routing

import "bytes"

// What the path of a request for one document, and for a stream, ends in. The
// colon before it may be encoded, and any of its letters.
var (
	unaryAction  = []byte("generateContent")
	streamAction = []byte("streamGenerateContent")
)

// AppendStreaming appends the target that asks for the answer of target, whose
// path ends in "generateContent", as a stream of server-sent events. The rest
// of the query stays as it is.
func AppendStreaming(dst, target []byte) []byte {
	path, query, _ := bytes.Cut(target, []byte("?"))
	action := len(PlainPath(path)) - len(unaryAction)
	dst = append(dst, path[:writtenLen(path, action)]...)
	dst = append(dst, streamAction...)
	dst = append(dst, "?alt=sse"...)
	for tail := query; len(tail) > 0; {
		var part []byte
		part, tail = cutPart(tail)
		if name, _ := cutValue(part); !isFormat(name) {
			dst = append(append(dst, '&'), part...)
		}
	}
	return dst
}

// isFormat tells whether a parameter says in which form the answer is wanted
// (https://cloud.google.com/apis/docs/system-parameters).
func isFormat(name []byte) bool { return decodesTo(name, "alt") || decodesTo(name, "$alt") }

// WantsPlainJSON reports whether a raw query leaves the answer in the form that
// it has by default, JSON. It does not allocate.
func WantsPlainJSON(raw []byte) bool {
	for tail := raw; tail != nil; {
		var part []byte
		part, tail = cutPart(tail)
		if name, value := cutValue(part); isFormat(name) && !saysJSON(value) {
			return false
		}
	}
	return true
}

// Reshapes reports whether a raw query asks for an answer that lacks fields, or
// is wrapped into a call of a function: what such an answer says does not tell
// whether it is whole. It does not allocate.
func Reshapes(raw []byte) bool {
	for tail := raw; tail != nil; {
		var part []byte
		part, tail = cutPart(tail)
		switch name, _ := cutValue(part); {
		case decodesTo(name, "fields"), decodesTo(name, "$fields"), decodesTo(name, "callback"), decodesTo(name, "$callback"):
			return true
		}
	}
	return false
}

// saysJSON tells whether the value of a format is JSON, with whatever follows
// behind a semicolon.
func saysJSON(value []byte) bool {
	value, _, _ = bytes.Cut(value, []byte(";"))
	return decodesTo(value, "json")
}
