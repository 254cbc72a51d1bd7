package stream

// maxMold bounds the payloads that a mold is made of, in bytes.
const maxMold = 1 << 10

// mold is the form of the event before: everything of its payload but the
// text and the counts of usageMetadata. The events in the middle of an answer
// are alike, and one that fits the mold of the one before it says the same but
// for these. A few comparisons of bytes then tell what else takes a walk
// through all of its JSON.
//
// The zero value fits nothing.
type mold struct {
	payload []byte
	holes   []hole // in the order of their places, the text among them
}

// hole is where payloads of one form differ: the inside of the text, or the
// digits of a count.
type hole struct {
	span
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
func (m *mold) forget() { m.payload = m.payload[:0] }

// learn makes the mold of the payload that c has parsed. It does so for events
// with one piece of text only, which bring nothing else that matters.
func (m *mold) learn(c *Chunk) {
	if c.Kinds != Text || c.texts != 1 || c.Finish != nil || c.Blocked ||
		len(c.payload) > maxMold || !isSafe(c.payload) {
		return
	}
	m.holes = append(m.holes[:0], hole{c.text, holeText})
	if c.usage.present() && !isNull(c.payload, c.usage.from) {
		walkMembers(c.payload, c.usage.from, func(name []byte, v span) {
			if of, ok := countNamed(name); ok && countEnd(c.payload, v.from) == v.to {
				m.add(hole{v, of})
			}
		})
	}
	m.payload = append(m.payload, c.payload...)
}

// add adds a hole at its place.
func (m *mold) add(h hole) {
	m.holes = append(m.holes, h)
	for i := len(m.holes) - 1; i > 0 && m.holes[i-1].from > h.from; i-- {
		m.holes[i], m.holes[i-1] = m.holes[i-1], m.holes[i]
	}
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
	if len(m.payload) == 0 {
		return span{}, false
	}
	at, from := 0, 0 // in payload and in the mold
	for _, h := range m.holes {
		n := h.from - from
		if len(payload)-at <= n || string(payload[at:at+n]) != string(m.payload[from:h.from]) {
			return span{}, false
		}
		at, from = at+n, h.to
		start := at
		if h.of != holeText {
			if at = countEnd(payload, start); at == bad {
				return span{}, false
			}
			u.set(h.of, payload[start:at])
			continue
		}
		if at = insideEnd(payload, start); at == bad || at == start {
			return span{}, false
		}
		text = span{start, at}
	}
	return text, text.present() && string(payload[at:]) == string(m.payload[from:])
}

// insideEnd returns the offset of the quote that ends the string whose inside
// begins at i, or bad when that cannot be passed on as it is.
func insideEnd(b []byte, i int) int {
	end := skipString(b, i-1) - 1
	if end < i || !isSafe(b[i:end]) || !validEscapes(b[i:end]) {
		return bad
	}
	return end
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
	a := &s.attempt
	u := a.usage
	text, ok := s.mold.fit(payload, &u)
	if !ok {
		return dst, false
	}
	a.events++
	if a.usage = u; u.Prompt >= 0 {
		s.tally.prompt = u.Prompt
	}
	s.transcript.reserve(text.to - text.from)
	s.transcript.set(append(s.transcript.raw, text.of(payload)...))
	return s.form.appendSafe(dst, payload), true
}
