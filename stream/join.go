package stream

// joinMode is what is done with the text of a continuation.
type joinMode uint8

const (
	joinOff     joinMode = iota // it is delivered as it comes
	joinHold                    // it is held until it is known how it joins
	joinStop                    // it is known, but a stop sequence may end here
	joinSwallow                 // it repeats what was delivered, and is dropped
)

// join is the seam of the running attempt: the text that is held back, and
// what is known of how it joins.
type join struct {
	joining
	*jointWork // nil until an answer is continued: most never are

	queue []byte // payloads that are held
	ends  []int  // their ends in queue
	raw   []byte // their texts, joined, as the insides of JSON strings
	plain []byte // what raw stands for, without half a character at its end
}

// jointWork is what only an answer needs that is continued.
type jointWork struct {
	m     matcher
	sw    swallower
	stops stopFinder
	whole []byte // the text delivered, for m and sw
	lent  []byte // of the transcript's memory, where whole lies
}

// joining is what is forgotten between two attempts.
type joining struct {
	mode  joinMode
	kind  SeamKind
	text  bool  // the attempt continues by text: a model turn was sent
	base  int   // bytes of text delivered when the attempt began
	drop  int   // bytes of text dropped so far
	least int   // bytes of text in front of what stands in the answer to the byte
	cut   int   // bytes of the event's raw text that appendChunk drops in front
	keep  int   // bytes of it that are kept after that, -1: all
	known int   // in joinStop: bytes of plain that are dropped
	used  Usage // of the attempt, before the first payload of queue

	behind bool         // the event repeats only, and so does its continuationToken
	doc    *documentEnd // in JSON mode
}

// maxKept is the capacity in bytes above which a buffer is not kept for the
// next answer, and maxJoin that of those which a continuation alone needs, where
// there is a Memory: an answer that is never interrupted must not hold them.
const maxKept, maxJoin = 256 << 10, 16 << 10

func (j *join) reset(m Memory) {
	if w := j.jointWork; w != nil {
		w.giveBack(m)
		w.stops.stops, w.whole = nil, w.whole[:0]
		if cap(w.whole)+cap(w.sw.want)+cap(j.queue) > maxKept {
			*j = join{}
		}
	}
	j.joining = joining{keep: -1}
	j.release()
}

// take makes room for n bytes of the text delivered, in m if there is one.
func (w *jointWork) take(m Memory, n int) {
	w.giveBack(m)
	if m != nil {
		w.lent = m.Get(n)
		w.whole = w.lent
	}
}

// giveBack gives the memory of the text delivered back, and drops what is as large.
// None of it is used until the next continuation, which begins anew.
func (w *jointWork) giveBack(m Memory) {
	if w == nil || w.lent == nil {
		return
	}
	m.Put(w.lent)
	w.lent, w.whole = nil, nil
	w.m.delivered, w.m.blank, w.m.anchor = nil, nil, nil
	if cap(w.sw.want) > maxJoin {
		w.sw.want = nil
	}
}

// limits tells that delivered text may have to end before the attempt does.
func (j *join) limits() bool { return j.doc != nil || j.jointWork != nil && !j.stops.off() }

// abandon drops what is held: the attempt is over, and the next one starts
// from what was delivered.
func (j *join) abandon() {
	j.mode = joinOff
	j.release()
}

// release forgets the queue.
func (j *join) release() {
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
	if j.jointWork == nil {
		j.jointWork = new(jointWork)
	}
	j.take(s.transcript.memory, s.transcript.Len())
	j.whole = s.appendWhole(j.whole[:0])
	j.base = len(j.whole)
	j.text = !x.Resumed
	j.stops.begin(x.Stops, j.whole)
	if x.Document {
		j.doc = &documentEnd{}
		j.doc.take(j.whole)
	}
	switch {
	case x.Resumed:
		j.kind = SeamResumed
		s.resume(x.From)
	case x.Prefilled && !x.Document:
		j.kind = SeamDirect
	default:
		j.mode = joinHold
		j.m.prepare(j.whole, x)
	}
}

// resume expects what was delivered after the checkpoint at from.
func (s *Splice) resume(from int) {
	j := &s.join
	whole := len(AppendUnescaped(nil, s.transcript.raw[:min(from, s.transcript.Len())]))
	if whole < len(j.whole) {
		j.mode = joinSwallow
		j.sw.begin(j.whole[whole:], false)
	}
}

// appendWhole appends the text delivered so far, less half a character at its
// end.
func (s *Splice) appendWhole(dst []byte) []byte {
	raw := s.transcript.raw
	return AppendUnescaped(dst, raw[:len(raw)-unfinished(raw)])
}

// Anchor returns the words that a model is asked to repeat when it continues
// the text delivered so far, nil when a repeat could not be told from going
// on. The result is the caller's.
func (s *Splice) Anchor() []byte {
	anchor, _ := anchorOf(s.appendWhole(nil))
	return anchor
}

// Holding tells that text is held back, waiting for more.
func (s *Splice) Holding() bool { return s.join.mode != joinOff && len(s.join.ends) > 0 }

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

// EndsInCall tells that what was delivered ends in a functionCall that has come
// whole.
func (s *Splice) EndsInCall() bool { return s.delivered&Call != 0 && !s.openCall && !s.behindCall }
