package main

import (
	"strings"

	"gemini-resilient-proxy/bench/upstream"
)

// account answers what gemini-cli asks about a Google account before it asks a
// model. Everything else is for next.
func account(next upstream.Handler) upstream.Handler {
	return func(r *upstream.Request) upstream.Script {
		method, ok := strings.CutPrefix(r.Target, "/v1internal:")
		switch {
		case !ok || strings.HasPrefix(method, "streamGenerateContent?"):
			return next(r)
		case method == "loadCodeAssist":
			return document(`{"currentTier":{"id":"standard-tier","name":"Standard"},"cloudaicompanionProject":"project"}`)
		}
		return document("{}")
	}
}

func document(body string) upstream.Script {
	return upstream.Script{upstream.Status(200, map[string]string{"Content-Type": "application/json; charset=UTF-8"}, body)}
}
