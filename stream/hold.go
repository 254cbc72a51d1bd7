package stream

// joined takes an event of a continuation whose seam is not settled. text is
// the transcript with the event's text behind it.
func (s *Splice) joined(dst, text []byte) ([]byte, Verdict) {
	j, c := &s.join, &s.chunk
	n := s.transcript.Len()
	raw := text[n:]
	// When the buffer had to grow, it is kept even if the text is not.
	s.transcript.keep(text[:n])
	over := c.Finish != nil || c.Kinds&(Answer&^Text) != 0
	if len(raw) == 0 && len(j.ends) == 0 && !over && c.Kinds&Token == 0 {
		return s.deliver(dst, text), More
	}
	j.queue = append(j.queue, c.payload...)
	j.ends = append(j.ends, len(j.queue))
	j.raw = append(j.raw, raw...)
	whole := j.raw
	if !over {
		whole = whole[:len(whole)-unfinished(whole)]
	}
	j.plain = AppendUnescaped(j.plain[:0], whole)
	return s.decide(dst, over, over)
}

// Settle ends the holding: what has come must do. Text that is a part of the
// repeat that was asked for goes on being held.
func (s *Splice) Settle(dst []byte) ([]byte, Verdict) {
	if !s.Holding() {
		return dst, More
	}
	return s.decide(dst, true, false)
}

// decide settles the seam if it can be. final says that no more text is to be
// waited for, over that no more will come.
func (s *Splice) decide(dst []byte, final, over bool) ([]byte, Verdict) {
	j := &s.join
	switch j.mode {
	case joinSwallow:
		if !over && unfinished(j.raw) > 0 {
			// Half a character is compared with its other half.
			return dst, More
		}
		return s.swallow(dst, 0, over)
	case joinStop:
		return s.settleStop(dst, j.known, final)
	}
	j.m.early = s.endsEarly()
	kind, drop, ok := j.m.match(j.plain, final, over)
	if !ok {
		return dst, More
	}
	if kind == SeamRestart && !over && unfinished(j.raw) > 0 {
		return dst, More
	}
	if j.kind = kind; kind != SeamRestart {
		return s.settleStop(dst, drop, final)
	}
	j.sw.begin(j.whole[j.m.from:], j.m.document)
	j.mode = joinSwallow
	return s.swallow(dst, drop, over)
}

// swallow takes text that repeats what was delivered, from from on.
func (s *Splice) swallow(dst []byte, from int, over bool) ([]byte, Verdict) {
	j := &s.join
	drop, done, same := j.sw.take(j.plain[from:])
	if !same || over && !j.sw.over() && !s.endsEarly() {
		return dst, s.diverged()
	}
	drop += from
	switch {
	case over:
		return s.settle(dst, drop)
	case done:
		return s.settleStop(dst, drop, false)
	}
	j.behind = true
	dst, v := s.settle(dst, drop)
	j.behind = false
	if v == More {
		j.mode = joinSwallow
	}
	return dst, v
}

// endsEarly tells that the event's finish holds although the repeat has not
// come to where the client is: there was no room for more, or it was stopped.
func (s *Splice) endsEarly() bool {
	f := s.chunk.Finish
	return f != nil && (!natural(f) || string(f) == "MAX_TOKENS")
}

// settleStop settles the seam, unless a stop sequence stands across it. final
// is false when the rest of one is worth waiting for.
func (s *Splice) settleStop(dst []byte, drop int, final bool) ([]byte, Verdict) {
	j := &s.join
	stopped, open := j.stops.look(j.plain[drop:])
	switch {
	case stopped:
		j.abandon()
		return dst, Stopped
	case open && !final:
		j.mode, j.known = joinStop, drop
		return dst, More
	}
	return s.settle(dst, drop)
}

// settle delivers what is held, less the first drop bytes of its text. Each
// event says what had been used when it came.
func (s *Splice) settle(dst []byte, drop int) ([]byte, Verdict) {
	j := &s.join
	j.mode = joinOff
	same := 0
	if j.drop == 0 && !j.behind {
		same = commonEnd(j.plain[:drop], j.whole)
	}
	j.drop += drop
	j.least = j.drop - same
	cut := rawOffset(j.raw, drop)
	from := 0
	newest := s.attempt.usage
	s.attempt.usage = j.used
	for _, end := range j.ends {
		text, _ := s.chunk.parseInto(&s.transcript, j.queue[from:end])
		s.noteUsage()
		from = end
		n := min(cut, len(text)-s.transcript.Len())
		cut -= n
		var v Verdict
		if dst, v = s.deliverCut(dst, text, n); v != More {
			s.attempt.usage = newest
			return dst, v
		}
	}
	s.attempt.usage = newest
	j.release()
	return dst, More
}

// commonEnd returns how many bytes a and b end in that are the same.
func commonEnd(a, b []byte) (n int) {
	for n < min(len(a), len(b)) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

func (s *Splice) diverged() Verdict {
	s.join.abandon()
	return Diverged
}

// deliverCut delivers the event less the first cut bytes of its raw text, and
// less what must not follow the answer's end.
func (s *Splice) deliverCut(dst, text []byte, cut int) ([]byte, Verdict) {
	j, c := &s.join, &s.chunk
	n := s.transcript.Len()
	raw := text[n+cut:]
	keep, stopped := s.limit(raw)
	if stopped {
		return dst, Stopped
	}
	if j.cut, j.keep = cut, -1; keep < len(raw) {
		j.keep = keep
	}
	if keep == 0 {
		c.Kinds &^= Text
	}
	text = append(text[:n], raw[:keep]...)
	if j.doc != nil && string(c.Finish) == "STOP" && !validDocument(text) {
		return dst, Broken
	}
	dst = s.deliver(dst, text)
	j.cut, j.keep = 0, -1
	return dst, More
}

// limit returns how much of raw belongs to the answer: in JSON mode nothing
// follows the document. stopped tells that a stop sequence that began before
// the seam ends in it.
func (s *Splice) limit(raw []byte) (keep int, stopped bool) {
	j := &s.join
	if len(raw) == 0 || !j.limits() {
		return len(raw), false
	}
	plain := AppendUnescaped(nil, raw)
	if j.stops.take(plain) {
		return 0, true
	}
	if j.doc != nil {
		if n := j.doc.take(plain); n < len(plain) {
			return rawOffset(raw, n), false
		}
	}
	return len(raw), false
}
