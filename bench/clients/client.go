package main

import (
	"slices"

	"gemini-resilient-proxy/bench/upstream"
)

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
	note    string // for people, where the client has another way to ask for the same
}

// column of a table is a client that asks in one way.
type column struct {
	client *client
	call
}

var (
	both   = []call{{"stream", upstream.SSE, ""}, {"whole", upstream.Unary, ""}}
	vertex = append(both[:2:2], call{"vertex", upstream.SSE, "Vertex AI"})
	login  = append(both[:1:1], call{"login", upstream.CodeAssist, "Google login"})
	array  = []call{{"array", upstream.Array, "JSON array"}}
	third  = append(vertex[:3:3], call{"interaction", upstream.Interactions, "Interactions"})
	chat   = []call{{"stream", upstream.OpenAI, ""}, {"helper", upstream.OpenAI, "its `.stream()`"}, {"whole", upstream.OpenAIUnary, ""}}
)

// clients in the order of the tables.
var clients = []*client{
	{"genai1", "`@google/genai`", "genai1", "genai:genai1", both, false},
	{"genai2", "`@google/genai`", "genai2", "genai:genai2", both, false},
	{"genai3", "`@google/genai`", "genai3", "genai:genai3", third, false},
	{"generative-ai", "`@google/generative-ai`", "@google/generative-ai", "generative-ai", both, false},
	{"ai", "`ai` with `@ai-sdk/google`", "ai", "ai", both, false},
	{"langchain", "`@langchain/google-genai`", "@langchain/google-genai", "langchain", both, false},
	{"genai-go", "Go `genai`", "google.golang.org/genai", "", vertex, false},
	{"gemini-cli", "`gemini-cli`", "@google/gemini-cli", "gemini-cli", login, true},
	{"array", "`fetch`", "", "array", array, false},
	{"openai", "`openai`", "openai", "openai", chat, false},
}

// on tells whether the column is tried on a way.
func (c column) on(way string) bool {
	return way != folded || c.surface == upstream.Unary || c.surface == upstream.OpenAIUnary
}

// notThere are the faults that the Interactions API has no words for, or that
// cannot befall it, since it tells again what it has told.
var notThere = []string{"empty", "other", "malformed", "repeat", "restart", "call"}

// has tells whether a fault is tried in the column.
func (c column) has(f upstream.Fault) bool {
	return c.surface != upstream.Interactions || !slices.Contains(notThere, f.Name)
}

// columns are all columns of some clients.
func columns(clients []*client) (all []column) {
	for _, c := range clients {
		for _, call := range c.calls {
			all = append(all, column{c, call})
		}
	}
	return all
}

// workers is the number of conversations that a client holds at a time.
func (c *client) workers() int {
	if c.program {
		return 4
	}
	return 10
}
