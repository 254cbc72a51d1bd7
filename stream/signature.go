package stream

import "bytes"

// neutralSignature stands for a thought signature that an upstream did not make
// itself. The API takes it in place of any
// (https://ai.google.dev/gemini-api/docs/thought-signatures).
const neutralSignature = `"skip_thought_signature_validator"`

// bound is a member whose value only the upstream understands that made it, in
// both spellings that the API takes. It is looked for by what ends its name,
// which is the same in both, so that a body is gone through once.
type bound struct {
	heads [2]string
	tail  string
}

var (
	signatures = bound{[2]string{`"thoughtS`, `"thought_s`}, `ignature"`}
	tokens     = bound{[2]string{`"continuationT`, `"continuation_t`}, `oken"`}
)

// next returns the range of the next value of the member that is a string,
// quotes included, in body[from:]. to is 0 when there is none.
//
// A text that looks like the member is inside a string, where its quotes are
// escaped, so that looking for the member's bytes cannot find it.
func (m *bound) next(body []byte, from int) (v span) {
	for {
		at := m.value(body, from)
		if at == bad {
			return span{}
		}
		if end := skipString(body, at); end != bad {
			return span{at, end}
		}
		from = at
	}
}

// value returns where the next value of the member begins, of whatever type, in
// body[from:]; bad when there is none.
func (m *bound) value(body []byte, from int) int {
	for {
		i := bytes.Index(body[from:], []byte(m.tail))
		if i < 0 {
			return bad
		}
		i += from
		from = i + len(m.tail)
		if !bytes.HasSuffix(body[:i], []byte(m.heads[0])) && !bytes.HasSuffix(body[:i], []byte(m.heads[1])) {
			continue
		}
		if colon := skipSpace(body, from); colon < len(body) && body[colon] == ':' {
			return skipSpace(body, colon+1)
		}
	}
}

// each calls f with all values of the member, unescaped. They are f's for the
// time of the call.
func (m *bound) each(body []byte, f func(value []byte)) {
	for v := m.next(body, 0); v.to != 0; v = m.next(body, v.to) {
		f(plainString(body, v))
	}
}

// plainString returns what a string says. It aliases body where it can.
func plainString(body []byte, v span) []byte {
	inside := body[v.from+1 : v.to-1]
	if bytes.IndexByte(inside, '\\') >= 0 {
		return AppendUnescaped(nil, inside)
	}
	return inside
}

// EachSignature calls f with every thought signature in body, a request or an
// event, in their order. EachToken does the same with the tokens of long decodes.
// The values are f's for the time of the call.
func EachSignature(body []byte, f func(value []byte)) { signatures.each(body, f) }

// EachToken is described at EachSignature.
func EachToken(body []byte, f func(value []byte)) { tokens.each(body, f) }

// AppendWithoutSignatures appends a request body to dst in which every thought
// signature that keep does not want is replaced by one that says that there is
// none; a nil keep wants none. Signatures are bound to the upstream that made
// them: another one answers 400 to them, and to calls of functions that have
// none. All other bytes stay as they are; a body that is no JSON stays whole.
func AppendWithoutSignatures(dst, body []byte, keep func(value []byte) bool) []byte {
	done := 0
	for v := signatures.next(body, 0); v.to != 0; v = signatures.next(body, v.to) {
		if keep != nil && keep(plainString(body, v)) {
			continue
		}
		dst = append(dst, body[done:v.from]...)
		dst = append(dst, neutralSignature...)
		done = v.to
	}
	return append(dst, body[done:]...)
}
