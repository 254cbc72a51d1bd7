package stream

import "bytes"

// maxMold bounds what a mold keeps of a payload, in bytes.
const maxMold = 1 << 10

// mold is the form of the event before: everything of its payload but the
// text and the counts of usageMetadata. The events in the middle of an answer
// are alike, and one that fits the mold of the one before it says the same but
// for these. A few comparisons of bytes then tell what else takes a walk
// through all of its JSON. It costs no more memory for events with much text.
//
// The zero value fits nothing.
type mold struct {
	frame []byte // the payload without what is in the holes
	holes []hole // in the order of their places, the text among them
}

// hole is where payloads of one form differ: the inside of the text, or the
// digits of a count.
type hole struct {
	at int // in the frame
	of holeKind
}

type holeKind uint8

const (
	holeText holeKind = iota
	holeTotal
	holePrompt
	holeCandidates
	holeThoughts
	holeToolUse
)

// forget makes the mold fit nothing. Its memory stays.
func (m *mold) forget() { m.frame = m.frame[:0] }

// learn makes the mold of the payload that c has parsed. It does so for events
// with one piece of text only, which bring nothing else that matters.
func (m *mold) learn(c *Chunk) {
	if c.Kinds != Text || c.texts != 1 || c.Finish != nil || c.Blocked || c.openAI.thinking ||
		len(c.payload)-(c.text.to-c.text.from) > maxMold {
		return
	}
	m.holes = append(m.holes[:0], hole{c.text.from, holeText})
	if c.usage.present() && !isNull(c.payload, c.usage.from) {
		walkMembers(c.payload, c.usage.from, func(name []byte, v span) {
			if of, ok := countNamed(name); ok && countEnd(c.payload, v.from) == v.to {
				m.add(hole{v.from, of})
			}
		})
	}
	if m.cut(c); !isSafe(m.frame) {
		m.forget()
	}
}

// add adds a hole at its place.
func (m *mold) add(h hole) {
	m.holes = append(m.holes, h)
	for i := len(m.holes) - 1; i > 0 && m.holes[i-1].at > h.at; i-- {
		m.holes[i], m.holes[i-1] = m.holes[i-1], m.holes[i]
	}
}

// cut makes the frame of c's payload, in which the holes have their places.
func (m *mold) cut(c *Chunk) {
	m.frame = m.frame[:0]
	from := 0
	for i := range m.holes {
		h := &m.holes[i]
		m.frame = append(m.frame, c.payload[from:h.at]...)
		if from = c.text.to; h.of != holeText {
			from = countEnd(c.payload, h.at)
		}
		h.at = len(m.frame)
	}
	m.frame = append(m.frame, c.payload[from:]...)
}

func countNamed(name []byte) (of holeKind, ok bool) {
	switch string(name) {
	case "totalTokenCount":
		return holeTotal, true
	case "promptTokenCount":
		return holePrompt, true
	case "candidatesTokenCount":
		return holeCandidates, true
	case "thoughtsTokenCount":
		return holeThoughts, true
	case "toolUsePromptTokenCount":
		return holeToolUse, true
	}
	return 0, false
}

// countEnd returns the offset after the count at i, written as a number
// without sign, fraction and exponent, or bad.
func countEnd(b []byte, i int) int {
	end := skipDigits(b, i)
	if end == bad || end-i > 18 || b[i] == '0' && end-i > 1 {
		return bad
	}
	return end
}

// fit tells whether payload fits, and if so where its text is. The counts it
// names are written to u.
func (m *mold) fit(payload []byte, u *Usage) (text span, ok bool) {
	text, end := m.front(payload, u)
	return text, end == len(payload)
}

// front is fit for the payload at the front of b, which ends at end, or bad.
func (m *mold) front(b []byte, u *Usage) (text span, end int) {
	if len(m.frame) == 0 {
		return span{}, bad
	}
	at, from := 0, 0 // in b and in the frame
	for _, h := range m.holes {
		n := h.at - from
		if len(b)-at <= n || string(b[at:at+n]) != string(m.frame[from:h.at]) {
			return span{}, bad
		}
		at, from = at+n, h.at
		start := at
		if h.of != holeText {
			if at = countEnd(b, start); at == bad {
				return span{}, bad
			}
			u.set(h.of, b[start:at])
			continue
		}
		if at = insideEnd(b, start); at == bad || at == start {
			return span{}, bad
		}
		text = span{start, at}
	}
	rest := m.frame[from:]
	if end = at + len(rest); !text.present() || end > len(b) || string(b[at:end]) != string(rest) {
		return span{}, bad
	}
	return text, end
}

// set sets a count to the number that digits make.
func (u *Usage) set(of holeKind, digits []byte) {
	n := int64(0)
	for _, c := range digits {
		n = n*10 + int64(c-'0')
	}
	switch of {
	case holePrompt:
		u.Prompt = n
	case holeCandidates:
		u.Candidates = n
	case holeThoughts:
		u.Thoughts = n
	case holeToolUse:
		u.ToolUse = n
	}
}

// deliverSame does what Take does with an event that differs from the one
// before it in its text and its counts only. ok is false when payload is not
// such an event; nothing has happened then that parsing it would not undo.
func (s *Splice) deliverSame(dst, payload []byte) (out []byte, ok bool) {
	u := s.attempt.usage
	text, ok := s.mold.fit(payload, &u)
	if !ok {
		return dst, false
	}
	s.noteSame(text.of(payload), u)
	return s.form.appendSafe(dst, payload), true
}

// noteSame records the text and the usage of such an event.
func (s *Splice) noteSame(text []byte, u Usage) {
	a := &s.attempt
	a.events++
	if a.usage = u; u.Prompt >= 0 {
		s.tally.prompt = u.Prompt
	}
	s.transcript.add(text)
}

// TakeSame takes the events at the front of b that come as the client is to get
// them, and of which each differs from the one before it in its text and
// its counts only: in the middle of an answer that is nearly all. It does what a
// Reader and Take would do with them, one by one, but looks at each byte once and
// copies all of them in one piece. n is how many bytes of b it took. b must begin
// with an event, see Reader.BetweenEvents; what is left of it is the Reader's.
func (s *Splice) TakeSame(dst, b []byte) (out []byte, n int) {
	eventEnd := s.form.Framing.eventEnd()
	if eventEnd == nil {
		return dst, 0
	}
	for {
		payload, ok := bytes.CutPrefix(b[n:], dataField)
		if !ok {
			break
		}
		u := s.attempt.usage
		text, end := s.mold.front(payload, &u)
		if end == bad || !bytes.HasPrefix(payload[end:], eventEnd) {
			break
		}
		s.noteSame(text.of(payload), u)
		n += len(dataField) + end + len(eventEnd)
	}
	return append(dst, b[:n]...), n
}
