package stream

import "bytes"

// Framing is how the events of an answer are set apart.
type Framing uint8

const (
	// SSE: server-sent events, each "data: ", one line of JSON, CR LF CR LF.
	SSE Framing = iota
	// Array: the elements of one JSON array, as streamGenerateContent writes
	// them without alt=sse.
	Array
	// Document: one JSON text, as generateContent answers. A Splice writes SSE
	// events for it, which a Folder makes one of.
	Document
	// Lines: server-sent events as OpenAI-compatible endpoints write them, each
	// "data: ", one line of JSON, LF LF, and [DONE] after the last.
	Lines
)

// Dialect is what the payload of an event looks like.
type Dialect uint8

const (
	// Native: a GenerateContentResponse.
	Native Dialect = iota
	// Wrapped: a GenerateContentResponse as the member "response" of an
	// object, as the v1internal endpoint sends it.
	Wrapped
	// OpenAI: a chat.completion.chunk.
	OpenAI
)

// Form is the form of an answer, and of the request that asks for it: one for
// each surface of the API. The zero value is the native stream of events.
type Form struct {
	Framing Framing
	Dialect Dialect
}

// between stands between two elements of an array, as the API writes it.
const between = ",\r\n"

// eventEnd is what ends an event, nil where events are elements of an array.
func (f Framing) eventEnd() []byte {
	switch f {
	case SSE, Document:
		return eventEnd
	case Lines:
		return linesEnd
	}
	return nil
}

// append appends payload as an event that follows another.
func (f Form) append(dst, payload []byte) []byte {
	// Fast path.
	if end := f.Framing.eventEnd(); end != nil {
		return appendFramed(dst, payload, end)
	}
	dst = append(dst, between...)
	return append(appendElement(dst, payload), '\n')
}

// appendSafe is append for a payload of which isSafe is known.
func (f Form) appendSafe(dst, payload []byte) []byte {
	if end := f.Framing.eventEnd(); end != nil {
		dst = append(append(dst, dataField...), payload...)
		return append(dst, end...)
	}
	dst = append(append(dst, between...), payload...)
	return append(dst, '\n')
}

// AppendErrorBody appends the body of an answer that is an error and nothing
// else. text is the error object, or an array of it; where an array was asked
// for, the API makes it the only element of one, and many clients that asked
// for none read nothing in an array.
func (f Framing) AppendErrorBody(dst, text []byte) []byte {
	inArray := bytes.HasPrefix(text, []byte{'['})
	switch {
	case f == Array && !inArray:
		dst = append(dst, '[')
		dst = append(dst, bytes.TrimRight(text, "\r\n")...)
		return append(dst, "\n]"...)
	case f != Array && inArray:
		text = onlyError(text)
	}
	return append(dst, text...)
}

// onlyError returns the error object that is the only element of the array
// text, and text itself when that is no such thing.
func onlyError(text []byte) []byte {
	if _, ok := ParseFailure(text); !ok {
		return text
	}
	inner := bytes.TrimPrefix(bytes.TrimSpace(text), []byte{'['})
	return bytes.TrimSpace(bytes.TrimSuffix(inner, []byte{']'}))
}

// opened makes the event at dst[n:], if there is one, the first of the answer
// unless there was one before it. Everything that goes to the client passes
// through it.
func (s *Splice) opened(dst []byte, n int) []byte {
	if s.form.Framing != Array || s.open || len(dst) == n {
		return dst
	}
	s.open = true
	dst[n] = '['
	return append(dst[:n+1], dst[n+len(between):]...)
}

// AppendEnd appends what ends an answer of which something was delivered,
// after its last event.
func (s *Splice) AppendEnd(dst []byte) []byte {
	switch {
	case s.form.Framing == Array && s.open:
		s.open = false
		return append(dst, ']')
	case s.form.Framing == Lines && !s.openAI.done:
		s.openAI.done = true
		return appendFramed(dst, []byte(openAIDone), linesEnd)
	}
	return dst
}

// AppendFailure appends an error object as the clients of the form expect it.
func (s *Splice) AppendFailure(dst []byte, code int, status, message string) []byte {
	if s.form.Dialect == OpenAI {
		return appendFailureOpenAI(dst, code, status, message)
	}
	return AppendFailure(dst, code, status, message)
}

// AppendError appends text, an error object as AppendFailure writes it, as an
// event. The API wraps an error in nothing but the framing.
func (s *Splice) AppendError(dst, text []byte) []byte {
	// After an error there is no [DONE].
	s.openAI.done = true
	n := len(dst)
	return s.opened(s.form.append(dst, text), n)
}

// AppendEcho appends what follows the end of an answer that ended with the
// error text, in a write of its own some time after it: some clients of event
// streams see the error only when it comes bare. An array is over at its end.
func (s *Splice) AppendEcho(dst, text []byte) []byte {
	if s.form.Framing == SSE {
		dst = append(dst, text...)
	}
	return dst
}
