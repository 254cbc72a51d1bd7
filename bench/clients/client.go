package main

import "gemini-resilient-proxy/bench/upstream"

// client is a client library, or a program.
type client struct {
	id      string // unique, and fit for a mark
	name    string // for people
	pkg     string // under which its version is found in the lock file
	module  string // what run.mjs loads; empty for the Go client
	calls   []call
	program bool // a program that is started for every question, not a library
}

// call is one of a client's ways to ask.
type call struct {
	name    string
	surface upstream.Surface
}

// column of a table is a client that asks in one way.
type column struct {
	client  *client
	call    string
	surface upstream.Surface
}

var (
	both   = []call{{"stream", upstream.SSE}, {"whole", upstream.Unary}}
	stream = both[:1]
)

// clients in the order of the tables.
var clients = []*client{
	{"genai1", "`@google/genai`", "genai1", "genai:genai1", both, false},
	{"genai2", "`@google/genai`", "genai2", "genai:genai2", both, false},
	{"genai3", "`@google/genai`", "genai3", "genai:genai3", both, false},
	{"generative-ai", "`@google/generative-ai`", "@google/generative-ai", "generative-ai", both, false},
	{"ai", "`ai`, `@ai-sdk/google`", "ai", "ai", both, false},
	{"langchain", "`@langchain/google-genai`", "@langchain/google-genai", "langchain", both, false},
	{"genai-go", "Go `genai`", "google.golang.org/genai", "", both, false},
	{"gemini-cli", "`gemini-cli`", "@google/gemini-cli", "gemini-cli", stream, true},
	{"gemini-cli-login", "`gemini-cli` (Google login)", "@google/gemini-cli", "gemini-cli", []call{{"login", upstream.CodeAssist}}, true},
	{"array", "`fetch`, JSON array", "", "array", []call{{"array", upstream.Array}}, false},
	{"openai", "`openai`", "openai", "openai", []call{{"stream", upstream.OpenAI}, {"whole", upstream.OpenAIUnary}}, false},
}

// on tells whether the column is tried on a way.
func (c column) on(way string) bool {
	return way != folded || c.surface == upstream.Unary || c.surface == upstream.OpenAIUnary
}

// columns are all columns of some clients.
func columns(clients []*client) (all []column) {
	for _, c := range clients {
		for _, call := range c.calls {
			all = append(all, column{c, call.name, call.surface})
		}
	}
	return all
}

// workers is the number of conversations that a client holds at a time.
func (c *client) workers() int {
	if c.program {
		return 3
	}
	return 10
}
