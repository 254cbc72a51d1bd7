package stream

// appendChunk appends the event that was parsed last as the client may see
// it: to the byte while the attempt is the first that delivers, edited after.
// An event of which nothing is left appends nothing.
func (s *Splice) appendChunk(dst []byte) []byte {
	// Fast path.
	if !s.attempt.spliced {
		return s.form.append(dst, s.chunk.payload)
	}
	if s.form.Dialect == OpenAI {
		return s.appendEditedOpenAI(dst)
	}
	return s.appendEdited(dst)
}

// edit replaces a range of a payload.
type edit struct {
	span
	with []byte
}

// editor collects edits in the order of their ranges and applies them.
type editor struct {
	edits [5]edit
	n     int
}

func (e *editor) replace(at span, with []byte) {
	i := e.n
	for i > 0 && e.edits[i-1].from > at.from {
		e.edits[i] = e.edits[i-1]
		i--
	}
	e.edits[i] = edit{at, with}
	e.n++
}

func (e *editor) append(dst, payload []byte) []byte {
	at := 0
	for _, ed := range e.edits[:e.n] {
		dst = append(dst, payload[at:ed.from]...)
		dst = append(dst, ed.with...)
		at = ed.to
	}
	return append(dst, payload[at:]...)
}

// appendEdited appends an event of a later attempt. Its bytes change only
// where the whole response must say one thing. Candidates that change, next to
// a seam, are the rare path, which allocates.
func (s *Splice) appendEdited(dst []byte) []byte {
	c := &s.chunk
	var e editor
	if s.rewrites() {
		candidates, left := s.appendCandidates(nil, c.candidates.of(c.payload))
		if !left && c.Finish == nil && !c.beside {
			return dst
		}
		e.replace(c.candidates, candidates)
	}
	if c.responseID.present() && len(s.responseID) > 0 {
		e.replace(c.responseID, s.responseID)
	}
	if c.version.present() && len(s.version) > 0 {
		e.replace(c.version, s.version)
	}
	switch final := c.Finish != nil; {
	case c.usage.present() && (c.Usage.known || final):
		s.drafts.usage = s.tally.appendUsage(s.drafts.usage[:0], c, s.attempt.usage)
		e.replace(c.usage, s.drafts.usage)
	case final && !c.usage.present() && s.tally.prompt >= 0:
		usage := s.tally.appendUsage([]byte(`"usageMetadata": `), c, s.attempt.usage)
		e.replace(span{c.body + 1, c.body + 1}, append(usage, ','))
	}
	s.drafts.payload = e.append(s.drafts.payload[:0], c.payload)
	return s.form.append(dst, s.drafts.payload)
}

// drafts are what an edited event is put together in. They are kept from one
// event, and one answer, to the next.
type drafts struct{ payload, usage []byte }

// reset drops what became large.
func (d *drafts) reset() {
	if cap(d.payload)+cap(d.usage) > maxKept {
		*d = drafts{}
	}
}

// walkMembers calls f with the name and the range of the value of each member
// of the object at i. It returns the offset after the object, or bad.
func walkMembers(b []byte, i int, f func(name []byte, value span)) int {
	i, some := objectStart(b, i)
	for some && i != bad {
		name, v := member(b, i)
		if v == bad {
			return bad
		}
		if i = skipValue(b, v, 0); i == bad {
			return bad
		}
		f(plainName(name), span{v, i})
		i, some = nextItem(b, i, '}')
	}
	return i
}
