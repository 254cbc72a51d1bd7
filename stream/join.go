package stream

import (
	"unicode/utf8"

	"github.com/valyala/fastjson"
)

// joinMode is what is done with the text of a continuation.
type joinMode uint8

const (
	joinOff     joinMode = iota // it is delivered as it comes
	joinHold                    // it is held until it is known how it joins
	joinSwallow                 // it repeats what was delivered, and is dropped
)

// join is the seam of the running attempt: the text that is held back, and
// what is known of how it joins.
type join struct {
	mode  joinMode
	kind  SeamKind
	text  bool // the attempt continues by text: a model turn was sent
	m     matcher
	sw    swallower
	f     folded
	base  int // bytes of text delivered when the attempt began
	drop  int // bytes of text dropped so far
	cut   int // bytes of the event's raw text that appendChunk drops in front
	keep  int // bytes of it that are kept after that, -1: all
	stops stopFinder
	doc   *documentEnd // in JSON mode

	queue []byte // payloads that are held
	ends  []int  // their ends in queue
	raw   []byte // their texts, joined, as the insides of JSON strings
	plain []byte // what raw stands for
	whole []byte // the text delivered, for m and sw
}

func (j *join) reset() {
	*j = join{keep: -1, m: j.m, sw: j.sw, f: j.f, queue: j.queue[:0], ends: j.ends[:0],
		raw: j.raw[:0], plain: j.plain[:0], whole: j.whole[:0], stops: stopFinder{}}
	if cap(j.whole) > maxKept {
		j.whole = nil
	}
}

// limits tells that delivered text may have to end before the attempt does.
func (j *join) limits() bool { return j.doc != nil || !j.stops.off() }

// abandon drops what is held: the attempt is over, and the next one starts
// from what was delivered.
func (j *join) abandon() {
	if j.mode != joinOff {
		j.drop += len(j.plain)
	}
	j.mode = joinOff
	j.queue, j.ends, j.raw, j.plain = j.queue[:0], j.ends[:0], j.raw[:0], j.plain[:0]
}

// Expect says what the running attempt continues.
type Expect struct {
	// Anchored: the prompt asked for a repeat of the anchor.
	Anchored bool
	// Prefilled: the model goes on from its own turn, letter by letter.
	Prefilled bool
	// Document: the answer is a JSON document, and the model is not held to it.
	Document bool
	// Resumed: the API goes on from its own checkpoint; From is the length of
	// the transcript at it.
	Resumed bool
	From    int
	// Stops are the request's stop sequences.
	Stops [][]byte
}

// Continue says that the attempt that was begun with NextAttempt continues
// the text delivered so far.
func (s *Splice) Continue(x Expect) {
	j := &s.join
	j.whole = s.transcript.AppendText(j.whole[:0])
	j.base = len(j.whole)
	j.text = !x.Resumed
	j.stops.begin(x.Stops, j.whole)
	if x.Document {
		j.doc = &documentEnd{}
		j.doc.take(j.whole)
	}
	switch {
	case x.Resumed:
		j.mode, j.kind = joinSwallow, SeamResumed
		from := len(AppendUnescaped(nil, s.transcript.raw[:x.From]))
		j.sw.begin(j.whole[from:], &j.f)
		if from == len(j.whole) {
			j.mode = joinOff
		}
	case x.Prefilled:
		j.mode, j.kind = joinOff, SeamDirect
	default:
		j.mode = joinHold
		j.m.prepare(j.whole, x.Anchored, x.Document)
	}
}

// Anchor returns the words that a model is asked to repeat when it continues
// the text delivered so far, nil when a repeat could not be told from going
// on. The result is the caller's.
func (s *Splice) Anchor() []byte {
	anchor, _ := anchorOf(s.transcript.AppendText(nil))
	return anchor
}

// joined takes an event of a continuation whose seam is not settled. text is
// the transcript with the event's text behind it.
func (s *Splice) joined(dst, text []byte) ([]byte, Verdict) {
	j, c := &s.join, &s.chunk
	raw := text[s.transcript.Len():]
	final := c.Finish != nil || c.Kinds&(Answer&^Text) != 0
	if len(raw) == 0 && len(j.ends) == 0 && !final {
		return s.deliver(dst, text), More
	}
	if j.mode == joinSwallow {
		return s.swallowed(dst, text, raw)
	}
	j.queue = append(j.queue, c.payload...)
	j.ends = append(j.ends, len(j.queue))
	j.raw = append(j.raw, raw...)
	j.plain = AppendUnescaped(j.plain[:0], j.raw)
	return s.decide(dst, final || utf8.RuneCount(j.plain) >= MaxHeldRunes)
}

// Holding tells that text is held back, waiting for more.
func (s *Splice) Holding() bool { return s.join.mode == joinHold && len(s.join.ends) > 0 }

// Settle ends the holding: what has come must do. Text that is a part of the
// repeat that was asked for goes on being held.
func (s *Splice) Settle(dst []byte) ([]byte, Verdict) {
	j := &s.join
	if !s.Holding() {
		return dst, More
	}
	if _, _, ok, wait := j.m.atStart(j.plain, false); wait && !ok {
		return dst, More
	}
	return s.decide(dst, true)
}

// decide settles the seam if it can be.
func (s *Splice) decide(dst []byte, final bool) ([]byte, Verdict) {
	j := &s.join
	kind, drop, ok := j.m.match(j.plain, final)
	if !ok {
		return dst, More
	}
	j.kind = kind
	if kind != SeamRestart {
		return s.settle(dst, drop)
	}
	j.sw.begin(j.whole[j.m.from:], &j.f)
	drop, done, same := j.sw.take(j.plain)
	if !same {
		return dst, s.diverged()
	}
	dst, v := s.settle(dst, drop)
	if !done && v == More && !s.Finished() {
		j.mode = joinSwallow
	}
	return dst, v
}

// settle delivers what is held, less the first drop bytes of its text.
func (s *Splice) settle(dst []byte, drop int) ([]byte, Verdict) {
	j := &s.join
	j.mode = joinOff
	j.drop += drop
	cut := rawOffset(j.raw, drop)
	from := 0
	for _, end := range j.ends {
		text, _ := s.chunk.Parse(j.queue[from:end], s.transcript.raw)
		from = end
		n := len(text) - s.transcript.Len()
		var v Verdict
		if dst, v = s.deliverCut(dst, text, min(cut, n)); v != More {
			return dst, v
		}
		cut -= min(cut, n)
	}
	j.queue, j.ends, j.raw = j.queue[:0], j.ends[:0], j.raw[:0]
	return dst, More
}

// swallowed takes an event whose text repeats what was delivered.
func (s *Splice) swallowed(dst, text, raw []byte) ([]byte, Verdict) {
	j := &s.join
	j.plain = AppendUnescaped(j.plain[:0], raw)
	drop, done, same := j.sw.take(j.plain)
	if !same {
		return dst, s.diverged()
	}
	j.drop += drop
	if done {
		j.mode = joinOff
	}
	return s.deliverCut(dst, text, rawOffset(raw, drop))
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

func validDocument(raw []byte) bool {
	return fastjson.ValidateBytes(AppendUnescaped(nil, raw)) == nil
}

// Seam returns how the running attempt joined, and how many bytes of text
// were dropped for it.
func (s *Splice) Seam() (kind SeamKind, dropped int) { return s.join.kind, s.join.drop }

// Token returns the newest continuationToken that was delivered, raw with its
// quotes, and the length of the transcript at it; nil without one.
func (s *Splice) Token() (token []byte, at int) {
	if len(s.token) == 0 {
		return nil, 0
	}
	return s.token, s.tokenAt
}

// OpenCall tells that a functionCall was delivered in part.
func (s *Splice) OpenCall() bool { return s.openCall }
