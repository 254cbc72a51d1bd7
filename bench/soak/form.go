package main

import (
	"slices"

	"gemini-resilient-proxy/bench/upstream"
)

// form is a kind of arrival, with its share of a hundred.
type form struct {
	name  string
	share int
	run   func(c *client, n int, from moment) (verdict, error)
}

// forms are what arrives. The rest of a hundred is questions over SSE.
var forms = []form{
	{"array", 6, onSurface("array")},
	{"Code Assist", 4, onSurface("Code Assist")},
	{"chat", 10, onSurface("chat")},
	{"Interactions", 4, onSurface("Interactions")},
	{"unary", 10, onSurface("unary")},
	{"unary chat", 4, onSurface("unary chat")},
	{"short relayed", 12, (*client).short},
	{"upload", 2, (*client).upload},
	{"slow reader", 1, (*client).slow},
	{"goes away", 6, (*client).leave},
	{"direct", 4, (*client).direct},
}

// sse is the form of what is left of a hundred.
var sse = form{name: "SSE", run: onSurface("SSE")}

// pick chooses a form by a number below a hundred.
func pick(n int) *form {
	for i := range forms {
		if n < forms[i].share {
			return &forms[i]
		}
		n -= forms[i].share
	}
	return &sse
}

// lacking are the faults that the Interactions API has no words for, or that
// cannot befall it, since it tells again what it has told.
var lacking = []string{"empty", "other", "malformed", "repeat", "restart", "call"}

// faultsOf are the faults of a surface.
func faultsOf(s *surface) (all []upstream.Fault) {
	for _, f := range upstream.Faults {
		if s.is != upstream.Interactions || !slices.Contains(lacking, f.Name) {
			all = append(all, f)
		}
	}
	return all
}

// beforeText are the faults that come before any event: what they do to the
// time to the first event is the upstream's and the backoff's.
var beforeText = []string{"empty", "malformed", "503", "429"}
