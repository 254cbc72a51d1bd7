package stream

// AppendHeld appends the events that are held, as they came, and tells
// whether there were any.
func (s *Splice) AppendHeld(dst []byte) (out []byte, ok bool) {
	n := len(dst)
	return s.opened(append(dst, s.held...), n), len(s.held) > 0
}

// AppendFinish appends the final event of an answer that is complete although
// no attempt said so: its output budget is used up (MAX_TOKENS), a stop
// sequence was reached across a seam, or it ended in a function call that has
// come whole (STOP). It is what the model itself would have sent next.
func (s *Splice) AppendFinish(dst []byte, reason string) []byte {
	if s.form.Dialect == OpenAI {
		return s.appendFinishOpenAI(dst, reason)
	}
	var p []byte
	if s.form.Dialect == Wrapped {
		p = append(p, `{"response": `...)
	}
	p = append(append(p, `{"candidates": [{"content": {"parts": [`...), s.nothing()...)
	p = append(append(p, `],"role": "model"},"finishReason": "`...), reason...)
	p = append(p, `","index": 0}]`...)
	if u := s.attempt.usage; s.tally.named(u) {
		p = s.tally.appendUsage(append(p, `,"usageMetadata": `...), &Chunk{}, u)
	}
	if len(s.version) > 0 {
		p = append(append(p, `,"modelVersion": `...), s.version...)
	}
	if len(s.responseID) > 0 {
		p = append(append(p, `,"responseId": `...), s.responseID...)
	}
	if p = append(p, '}'); s.form.Dialect == Wrapped {
		p = append(p, '}')
	}
	n := len(dst)
	return s.opened(s.form.append(dst, p), n)
}

// DropsEmptyText says that the client keeps no answer in its history that has an
// empty text. Where nothing is left of an event it is then given no part; others
// drop an answer that has such an event.
func (s *Splice) DropsEmptyText() { s.emptyDrops = true }

// nothing returns the parts of an event of which nothing is left.
func (s *Splice) nothing() string {
	if s.emptyDrops {
		return ""
	}
	return `{"text": ""}`
}
