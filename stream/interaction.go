package stream

import (
	"bytes"
	"hash/maphash"
)

// Interaction follows a stream of the Interactions API
// (https://ai.google.dev/api/interactions-api): events with a name, an
// identity that the API can go on from, and data that is passed on as it came.
// It is fed with the bytes of one attempt after another, appends what the
// client has not got yet, and says whether the stream is whole.
//
// Nothing is made up and nothing is edited: a stream that broke off is asked
// for again behind the last event that was delivered, and what comes twice all
// the same is dropped by its identity.
//
// Reset makes it ready for use and for another stream.
type Interaction struct {
	retryable func(code int) bool
	scanner   Scanner
	raw       []byte // what the scanner has consumed of the event at hand
	held      []byte // see Failure
	failure   Failure

	id      []byte // of the interaction
	last    []byte // identity of the newest event that was delivered
	seen    map[uint64]int
	tail    []uint64 // what was delivered behind last: events without identity
	told    int      // how many of these the running attempt has told again
	attempt int      // number of the running one
	passed  bool     // the event before was delivered
	begins  bool     // the attempt's first bytes are awaited, and the client has some of another
	halved  bool     // but for the last LF of its blank line, if scanner still skips one
	any     bool     // an event was delivered
	created bool     // one that says that the interaction has begun
	settled bool     // one with a status that is the last
	ended   bool     // one that ends the stream

	join     interactionJoin
	waiting  []byte // of an attempt that goes on: events of which it is not known whether they are new
	events   int    // of the running attempt
	progress bool
}

// interactionJoin is where an attempt that goes on from an event stands.
type interactionJoin uint8

const (
	joinLive      interactionJoin = iota // everything is new
	joinUndecided                        // nothing with an identity has come yet
	joinReplay                           // the API tells again what was delivered
)

const (
	// maxSeen bounds the identities that are remembered, 24 bytes each or so.
	maxSeen = 1 << 18
	// maxTail bounds the events without identity that are.
	maxTail = 1 << 10
	// maxWaiting bounds in bytes what is held until an identity comes.
	maxWaiting = 64 << 10
	// maxIdentity bounds in bytes what goes into the URL of a request.
	maxIdentity = 2 << 10
)

var identities = maphash.MakeSeed()

// Reset makes x ready for a stream. retryable tells which codes of an error in
// the stream are an interruption. id and last are what is known from the
// request: the interaction, and the event behind which it is to begin.
func (x *Interaction) Reset(retryable func(code int) bool, id, last []byte) {
	x.scanner.Reset()
	*x = Interaction{
		retryable: retryable, scanner: x.scanner, raw: x.raw[:0], held: x.held[:0], waiting: x.waiting[:0],
		tail: x.tail[:0], id: append(x.id[:0], id...), last: append(x.last[:0], last...), seen: map[uint64]int{},
	}
}

// NextAttempt says that the bytes that follow come from another attempt; goesOn
// that it was asked for what comes behind Last.
func (x *Interaction) NextAttempt(goesOn bool) {
	x.scanner.Reset()
	x.raw, x.waiting = x.raw[:0], x.waiting[:0]
	x.attempt++
	x.events, x.progress, x.told, x.passed, x.halved = 0, false, 0, false, false
	x.join, x.begins = joinLive, x.any
	if goesOn {
		x.join = joinUndecided
	}
}

// Take takes the first event of b, which holds all bytes of the attempt that
// no earlier call has consumed, appends what the client may see to dst, and
// returns how many bytes it has consumed. took tells whether there was an
// event. The verdict is More, Failed, or Cut, when what came for an event is not
// whole: an upstream that dies in the middle of one may still say that it does.
func (x *Interaction) Take(dst, b []byte) (out []byte, n int, took bool, v Verdict) {
	lead := 0
	if len(x.raw) == 0 && x.scanner.skipLF && len(b) > 0 && b[0] == '\n' {
		// The other half of the blank line behind the event before.
		x.scanner.skipLF = false
		if lead = 1; x.passed {
			dst = append(dst, '\n')
		}
	}
	ev, n, took := x.scanner.Next(b[lead:])
	n += lead
	x.raw = append(x.raw, b[lead:n]...)
	x.unmark()
	switch {
	case took:
		front := bytes.TrimRight(x.raw, "\r\n")
		if ev.Bare {
			front = x.raw[:len(x.raw)-len(ev.Data)]
		}
		dst = x.remarks(dst, endOfBlock(front))
		before := len(dst)
		dst, v = x.event(dst, ev)
		x.passed = len(dst) > before
		x.halved = x.passed && bytes.HasSuffix(x.raw, []byte("\r\n\r"))
		x.raw = x.raw[:0]
	case n > lead:
		// Only in what is new can a block have ended.
		from := max(0, len(x.raw)-(n-lead)-2)
		if end := endOfBlock(x.raw[from:]); end > 0 {
			dst = x.remarks(dst, from+end)
		}
	}
	return dst, n, took, v
}

// unmark drops the byte order mark that an attempt may begin with, unless it is
// where the client's stream begins too: within it, it would belong to a line.
func (x *Interaction) unmark() {
	const mark = "\xef\xbb\xbf"
	if x.begins && len(x.raw) >= len(mark) {
		x.begins = false
		x.raw = x.raw[:copy(x.raw, bytes.TrimPrefix(x.raw, []byte(mark)))]
	}
}

// remarks passes on the first n bytes of raw, which are in front of the event
// at hand: blocks without data, comments most likely. They are signs of life
// and wait for no event but the first, which decides on the response.
func (x *Interaction) remarks(dst []byte, n int) []byte {
	if n == 0 || !x.any {
		return dst
	}
	dst = append(dst, x.raw[:n]...)
	x.raw = x.raw[:copy(x.raw, x.raw[n:])]
	return dst
}

// endOfBlock returns the offset behind the last blank line in b that follows
// another line, 0 when there is none.
func endOfBlock(b []byte) int {
	for i := len(b) - 1; i > 0; i-- {
		if b[i] == '\n' && (b[i-1] == '\n' || i > 1 && b[i-1] == '\r' && b[i-2] == '\n') {
			return i + 1
		}
	}
	return 0
}

// End says what the end of the attempt's body means. rest are the bytes that
// Take has not consumed; clean tells whether the body came to its framed end.
func (x *Interaction) End(dst, rest []byte, clean bool) (out []byte, v Verdict) {
	if x.halved && x.scanner.skipLF && len(rest) == 0 {
		// Clients that know no line break but LF would see what comes from
		// the next attempt as a part of this event's end.
		dst = append(dst, '\n')
	}
	ev, some := x.scanner.Rest(rest)
	if some && (isDone(ev.Data) || valid(ev.Data)) && (clean || readMessage(ev, x.raw).ends) {
		// Whole but for its blank line, and nothing more to come.
		x.raw = append(bytes.TrimRight(append(x.raw, rest...), "\r\n"), "\n\n"...)
		x.unmark()
		if dst, v = x.event(dst, ev); v != More {
			return dst, v
		}
	}
	if x.ended || x.settled && clean {
		return dst, Complete
	}
	return dst, Cut
}

// event decides on one event, of which raw has all bytes.
func (x *Interaction) event(dst []byte, ev Event) ([]byte, Verdict) {
	x.events++
	m := readMessage(ev, x.raw)
	if m.garbled {
		if x.ended {
			return dst, More
		}
		return dst, Cut
	}
	if m.failed && x.retryable(m.failure.Code) && !x.ended {
		x.held = append(x.held[:0], x.raw...)
		x.failure = m.failure
		return dst, Failed
	}
	if !x.isNew(&m, ev.Data) {
		return dst, More
	}
	dst = append(append(dst, x.waiting...), x.raw...)
	x.waiting = x.waiting[:0]
	x.deliver(&m, ev.Data)
	return dst, More
}

// isNew tells whether an event is to be delivered. The beginning of an
// interaction is told again by an API that goes on, and so may anything be.
func (x *Interaction) isNew(m *message, data []byte) bool {
	if x.join == joinLive && x.attempt == 0 {
		return true
	}
	switch known := x.knows(m.event); {
	case m.created && x.created:
		return false
	case known:
		x.waiting = x.waiting[:0]
		if x.join = joinReplay; bytes.Equal(m.event, x.last) {
			x.join, x.told = joinLive, 0
		}
		return false
	case x.join != joinReplay && len(m.event) == 0 && x.tellsAgain(data):
		return false
	case x.join == joinLive:
		return true
	case len(m.event) == 0 && !m.ends:
		if x.join == joinUndecided {
			x.waiting = append(x.waiting, x.raw...)
		}
		if len(x.waiting) <= maxWaiting {
			return false
		}
		x.raw = x.raw[:0] // it is the last that waits
	case x.join == joinReplay:
		x.waiting = x.waiting[:0]
	}
	x.join = joinLive
	return true
}

// tellsAgain tells whether an event without identity is the next of those that
// were delivered behind the last one that had any: an API that goes on behind
// that one begins with them.
func (x *Interaction) tellsAgain(data []byte) bool {
	if x.told == len(x.tail) || x.tail[x.told] != maphash.Bytes(identities, data) {
		return false
	}
	x.told++
	return true
}

// knows tells whether an earlier attempt has delivered the event.
func (x *Interaction) knows(event []byte) bool {
	if len(event) == 0 {
		return false
	}
	at, ok := x.seen[maphash.Bytes(identities, event)]
	return ok && at < x.attempt || bytes.Equal(event, x.last) && !ok
}

// deliver notes what the client has got.
func (x *Interaction) deliver(m *message, data []byte) {
	x.any = true
	x.created = x.created || m.created
	x.settled = x.settled || m.settled
	x.ended = x.ended || m.ends
	x.progress = x.progress || !m.created
	if len(x.id) == 0 {
		x.id = append(x.id, m.interaction...)
	}
	if len(m.event) == 0 && len(x.tail) < maxTail {
		x.tail = append(x.tail, maphash.Bytes(identities, data))
		x.told = len(x.tail)
	}
	if len(m.event) > 0 {
		x.tail, x.told = x.tail[:0], 0
		x.last = append(x.last[:0], m.event...)
		if len(x.seen) < maxSeen {
			x.seen[maphash.Bytes(identities, m.event)] = x.attempt
		}
	}
}

// ID returns the interaction, as the API calls it, "" while it is not known. It
// lives until the next call that takes bytes.
func (x *Interaction) ID() []byte { return x.id }

// Last returns the identity of the event behind which to go on. It lives until
// the next call that takes bytes.
func (x *Interaction) Last() []byte { return x.last }

// Resumable tells whether the API can be asked for the rest.
func (x *Interaction) Resumable() bool {
	return len(x.id) > 0 && len(x.last) > 0 && len(x.id) <= maxIdentity && len(x.last) <= maxIdentity &&
		string(x.id) != "." && string(x.id) != ".." && len(x.seen) < maxSeen
}

// Delivered tells whether the client has got an event.
func (x *Interaction) Delivered() bool { return x.any }

// Ended tells whether the event that ends a stream was delivered. Whatever
// follows it is passed on; whatever happens to the connection does not matter.
func (x *Interaction) Ended() bool { return x.ended }

// Events returns how many events the attempt has brought.
func (x *Interaction) Events() int { return x.events }

// Progress tells whether the attempt has brought anything new.
func (x *Interaction) Progress() bool { return x.progress }

// Pending returns how many bytes are held of an event that is not whole.
func (x *Interaction) Pending() int { return len(x.raw) + len(x.scanner.joined) }

// Failure returns the error of the verdict Failed, and AppendHeld the event
// that it came in.
func (x *Interaction) Failure() Failure { return x.failure }

// AppendHeld appends the event of the newest Failed, as it came, and tells
// whether there was any.
func (x *Interaction) AppendHeld(dst []byte) ([]byte, bool) {
	return append(dst, x.held...), len(x.held) > 0
}

// AppendInteractionFailure appends the event by which the API ends a stream
// that has failed.
func AppendInteractionFailure(dst []byte, code, message string) []byte {
	dst = append(dst, "event: error\ndata: {\"error\":{\"message\":"...)
	dst = AppendJSONString(dst, []byte(message))
	dst = append(dst, `,"code":`...)
	dst = AppendJSONString(dst, []byte(code))
	return append(dst, "},\"event_type\":\"error\"}\n\n"...)
}
