package main

import (
	"fmt"
	"strings"

	"gemini-resilient-proxy/bench/upstream"
)

// answer is what a client made of a response.
type answer struct {
	status   int
	text     strings.Builder
	called   bool // the function of the fault "call"
	finishes []string
	failed   string // how the client learned that something is wrong
}

// add takes in one message.
func (a *answer) add(m *message) {
	if m.Response != nil {
		a.add(m.Response)
	}
	if m.Error != nil || m.EventType == "error" {
		a.fail("an error object")
		return
	}
	for _, c := range m.Candidates {
		for _, p := range c.Content.Parts {
			a.text.WriteString(p.Text)
			a.called = a.called || p.FunctionCall != nil && p.FunctionCall.Name == upstream.Tool
		}
		a.finish(c.FinishReason)
	}
	for _, c := range m.Choices {
		for _, t := range []chatText{c.Delta, c.Message} {
			a.text.WriteString(t.Content)
			for _, call := range t.ToolCalls {
				a.called = a.called || call.Function.Name == upstream.Tool
			}
		}
		a.finish(c.FinishReason)
	}
	a.text.WriteString(m.Delta.Text)
	if m.EventType == "interaction.completed" {
		a.finish("stop")
	}
}

func (a *answer) finish(reason string) {
	if reason != "" {
		a.finishes = append(a.finishes, strings.ToLower(reason))
	}
}

// fail notes the first thing that went wrong.
func (a *answer) fail(how string) {
	if a.failed == "" {
		a.failed = how
	}
}

// verdict is what an answer counts as.
type verdict int

const (
	whole    verdict = iota // the text, its finish, nothing else
	honest                  // an answer that cannot be healed, and an error that says so
	left                    // the client went away, as it was meant to
	unhealed                // an error where the answer could have been healed
	wrong                   // anything else: half an answer without an error, text that is not the answer's
	hung                    // no end while anybody waited
	verdicts
)

var verdictNames = [verdicts]string{"whole", "honest errors", "left by the client", "not healed", "wrong", "hung"}

// judge compares an answer with what a fault allows. want is the whole text.
func (a *answer) judge(f upstream.Fault, want string) (verdict, error) {
	calls := f.Name == "call"
	if calls {
		want = ""
	}
	text := a.text.String()
	complete := a.failed == "" && text == want && a.called == calls && len(a.finishes) == 1 &&
		(a.finishes[0] == "stop" || calls && a.finishes[0] == "tool_calls")
	switch {
	case complete && f.Heals:
		return whole, nil
	case a.failed != "" && !f.Heals && strings.HasPrefix(want, text):
		return honest, nil
	case a.failed != "" && f.Heals && strings.HasPrefix(want, text):
		return unhealed, fmt.Errorf("status %d, %d of %d bytes, then %s", a.status, len(text), len(want), a.failed)
	}
	return wrong, fmt.Errorf("status %d, %d bytes of %d (%t), finishes %v, failed %q", a.status, len(text), len(want), strings.HasPrefix(want, text), a.finishes, a.failed)
}
