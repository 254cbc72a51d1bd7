package stream

// deliver appends the event, unless it is to be the answer as it is, and records it.
func (s *Splice) deliver(dst, text []byte) []byte {
	c, a := &s.chunk, &s.attempt
	n := len(dst)
	if !s.asIs {
		dst = s.opened(s.appendChunk(dst), n)
	}
	if a.finished && c.Kinds&Answer != 0 {
		a.sloppy = true
		a.finished = false
	}
	if c.Finish != nil || c.Blocked {
		a.finished = true
		a.policy = a.policy || c.Blocked || !natural(c.Finish)
	}
	if c.Kinds&Answer != 0 {
		s.held, s.doubt, s.doubts = s.held[:0], s.doubt[:0], 0
	}
	s.transcript.set(text)
	if len(dst) == n && !s.asIs {
		return dst
	}
	s.noteIdentity()
	s.noteDelivered()
	return dst
}

// noteDelivered records what the event, which was appended, holds.
func (s *Splice) noteDelivered() {
	c, a := &s.chunk, &s.attempt
	kinds := c.Kinds
	if a.mute {
		kinds &^= Thought
	}
	if s.join.text && c.Dialect != OpenAI {
		kinds &^= Logprobs
	}
	s.delivered |= kinds
	a.delivered |= kinds
	s.any, a.any = true, true
	switch {
	case kinds&Call != 0:
		s.openCall, s.behindCall = kinds&OpenCall != 0, c.behind
	case kinds&Text != 0:
		s.behindCall = s.delivered&Call != 0
	}
	if c.Dialect == OpenAI {
		s.noteOpenAI()
	}
	if kinds&Token != 0 && !s.hidesToken() {
		s.token = append(s.token[:0], c.token.of(c.payload)...)
		s.tokenAt = s.transcript.Len()
	}
}

func (s *Splice) noteIdentity() {
	c := &s.chunk
	if len(s.responseID) == 0 {
		s.responseID = append(s.responseID, c.responseID.of(c.payload)...)
	}
	if len(s.version) == 0 {
		s.version = append(s.version, c.version.of(c.payload)...)
	}
}
