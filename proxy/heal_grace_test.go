package proxy_test

import (
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// TestCommentsDoNotKeepAnAnswer: behind the finish the end of the body is waited for
// as long as a stream may be silent, and no longer because the upstream sends
// comments on and on.
func TestCommentsDoNotKeepAnAnswer(t *testing.T) {
	t.Parallel()
	const pings = 200
	for name, e := range answersOfTwo() {
		if e.kind != "text/event-stream" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := upstream.Script{upstream.Header("Content-Type", e.kind), upstream.Send(e.first), upstream.Send(strings.TrimSuffix(e.second, "data: [DONE]\n\n"))}
			for range pings {
				script = append(script, upstream.Pause(50*time.Millisecond), upstream.Send(": ping\n\n"))
			}
			r := newRig(t, upstream.Always(append(script, upstream.End())), func(c *proxy.Config) { c.StallTimeout = time.Second })
			resp, body, err := r.post(e.target, e.body)
			if err != nil || resp.StatusCode != 200 || !strings.Contains(body, "two") || strings.Contains(body, "error") {
				t.Fatalf("%v %v %q", resp, err, body)
			}
			r.await("the upstream is left", r.arrived(0).Gone)
		})
	}
}
