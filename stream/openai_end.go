package stream

import "strconv"

// openAIDone is the payload after the last event of an OpenAI-compatible
// stream.
const openAIDone = "[DONE]"

// openAIState is what a Splice knows of an OpenAI-compatible answer only.
type openAIState struct {
	created []byte // raw, of the first attempt that delivered one
	role    bool   // the role was delivered
	calls   openAICalls
	done    bool // [DONE] was written, or is not to be
	apart   bool // see UsageApart
	counted bool // the client has had usage with the finish, or behind it
	tagged  bool // the client has the tag that a thought begins with, and not that with which it ends
}

func (o *openAIState) reset() {
	o.calls.reset()
	*o = openAIState{created: o.created[:0], calls: o.calls}
}

// takeDone takes [DONE], or what follows it. It ends the answer only if its
// finish has come; the end of the body is then still awaited.
func (s *Splice) takeDone(dst []byte) ([]byte, Verdict) {
	switch {
	case s.openAI.done:
		return dst, More
	case s.Finished():
		return s.AppendEnd(dst), More
	}
	return s.End(dst, Event{}, false)
}

// noteOpenAI records of an event that was delivered what only
// OpenAI-compatible answers have.
func (s *Splice) noteOpenAI() {
	c := &s.chunk
	if len(s.openAI.created) == 0 {
		s.openAI.created = append(s.openAI.created, c.openAI.created.of(c.payload)...)
	}
	s.openAI.role = s.openAI.role || c.openAI.role
	switch {
	case c.Kinds&Text != 0 || c.Kinds&Answer != 0 && s.attempt.spliced || c.openAI.closes && !s.attempt.mute:
		s.openAI.tagged = false
	case c.openAI.opens && !s.attempt.mute:
		s.openAI.tagged = true
	}
	counts := c.Usage.known && s.Finished()
	// What comes behind a finish may have another one.
	s.openAI.counted = counts || s.openAI.counted && c.Kinds&Answer == 0 && c.Finish == nil
	if c.openAI.calls.present() {
		s.openAI.calls.take(c.openAI.calls.of(c.payload))
		s.openCall = s.openAI.calls.open()
	}
}

// UsageApart says that the client of an OpenAI-compatible stream asked for
// usage in a chunk of its own, after the finish. Reset forgets it.
func (s *Splice) UsageApart() { s.openAI.apart = true }

// appendFinishOpenAI is AppendFinish for an OpenAI-compatible stream. Where
// the client asked for usage, it has a chunk of its own, after the finish.
func (s *Splice) appendFinishOpenAI(dst []byte, reason string) []byte {
	u := s.attempt.usage
	p := append([]byte(nil), `{"choices":[{"delta":{},"finish_reason":"`...)
	p = append(p, s.openAI.finish(reason, s.delivered&Call != 0)...)
	p = append(p, `","index":0}]`...)
	p = s.appendIdentityOpenAI(p)
	if !s.tally.named(u) {
		return s.form.append(dst, append(p, '}'))
	}
	if s.openAI.apart {
		return s.appendUsageApart(s.form.append(dst, append(p, '}')))
	}
	p = s.tally.appendOpenAI(append(p, `,"usage":`...), &Chunk{}, u)
	return s.form.append(dst, append(p, '}'))
}

// finish is the finish_reason for an answer that is ended here.
func (o *openAIState) finish(reason string, calls bool) string {
	switch {
	case reason == "MAX_TOKENS":
		return "length"
	case calls && o.calls.legacy:
		return "function_call"
	case calls:
		return "tool_calls"
	}
	return "stop"
}

// appendUsageApart appends the chunk with the usage of the whole answer, as far as
// the attempts have named it, for a client that asked for one and has had none. It
// is for an answer whose end was cut off behind its finish: what the upstream has
// ended itself is left as it is. Where nothing was named there is no such chunk, as
// is said of a stream that is interrupted
// (https://platform.openai.com/docs/api-reference/chat/create#chat_create-stream_options).
func (s *Splice) appendUsageApart(dst []byte) []byte {
	o := &s.openAI
	if !o.apart || o.counted || o.done || s.form.Framing != Lines || !s.tally.named(s.attempt.usage) {
		return dst
	}
	o.counted = true
	p := s.appendIdentityOpenAI([]byte(`{"choices":[]`))
	p = s.tally.appendOpenAI(append(p, `,"usage":`...), &Chunk{}, s.attempt.usage)
	return s.form.append(dst, append(p, '}'))
}

// appendIdentityOpenAI appends the members that all chunks of an answer have
// in common.
func (s *Splice) appendIdentityOpenAI(dst []byte) []byte {
	if len(s.openAI.created) > 0 {
		dst = append(append(dst, `,"created":`...), s.openAI.created...)
	}
	if len(s.responseID) > 0 {
		dst = append(append(dst, `,"id":`...), s.responseID...)
	}
	if len(s.version) > 0 {
		dst = append(append(dst, `,"model":`...), s.version...)
	}
	return append(dst, `,"object":"chat.completion.chunk"`...)
}

// appendFailureOpenAI is AppendFailure for an OpenAI-compatible stream: its
// clients raise any chunk that has an error, and show type and code as well.
func appendFailureOpenAI(dst []byte, code int, status, message string) []byte {
	dst = append(dst, `{"error":{"message":`...)
	dst = AppendJSONString(dst, []byte(message))
	dst = append(dst, `,"type":"server_error","param":null,"code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"status":`...)
	dst = AppendJSONString(dst, []byte(status))
	return append(dst, "}}"...)
}
