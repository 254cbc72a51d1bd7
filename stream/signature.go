package stream

import "bytes"

// neutralSignature stands for a thought signature that an upstream did not make
// itself. The API takes it in place of any
// (https://ai.google.dev/gemini-api/docs/thought-signatures).
const neutralSignature = `"skip_thought_signature_validator"`

// signatureNames are the names of the member, in both spellings that the API
// takes.
var signatureNames = [...][]byte{[]byte(`"thoughtSignature"`), []byte(`"thought_signature"`)}

// AppendWithoutSignatures appends a request body to dst in which every thought
// signature is replaced by one that says that there is none. Signatures are bound
// to the upstream that made them: another one answers 400 to them, and to calls
// of functions that have none. All other bytes stay as they are; a body that is
// no JSON stays whole.
//
// A text that looks like the member is inside a string, where its quotes are
// escaped, so that looking for the member's bytes cannot find it.
func AppendWithoutSignatures(dst, body []byte) []byte {
	for {
		i, name := nextSignature(body)
		if i < 0 {
			return append(dst, body...)
		}
		at := i + len(name)
		dst = append(dst, body[:at]...)
		body = body[at:]
		v := skipSpace(body, 0)
		if v >= len(body) || body[v] != ':' {
			continue
		}
		v = skipSpace(body, v+1)
		end := skipString(body, v)
		if end == bad {
			continue
		}
		dst = append(dst, body[:v]...)
		dst = append(dst, neutralSignature...)
		body = body[end:]
	}
}

// nextSignature returns where the first member of a signature's name begins.
func nextSignature(body []byte) (at int, name []byte) {
	at = -1
	for _, n := range signatureNames {
		if i := bytes.Index(body, n); i >= 0 && (at < 0 || i < at) {
			at, name = i, n
		}
	}
	return at, name
}
