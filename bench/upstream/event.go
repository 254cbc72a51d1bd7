package upstream

import (
	"time"
	"unicode/utf8"
)

// encode makes a step that sends one event.
func encode(f func(r *reply, dst []byte) []byte) Step {
	return act(func(a *answer) error { return a.emit(f) })
}

func (a *answer) emit(f func(r *reply, dst []byte) []byte) error {
	a.event = f(&a.reply, a.event[:0])
	return a.body(a.event)
}

// Text sends an event with a piece of the answer.
func Text(s string) Step { return TextFinish(s, "") }

// TextFinish sends the last piece together with a finishReason.
func TextFinish(text, reason string) Step {
	return encode(func(r *reply, dst []byte) []byte { return r.appendText(dst, text, reason) })
}

// Finish sends the last event with an empty text, as Google often does.
func Finish(reason string) Step { return TextFinish("", reason) }

// FinishBare sends the last event with a candidate that has no content.
func FinishBare(reason string) Step {
	return encode(func(r *reply, dst []byte) []byte { return r.appendBare(dst, reason) })
}

// Thought sends an event with a thought summary.
func Thought(s string) Step {
	return encode(func(r *reply, dst []byte) []byte { return r.appendThought(dst, s) })
}

// Call sends an event with a whole function call. args is a JSON object and is
// sent as it is.
func Call(name, args string) Step {
	return encode(func(r *reply, dst []byte) []byte { return r.appendCall(dst, name, args) })
}

// Block sends the only event of an answer whose prompt was blocked.
func Block(reason string) Step {
	return encode(func(r *reply, dst []byte) []byte { return r.appendBlock(dst, reason) })
}

// Usage sends an event that has usage and no candidate.
func Usage() Step {
	return encode(func(r *reply, dst []byte) []byte { return r.appendEnd(r.appendUsage(append(dst, "data: {"...))) })
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

// Say sends text in events of piece runes (DefaultPiece if piece is not
// positive) with a wait between them. A reason finishes the last one; without
// any text it is an event of its own.
func Say(text string, piece int, wait time.Duration, reason string) Step {
	return act(func(a *answer) error {
		for rest := text; ; {
			var now string
			now, rest = cutRunes(rest, piece)
			if rest != "" {
				if err := a.emit(func(r *reply, dst []byte) []byte { return r.appendText(dst, now, "") }); err != nil {
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
			return a.emit(func(r *reply, dst []byte) []byte { return r.appendText(dst, now, reason) })
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
