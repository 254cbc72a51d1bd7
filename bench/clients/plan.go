package main

import (
	"fmt"

	"gemini-resilient-proxy/bench/upstream"
)

// Plan is what a client program gets on its standard input.
type Plan struct {
	URL      string `json:"url"`      // of the proxy, or of the upstream itself
	Parallel int    `json:"parallel"` // conversations at a time
	Jobs     []Job  `json:"jobs"`
}

// Job is one conversation.
type Job struct {
	ID       string `json:"id"`
	Call     string `json:"call"`     // which of the client's ways to ask, see clients
	Patience int    `json:"patience"` // seconds that one answer may take
	Model    string `json:"model"`
	First    string `json:"first"`  // the question whose answer breaks
	Second   string `json:"second"` // the one behind it
	Tool     bool   `json:"tool"`   // whether the model may call a function

	column column
	fault  upstream.Fault
}

// Report is how a conversation went, a line of a client's standard output.
type Report struct {
	ID     string   `json:"id"`
	Text   string   `json:"text"`   // the first answer; with a function call, what came after its result
	Finish string   `json:"finish"` // its finish reason in lower case, as the client names it
	Calls  []string `json:"calls"`  // the functions that the model called
	Error  string   `json:"error"`  // what the client raised, for either question
	Hung   bool     `json:"hung"`   // an answer took longer than Patience
	Later  string   `json:"later"`  // the second answer
}

// firstMark and secondMark are what the upstream tells the questions by.
func (j Job) firstMark() string  { return "[" + j.ID + "#1]" }
func (j Job) secondMark() string { return "[" + j.ID + "#2]" }

// newJob is the conversation of a column over a fault. way tells the runs apart.
func newJob(way string, c column, f upstream.Fault) Job {
	j := Job{
		ID:       fmt.Sprintf("%s.%s.%s.%s", way, c.client.id, c.name, f.Name),
		Call:     c.name,
		Patience: patience(way, c),
		Model:    f.ModelName(),
		Tool:     f.Name == "call",
		column:   c,
		fault:    f,
	}
	j.First = "Why is the sky blue? " + j.firstMark()
	j.Second = "And is that all? " + j.secondMark()
	return j
}

// patience is short where it is usual that an answer never ends, without the
// proxy. It tells a hang from an error and measures nothing.
func patience(way string, c column) int {
	switch {
	case way != without:
		return 90
	case c.client.program:
		return 30 // it waits before it tries again
	}
	return 8
}
