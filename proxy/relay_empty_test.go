package proxy_test

import (
	"fmt"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

// TestRelayWithoutBodyIsJudged: a response that has no body is over with its head,
// and counts for its target like any other.
func TestRelayWithoutBodyIsJudged(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	n := 0
	for _, status := range []int{200, 204, 304, 404} {
		for _, method := range []string{"HEAD", "GET"} {
			if method == "GET" && status != 204 && status != 304 {
				continue
			}
			s.up.SetHandler(upstream.Always(upstream.Script{upstream.Status(status, nil, "")}))
			resp, body, err := s.do(method, "/v1beta/models", "")
			if err != nil || resp.StatusCode != status || body != "" {
				t.Errorf("%s, %d: %v %q %v", method, status, resp, body, err)
			}
			n++
			if v := fmt.Sprint(s.logged(n, "verdicts")); v != "natural" {
				t.Errorf("%s, %d: verdicts %q, want natural", method, status, v)
			}
		}
	}
}
