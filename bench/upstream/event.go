package upstream

import (
	"time"
	"unicode/utf8"
)

// kind is what an event tells.
type kind int

const (
	textEvent kind = iota
	thoughtEvent
	callEvent
	bareEvent // a reason without content
	blockEvent
	usageEvent
	failureEvent
)

// event is what one step tells, before a surface gives it its form.
type event struct {
	kind   kind
	text   string // of text and thought; the message of a failure
	reason string // the finishReason; the blockReason of a block
	name   string // of the call; the status of a failure
	args   string // of the call, JSON
	code   int    // of the failure
}

func (e event) play(a *answer) error { return a.form.event(a, e) }

// Text sends an event with a piece of the answer.
func Text(s string) Step { return TextFinish(s, "") }

// TextFinish sends the last piece together with a finishReason.
func TextFinish(s, reason string) Step { return event{kind: textEvent, text: s, reason: reason} }

// Finish sends the last event with an empty text, as Google often does.
func Finish(reason string) Step { return TextFinish("", reason) }

// FinishBare sends the last event with a candidate that has no content.
func FinishBare(reason string) Step { return event{kind: bareEvent, reason: reason} }

// Thought sends an event with a thought summary.
func Thought(s string) Step { return event{kind: thoughtEvent, text: s} }

// Call sends an event with a whole function call. args is a JSON object and is
// sent as it is.
func Call(name, args string) Step { return event{kind: callEvent, name: name, args: args} }

// Block sends the only event of an answer whose prompt was blocked.
func Block(reason string) Step { return event{kind: blockEvent, reason: reason} }

// Usage sends an event that has usage and no candidate.
func Usage() Step { return event{kind: usageEvent} }

// Torn sends the event of a piece of the answer as far as the middle of the
// last character of s: inside a character if that has several bytes, else
// just before it. It belongs before Cut or Reset.
func Torn(s string) Step {
	return act(func(a *answer) error { return a.form.torn(a, event{kind: textEvent, text: s}) })
}

// Prompt makes n the promptTokenCount of the following events.
func Prompt(n int) Step {
	return act(func(a *answer) error {
		a.reply.prompt = n
		return nil
	})
}

// LF ends the following events with "\n\n" instead of "\r\n\r\n".
func LF() Step {
	return act(func(a *answer) error {
		a.reply.eol = "\n\n"
		return nil
	})
}

// Say sends s in events of piece runes (DefaultPiece if piece is not
// positive) with a wait between them. A reason finishes the last one; without
// any text it is an event of its own.
func Say(s string, piece int, wait time.Duration, reason string) Step {
	return act(func(a *answer) error {
		for rest := s; ; {
			var now string
			now, rest = cutRunes(rest, piece)
			if rest != "" {
				if err := Text(now).play(a); err != nil {
					return err
				}
				if err := a.gap(wait); err != nil {
					return err
				}
				continue
			}
			if now == "" && reason == "" {
				return nil
			}
			return TextFinish(now, reason).play(a)
		}
	})
}

// Events returns the events which a Model without faults sends to the first
// request of an Upstream, byte for byte. answer is valid UTF-8.
func Events(answer string, piece int) []string {
	return EventsOf(responseID(0), answer, piece)
}

// EventsOf is Events with another responseId, see Request.ResponseID.
func EventsOf(id, answer string, piece int) (events []string) {
	r := newReply(id)
	for {
		var now string
		now, answer = cutRunes(answer, piece)
		if answer == "" {
			return append(events, string(r.appendText(nil, now, "STOP")))
		}
		events = append(events, string(r.appendText(nil, now, "")))
	}
}

// cutRunes cuts s after n runes, DefaultPiece if n is not positive.
func cutRunes(s string, n int) (first, rest string) {
	if n <= 0 {
		n = DefaultPiece
	}
	i := 0
	for ; n > 0 && i < len(s); n-- {
		_, size := utf8.DecodeRuneInString(s[i:])
		i += size
	}
	return s[:i], s[i:]
}
