package stream

// AppendHeld appends the events that are held, as they came, and tells
// whether there were any.
func (s *Splice) AppendHeld(dst []byte) (out []byte, ok bool) {
	return append(dst, s.held...), len(s.held) > 0
}

// AppendMaxTokens appends the final event of an answer whose output budget is
// used up: what the model itself would have sent next.
func (s *Splice) AppendMaxTokens(dst []byte) []byte {
	p := []byte(`{"candidates": [{"content": {"parts": [{"text": ""}],"role": "model"},"finishReason": "MAX_TOKENS","index": 0}],"usageMetadata": `)
	p = s.tally.appendUsage(p, &Chunk{}, s.attempt.usage)
	if len(s.version) > 0 {
		p = append(append(p, `,"modelVersion": `...), s.version...)
	}
	if len(s.responseID) > 0 {
		p = append(append(p, `,"responseId": `...), s.responseID...)
	}
	return AppendEvent(dst, append(p, '}'))
}
