package main

import (
	"slices"

	"gemini-resilient-proxy/bench/upstream"
)

// outcome is what became of an answer, as a cell of the table says it.
type outcome string

const (
	whole     outcome = "whole"     // the text, its finish, and the history as they ought to be
	failed    outcome = "error"     // the client raised an error
	half      outcome = "half"      // a part of the text or nothing of it, and no error
	garbled   outcome = "garbled"   // something else than the text or its beginning
	unended   outcome = "no finish" // the text without its natural finish
	forgotten outcome = "forgotten" // the text, which is not in the history that follows
	hangs     outcome = "hangs"     // no end at all
	missing   outcome = "missing"   // no report
)

// wanted is what a cell ought to say.
func wanted(f upstream.Fault) outcome {
	if f.Heals {
		return whole
	}
	return failed
}

// judge says how a conversation went. later is the request that came with the
// second question, nil if none did.
func judge(j Job, r *Report, later []upstream.Turn) outcome {
	switch {
	case r == nil:
		return missing
	case r.Hung:
		return hangs
	case r.Error != "" && r.Text == "":
		return failed
	case j.Tool && !slices.Contains(r.Calls, upstream.Tool):
		return half
	case r.Text != first:
		return unlike(r.Text)
	case r.Finish != "stop":
		return unended
	case r.Error != "" || r.Later != second || !remembers(j, later):
		return forgotten
	}
	return whole
}

// unlike names a text that is not the whole answer.
func unlike(text string) outcome {
	if len(text) < len(first) && text == first[:len(text)] {
		return half
	}
	return garbled
}

// remembers tells whether the turns between the two questions are the whole
// first answer, and the function call with its result if there was to be one.
func remembers(j Job, turns []upstream.Turn) bool {
	place, _ := upstream.Asked(turns)
	text, called, answered := "", false, false
	for i := place - 1; i >= 0; i-- {
		t := turns[i]
		if _, mark := upstream.Asked(turns[i : i+1]); mark == j.firstMark() {
			break
		}
		if t.Role == "model" {
			text = t.Text + text
		}
		called = called || t.Call == upstream.Tool
		answered = answered || t.Result != ""
	}
	return text == first && called == j.Tool && answered == j.Tool
}

// history maps the mark of each second question to the turns it came with.
func history(requests []*upstream.Request) map[string][]upstream.Turn {
	got := make(map[string][]upstream.Turn)
	for _, r := range requests {
		turns, err := r.Contents()
		if err != nil {
			continue
		}
		if _, mark := upstream.Asked(turns); got[mark] == nil {
			got[mark] = turns
		}
	}
	return got
}
