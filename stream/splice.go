package stream

// Splice makes one response out of the attempts that answer one request. It
// is fed with the events of one attempt after another and appends to the
// outgoing bytes what the client may see of them:
//
//   - until something was delivered, and through the whole first attempt that
//     delivers, payloads go out to the byte;
//   - in later attempts responseId and modelVersion become those of the first,
//     usageMetadata becomes that of the whole answer, and thoughts are dropped
//     once thoughts or answer text of an earlier attempt were delivered;
//   - an event with a finish that is retried is held back.
//
// A Splice is reused: Reset makes it ready for another answer.
type Splice struct {
	transcript Transcript
	tally      tally
	join       join
	mold       mold // of the event before, when it was nothing but text on a first attempt
	openAI     openAIState
	drafts     drafts
	splicing
}

// splicing is what is forgotten between two answers.
type splicing struct {
	form       Form
	open       bool // an event was written, and the end was not
	emptyDrops bool // the client drops what has an empty text
	asIs       bool // what is delivered is not appended, see TakeBody
	reasons    *Reasons
	chunk      Chunk
	failure    Failure

	attempt   attemptState
	delivered Kinds  // of all attempts so far
	any       bool   // something, even without parts, was delivered
	held      []byte // framed events held back, from the newest attempt that held any
	heldWhy   string // their finish
	spent     int64  // tokens of the answer text delivered by earlier attempts
	wasted    int64  // tokens of attempts of which nothing was delivered

	responseID []byte // raw, of the first attempt that delivered one
	version    []byte
	token      []byte // raw, the newest continuationToken that was delivered
	tokenAt    int    // length of the transcript when it came
	openCall   bool   // a delivered functionCall is not complete
	behindCall bool   // text was delivered behind the last functionCall

	doubt  []byte // text of a continuation that broke off before it was believed
	doubts int    // how often it was said
}

// attemptState is what a Splice knows of the running attempt.
type attemptState struct {
	spliced   bool  // an earlier attempt delivered something
	mute      bool  // thoughts are dropped
	events    int   // events taken
	delivered Kinds // delivered by this attempt
	any       bool
	from      int // length of the transcript when it began
	finished  bool
	policy    bool
	sloppy    bool // an answer went on after a finish: one finish proves nothing here
	empty     bool // a STOP without any answer is held
	usage     Usage
	prompts   bool // no attempt before has named the tokens of its prompt
}

// Reset makes the Splice ready for another answer in the given form, with at
// most maxTranscript bytes of text remembered.
func (s *Splice) Reset(form Form, reasons *Reasons, maxTranscript int) {
	held, id, version, token, doubt := s.held[:0], s.responseID[:0], s.version[:0], s.token[:0], s.doubt[:0]
	if cap(held) > maxKept {
		held = nil
	}
	s.tally.reset()
	s.transcript.Reset(maxTranscript)
	s.join.reset(s.transcript.memory)
	s.openAI.reset()
	s.mold.forget()
	s.drafts.reset()
	s.splicing = splicing{}
	s.form, s.reasons, s.chunk.Dialect = form, reasons, form.Dialect
	s.held, s.responseID, s.version, s.token, s.doubt = held, id, version, token, doubt
	s.attempt.usage = noUsage
}

// NextAttempt says that the events that follow come from another attempt.
func (s *Splice) NextAttempt() {
	a := &s.attempt
	s.transcript.join()
	if a.any {
		s.tally.add(a.usage)
	}
	s.wasted += s.attemptWaste()
	if a.delivered&Text != 0 {
		s.spent += s.attemptTokens()
	}
	s.join.reset(s.transcript.memory)
	s.mold.forget()
	s.chunk.openAI.thinking = false
	*a = attemptState{
		spliced: s.any,
		mute:    s.delivered&(Thought|Answer) != 0,
		from:    s.transcript.Len(),
		usage:   noUsage,
		prompts: s.tally.prompt < 0,
	}
}

// Take takes one event. It appends what the client may see to dst and says
// what the event means for the attempt; after any verdict but More the
// attempt is over.
func (s *Splice) Take(dst []byte, ev Event) ([]byte, Verdict) {
	// Fast path.
	if len(s.mold.frame) > 0 {
		if out, ok := s.deliverSame(dst, ev.Data); ok {
			return out, More
		}
		s.mold.forget()
	}
	c := &s.chunk
	if s.form.Framing == Lines && (s.openAI.done || string(ev.Data) == openAIDone) {
		return s.takeDone(dst)
	}
	s.transcript.reserve(len(ev.Data))
	text, ok := c.parseInto(&s.transcript, ev.Data)
	return s.parsed(dst, ev, text, ok)
}

// parsed is Take of what chunk has parsed: ok tells that it could, and text is
// the transcript with what the payload adds to it.
func (s *Splice) parsed(dst []byte, ev Event, text []byte, ok bool) ([]byte, Verdict) {
	c := &s.chunk
	if !ok {
		if v := s.unreadable(ev); v != More {
			return s.breakOff(dst, v)
		}
		return dst, More
	}
	s.attempt.events++
	if j := &s.join; j.mode != joinOff && len(j.ends) == 0 {
		j.used = s.attempt.usage
	}
	s.noteUsage()
	if c.Failure {
		if v := s.failed(ev); v != More {
			return s.breakOff(dst, v)
		}
		return dst, More
	}
	if c.Blocked && s.delivered&Answer != 0 && s.attempt.spliced {
		return dst, Refused
	}
	if s.retries(c.Finish) && !s.attempt.policy {
		return s.finishedBadly(dst, ev)
	}
	if s.holdsEmpty() {
		return dst, More
	}
	dst = s.release(dst)
	switch {
	case s.join.mode != joinOff:
		return s.joined(dst, text)
	case s.join.limits():
		return s.deliverCut(dst, text, 0)
	}
	dst = s.deliver(dst, text)
	if a := &s.attempt; !a.spliced && !a.finished && !a.policy {
		s.mold.learn(c)
	}
	return dst, More
}

// finishedBadly holds back an event whose finish is retried, after what was
// held before it has been decided on. Its text stays out of it unless it is
// known to be new.
func (s *Splice) finishedBadly(dst []byte, ev Event) ([]byte, Verdict) {
	dst, v := s.settleAtEnd(dst)
	if v == Stopped {
		return dst, v
	}
	text, _ := s.chunk.parseInto(&s.transcript, ev.Data)
	if s.join.mode != joinOff {
		s.join.cut = len(text) - s.transcript.Len()
	}
	s.join.abandon()
	s.hold(true)
	s.join.cut = 0
	return dst, Finish
}

// unreadable decides on a payload that is no JSON object. Payloads that some
// gateways add and that say nothing are passed over.
func (s *Splice) unreadable(ev Event) Verdict {
	if saysNothing(ev.Data) || s.Finished() && !s.attempt.sloppy {
		return More
	}
	return Cut
}

func saysNothing(payload []byte) bool {
	return len(payload) == 0 || string(payload) == "[DONE]"
}

// failed decides on an error object. After a finish the answer is complete
// and the error is nobody's concern, unless there was no answer or the finish
// proves nothing.
func (s *Splice) failed(ev Event) Verdict {
	a := &s.attempt
	if a.policy || a.finished && !a.sloppy && s.delivered&Answer != 0 {
		return More
	}
	f, ok := ParseFailure(ev.Data)
	if !ok {
		f = Failure{Code: 500, Status: "INTERNAL"}
	}
	s.failure = f
	return Failed
}

// holdsEmpty holds back a STOP while nothing of an answer was delivered, and
// the events without an answer that follow it.
func (s *Splice) holdsEmpty() bool {
	c, a := &s.chunk, &s.attempt
	if (s.delivered|c.Kinds)&Answer != 0 || a.policy {
		return false
	}
	if string(c.Finish) == "STOP" {
		s.hold(!a.empty)
		a.empty = true
		return true
	}
	if a.empty && c.Finish == nil && !c.Blocked {
		s.hold(false)
		return true
	}
	return false
}

// hold keeps the event back; the first of an attempt replaces what an earlier
// one held.
func (s *Splice) hold(first bool) {
	if first {
		s.held = s.held[:0]
		s.heldWhy = string(s.chunk.Finish)
	}
	s.held = s.appendChunk(s.held)
}

// release delivers what the attempt held back as an empty STOP, now that an
// answer follows: some gateways write STOP into every event.
func (s *Splice) release(dst []byte) []byte {
	if s.attempt.empty {
		n := len(dst)
		dst = s.opened(append(dst, s.held...), n)
		s.held = s.held[:0]
		s.attempt.empty = false
		s.attempt.sloppy = true
		s.any, s.attempt.any = true, true
	}
	return dst
}

// End says how the attempt ended, once its body is over for whatever reason.
// rest is what the Scanner had left; when it is a whole payload whose blank
// line is missing, it counts.
func (s *Splice) End(dst []byte, rest Event, some bool) ([]byte, Verdict) {
	half := false
	if some && !saysNothing(rest.Data) {
		if valid(rest.Data) {
			var v Verdict
			if dst, v = s.Take(dst, rest); v != More {
				return dst, v
			}
		} else {
			half = !rest.Bare
		}
	}
	dst, v := s.breakOff(dst, More)
	if v != More {
		return dst, v
	}
	a := &s.attempt
	switch {
	case a.policy:
		return s.appendUsageApart(dst), Policy
	case a.finished && !(half && a.sloppy):
		return s.appendUsageApart(dst), Complete
	case a.empty && !half:
		return dst, Empty
	}
	return dst, Cut
}

// Finished tells that the attempt has brought a finish and nothing of an
// answer after it; only the end of the body is awaited.
func (s *Splice) Finished() bool { return s.attempt.finished || s.attempt.policy }

// Sloppy tells that the attempt's finishes have been followed by more of the
// answer, so that a finish does not announce the end.
func (s *Splice) Sloppy() bool { return s.attempt.sloppy && !s.openAI.done }

// Failure returns the error of the verdict Failed.
func (s *Splice) Failure() Failure { return s.failure }

// Finish returns the finish of the events that are held, "" without any.
func (s *Splice) Finish() string {
	if len(s.held) == 0 {
		return ""
	}
	return s.heldWhy
}

// Delivered returns the kinds that all attempts have delivered.
func (s *Splice) Delivered() Kinds { return s.delivered }

// Progress tells whether the running attempt has delivered anything of the
// answer.
func (s *Splice) Progress() bool { return s.attempt.delivered&Answer != 0 }

// Events returns the number of payloads that the running attempt has brought.
func (s *Splice) Events() int { return s.attempt.events }

// Transcript returns the text delivered so far; it lives as long as s.
func (s *Splice) Transcript() *Transcript { return &s.transcript }

// Spent returns how many tokens of the output budget the delivered text has
// cost, thoughts included: by the attempts' own usage, estimated where they
// named none.
func (s *Splice) Spent() int64 { return s.spent }

// attemptWaste returns what the running attempt has cost while nothing of it was
// delivered.
func (s *Splice) attemptWaste() int64 {
	if s.attempt.any {
		return 0
	}
	return max(s.attempt.usage.Candidates, 0) + max(s.attempt.usage.Thoughts, 0)
}

// Wasted returns how many tokens the attempts have cost, by their own usage, of
// which nothing was delivered.
func (s *Splice) Wasted() int64 { return s.wasted + s.attemptWaste() }
