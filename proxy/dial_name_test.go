package proxy_test

import (
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// TestUpstreamByName: answers are healed from an upstream that has a name, over
// connections to an address that was found before.
func TestUpstreamByName(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	named := newStage(t, func(cfg *proxy.Config) {
		cfg.UpstreamURLBase = strings.Replace(s.up.URL(), "127.0.0.1", "localhost", 1)
	})
	s.addr, s.log = named.addr, named.log
	for range 3 {
		s.heals(first+second, "STOP", "|"+first, s.play(nil, piece(first), steps(upstream.TextFinish(second, "STOP"))))
	}
	for _, r := range s.up.Requests() {
		if !strings.HasPrefix(r.Host, "localhost:") {
			t.Errorf("asked for %s", r.Host)
		}
	}
}
