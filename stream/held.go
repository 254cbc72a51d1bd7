package stream

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// breakOff ends the attempt with v, after what is held has been decided on.
func (s *Splice) breakOff(dst []byte, v Verdict) ([]byte, Verdict) {
	dst, ended := s.settleAtEnd(dst)
	s.join.abandon()
	if ended != More {
		return dst, ended
	}
	return dst, v
}

// settleAtEnd decides on text that is still held when its attempt breaks off.
// What is known to be new is delivered; anything that might yet have turned
// out to be a preamble is dropped, and the model is asked again from what was
// delivered: nothing is lost by that but time.
func (s *Splice) settleAtEnd(dst []byte) ([]byte, Verdict) {
	j := &s.join
	if !s.Holding() || j.mode == joinSwallow || unfinished(j.raw) > 0 {
		return dst, More
	}
	kind, _, ok := j.m.match(j.plain, true, false)
	if !ok {
		return dst, More
	}
	if kind == SeamDirect && !j.m.surelyDirect(j.plain) && !s.insists(j.plain) {
		return dst, More
	}
	return s.decide(dst, true, false)
}

// insists tells whether the model has said text, or the beginning of it, often
// enough that it is believed although it might be a preamble.
func (s *Splice) insists(text []byte) bool {
	const often = 4
	if len(s.doubt) == 0 || !bytes.HasPrefix(text, s.doubt) && !bytes.HasPrefix(s.doubt, text) {
		s.doubts = 0
	}
	s.doubt = append(s.doubt[:0], text...)
	s.doubts++
	return s.doubts >= often && s.join.m.isNew(text)
}

// surelyDirect tells whether a text that repeats nothing can only be the next
// words: the delivered text breaks off in mid-sentence, and the text goes on in
// a way in which no preamble begins.
func (m *matcher) surelyDirect(text []byte) bool { return m.goesOn(text) && m.isNew(text) }

// isNew tells whether text cannot be the beginning of a repeat that did not
// come to its end.
func (m *matcher) isNew(text []byte) bool {
	return !bytes.Contains(m.delivered, text) && !m.beginsAnchor(text)
}

// beginsAnchor tells whether text ends in the beginning of the anchor.
func (m *matcher) beginsAnchor(text []byte) bool {
	const least = 4 // bytes that are no accident
	m.text.foldOf(text)
	for n := min(len(m.wantAnchor), len(m.text.text)); n >= least; n-- {
		if bytes.HasSuffix(m.text.text, m.wantAnchor[:n]) {
			return true
		}
	}
	return false
}

// goesOn tells whether the delivered text breaks off in mid-sentence and text
// begins as the rest of one.
func (m *matcher) goesOn(text []byte) bool {
	last, _ := utf8.DecodeLastRune(bytes.TrimRight(m.delivered, " "))
	text = bytes.TrimLeft(text, " ")
	first, _ := utf8.DecodeRune(text)
	open := unicode.IsLetter(last) || unicode.IsDigit(last) || last == ','
	return open && !bytes.HasPrefix(text, []byte("...")) && (unicode.IsLower(first) || unicode.IsDigit(first) || bytes.ContainsRune([]byte(",.;:!?)%'-"), first))
}
