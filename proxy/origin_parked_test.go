package proxy_test

import (
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// What the API keeps waits for its key while that has no quota. With another one
// the API would answer 403, which clients do not try again. A key that is refused
// may never be back.
func TestWhatIsKeptWaitsForItsKey(t *testing.T) {
	f := newFleet(t, 1, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets, Secrets: secrets(3), Fallback: "spare"}, {Name: "spare", Targets: targets, Secrets: secrets(1)}}
	})
	f.play(upstream.Script{upstream.Status(200, map[string]string{"Content-Type": "application/json"}, `{"name": "cachedContents/c"}`)})
	f.post("/v1beta/cachedContents", `{"model":"models/m"}`)
	key := f.keys()
	const cached = `{"cachedContent":"cachedContents/c","contents":[]}`
	uses := [][3]string{
		{"POST", streamPath, cached}, {"POST", "/v1beta/models/x:generateContent", cached}, {"POST", "/v1beta/models/y:countTokens", cached},
		{"GET", "/v1beta/cachedContents/c", ""},
	}
	for _, use := range uses {
		for _, want := range []string{key, ""} { // the second time, it is known
			f.play(upstream.Script{upstream.ErrorBody(429, "RESOURCE_EXHAUSTED", "x", time.Hour)})
			resp, _, err := f.do(use[0], use[1], use[2])
			if err != nil || resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" || f.keys() != want {
				t.Errorf("%s %s: %v %v with keys %q, want %q", use[0], use[1], resp, err, f.keys(), want)
			}
		}
	}
	// Others go on with other keys.
	f.play(upstream.Script{upstream.ErrorBody(429, "RESOURCE_EXHAUSTED", "x", time.Hour)})
	if f.post("/v1beta/models/z:countTokens", `{"contents":[]}`); len(f.keys()) < 3 {
		t.Errorf("keys %q", f.keys())
	}
	f.play(upstream.Script{upstream.ErrorBody(403, "PERMISSION_DENIED", "API key suspended", 0)})
	if f.post("/v1beta/models/v:countTokens", cached); len(f.keys()) < 2 || !strings.HasPrefix(f.keys(), key) {
		t.Errorf("keys %q", f.keys())
	}
}

// The rest of an interaction waits for the key that began it, too.
func TestInteractionWaitsForItsKey(t *testing.T) {
	f := keyed(t, 3, nil)
	f.up.SetHandler(upstream.InTurn(
		upstream.Script{upstream.Head(200, upstream.Chunked, "Content-Type", "text/event-stream"), upstream.Send(interCreated + interDelta(1)), upstream.Cut()},
		upstream.Script{upstream.ErrorBody(429, "RESOURCE_EXHAUSTED", "x", 20*time.Millisecond)},
		upstream.Script{upstream.Head(200, upstream.Chunked, "Content-Type", "text/event-stream"), upstream.Send(interDelta(2) + interEnd), upstream.End()},
	))
	f.up.Reset()
	a := f.ask(interPath, interBody)
	keys := keysUsed(f.up)
	if a.err != nil || a.body != interCreated+interDelta(1)+interDelta(2)+interEnd || keys != strings.Repeat(keys[:1], 3) {
		t.Errorf("with keys %q: %v\n%s", keys, a.err, a.body)
	}
}
