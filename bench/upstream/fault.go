package upstream

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Fault is a way for an answer of a Faulty model to break.
type Fault struct {
	Name  string // what the model's name ends with, behind a dash
	What  string // the same for people
	Model string // the name it is put behind
	Heals bool   // whether going on or asking again gets the whole answer

	play func(c course) Script
}

// ModelName is the name of the model whose answers break in this way.
func (f Fault) ModelName() string { return f.Model + "-" + f.Name }

// course is the state of a conversation when one more request of it comes.
type course struct {
	attempt int    // requests that came for the same turn before
	said    string // what the request says was delivered
	anchor  string // what it asks to be repeated first
	rest    string // what follows
	after   bool   // the result of the function call has come
}

// fresh tells whether nothing is to be continued.
func (c course) fresh() bool { return c.said == "" }

// An older model goes on from its own turn, a newer one refuses that and is
// asked by a user turn.
const (
	olderModel = "gemini-2.5-flash"
	newerModel = "gemini-3.8-flash"
)

// Faults are the ways to break that a Faulty model knows.
var Faults = []Fault{
	{"none", "nothing breaks", olderModel, true, func(c course) Script { return c.whole() }},
	{"closed", "connection closed in mid-answer", olderModel, true, once(Cut())},
	{"reset", "connection reset in mid-answer", newerModel, true, once(Reset())},
	{"event", "cut inside an event", newerModel, true, torn(func(r rune) bool { return r == ' ' })},
	{"character", "cut inside a UTF-8 character", olderModel, true, torn(func(r rune) bool { return r >= utf8.RuneSelf })},
	{"end", "clean end without a finish", newerModel, true, once(End())},
	{"empty", "STOP before any text", olderModel, true, before(Finish("STOP"))},
	{"other", "finish OTHER in mid-answer", newerModel, true, once(Finish("OTHER"))},
	{"malformed", "MALFORMED_FUNCTION_CALL before any text", olderModel, true, before(FinishBare("MALFORMED_FUNCTION_CALL"))},
	{"stall", "silence in mid-answer", newerModel, true, once(Stall())},
	{"error", "error event in mid-answer", newerModel, true, once(ErrorEvent(503, "UNAVAILABLE", "The service is currently unavailable."))},
	{"503", "503 before the answer", olderModel, true, before(ErrorBody(503, "UNAVAILABLE", "The model is overloaded.", 0))},
	{"429", "429 with a delay before the answer", olderModel, true, before(ErrorBody(429, "RESOURCE_EXHAUSTED", "Please retry in 0.2s.", 200*time.Millisecond))},
	{"repeat", "cut; the continuation repeats far more than it was asked to", newerModel, true, func(c course) Script {
		if c.fresh() {
			return once(Cut())(c)
		}
		from := backRunes(c.said, len(c.said), 150)
		return speak(c.said[from:]+c.rest, "STOP")
	}},
	{"restart", "cut; the continuation starts from the beginning", newerModel, true, func(c course) Script {
		if c.fresh() {
			return once(Cut())(c)
		}
		return speak(c.said+c.rest, "STOP")
	}},
	{"several", "four cuts in one answer", newerModel, true, func(c course) Script {
		how := []Step{Cut(), Reset(), End(), Cut()}
		if c.attempt >= len(how) {
			return c.whole()
		}
		return append(speak(c.anchor+c.part(len(how)+1-c.attempt), ""), how[c.attempt])
	}},
	{"call", "cut behind a function call", olderModel, true, func(c course) Script {
		switch {
		case c.after:
			return c.whole()
		case c.attempt > 0:
			return Script{Call(Tool, ToolArgs), Finish("STOP")}
		}
		return Script{Call(Tool, ToolArgs), Cut()}
	}},
	{"hopeless", "cut again and again: cannot be healed", newerModel, false, func(c course) Script {
		if c.fresh() {
			return once(Cut())(course{rest: c.rest})
		}
		return append(speak(c.anchor, ""), Cut())
	}},
	{"refused", "cut, going on is refused: cannot be healed", newerModel, false, func(c course) Script {
		if c.fresh() {
			return once(Reset())(course{rest: c.rest})
		}
		return Script{ErrorBody(403, "PERMISSION_DENIED", "This is not allowed.", 0)}
	}},
}

// The function that the fault "call" calls.
const (
	Tool     = "get_weather"
	ToolArgs = `{"city": "Zürich"}`
)

// FaultOf is the fault that the name of a model asks for.
func FaultOf(model string) (f Fault, ok bool) {
	for _, f := range Faults {
		if strings.HasSuffix(model, "-"+f.Name) {
			return f, true
		}
	}
	return Fault{}, false
}

// once breaks the first attempt at its middle, with steps.
func once(steps ...Step) func(course) Script {
	return func(c course) Script {
		if c.attempt > 0 {
			return c.whole()
		}
		return append(speak(c.half(), ""), steps...)
	}
}

// torn breaks the first attempt at its middle, inside an event whose text ends
// with a character like last.
func torn(last func(rune) bool) func(course) Script {
	return func(c course) Script {
		next := c.rest[len(c.half()):]
		at := strings.IndexFunc(next, last)
		if at < 0 {
			// Nothing is left to tear.
			return once(Cut())(c)
		}
		_, size := utf8.DecodeRuneInString(next[at:])
		return once(Torn(next[:at+size]), Cut())(c)
	}
}

// before breaks the first attempt before any text, with step.
func before(step Step) func(course) Script {
	return func(c course) Script {
		if c.attempt > 0 {
			return c.whole()
		}
		return Script{step}
	}
}

// whole is the rest of the answer, after what is to be repeated.
func (c course) whole() Script { return speak(c.anchor+c.rest, "STOP") }

// half is the first half of what is to come.
func (c course) half() string { return c.part(2) }

// part is the n-th part of what is to come.
func (c course) part(n int) string {
	runes := []rune(c.rest)
	return string(runes[:len(runes)/n])
}

// speak says s at the pace of a model that is in a hurry.
func speak(s, reason string) Script {
	return Script{Say(s, DefaultPiece, 2*time.Millisecond, reason)}
}
