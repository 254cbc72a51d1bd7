package proxy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// status is an answer with a status, of which every byte is to be kept.
func status(code int, body string) upstream.Script {
	return steps(upstream.Status(code, map[string]string{
		"Content-Type": "application/json; charset=UTF-8", "WWW-Authenticate": "Bearer", "X-Gemini-Service-Tier": "standard", "x-lower": "kept",
	}, body))
}

// passes checks that the client got what the upstream alone would have given
// it, after a number of attempts.
func (s *stage) passes(got, want answer, attempts int) {
	s.t.Helper()
	for _, own := range []string{"Date", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers"} {
		got.header.Del(own)
		want.header.Del(own)
	}
	same := func(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }
	if got.err != nil || got.status != want.status || got.body != want.body || !maps.EqualFunc(got.header, want.header, same) {
		s.t.Errorf("%d %v %v %q\nwant %d %v %q", got.status, got.header, got.err, got.body, want.status, want.header, want.body)
	}
	if n := s.up.Count(); n != attempts {
		s.t.Errorf("%d attempts, want %d", n, attempts)
	}
}

func TestOtherStatusPassesAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	f := func(script ...upstream.Step) {
		t.Helper()
		want := s.direct(script...)
		s.passes(s.play(nil, script), want, 1)
	}
	for _, code := range []int{400, 401, 403, 404, 409, 413, 415, 418, 422, 499, 501, 505, 511, 302} {
		f(status(code, fmt.Sprintf("{\n  \"error\": {\n    \"code\": %d\n  }\n}\n", code))...)
		f(status(code, "")...)
		f(status(code, "not JSON \x00\xff")...)
		f(upstream.Gzip(), status(code, `{"error": {}}`)[0])
	}
	// A 200 that is no stream.
	f(upstream.Status(200, nil, `{"candidates": []}`))
	f(upstream.Status(200, map[string]string{"Content-Type": "text/html"}, "<p>log in"))
}

func TestStatusIsRetried(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	for _, code := range []int{408, 429, 500, 502, 503, 504} {
		try := func(n int) upstream.Script { return status(code, fmt.Sprintf("{\n  \"error\": {\"try\": %d}}\n", n)) }
		want := s.direct(try(6)...)
		s.passes(s.play(nil, try(1), try(2), try(3), try(4), try(5), try(6), try(7)), want, 6)
		s.heals(first+second, "STOP", "|", s.play(nil, try(1), whole))
		s.heals(first+second, "STOP", "|||||", s.play(nil, try(1), try(2), try(3), try(4), try(5), whole))
	}
	// The last of several stands; a final one ends it.
	then := func(code int) upstream.Script { return append(status(code, "{}"), upstream.Close()) }
	want := s.direct(status(400, "{}")...)
	s.passes(s.play(nil, then(503), steps(upstream.Cut()), status(400, "{}")), want, 3)
	want = s.direct(status(500, "{}")...)
	s.passes(s.play(nil, then(503), steps(upstream.Cut()), then(500), steps(upstream.Cut())), want, 6)
}

// own checks an answer that the proxy made itself.
func (s *stage) own(a answer, status int, what string) {
	s.t.Helper()
	var body struct {
		Error struct {
			Code            int
			Message, Status string
		}
	}
	err := json.Unmarshal([]byte(a.body), &body)
	if a.err != nil || err != nil || a.status != status || body.Error.Code != status || body.Error.Status == "" || a.header.Get("Content-Type") != "application/json; charset=UTF-8" {
		s.t.Errorf("%d %v %v %s", a.status, a.err, err, a.body)
	}
	if want := `the upstream of group "default" ` + what; body.Error.Message != want {
		s.t.Errorf("message %q, want %q", body.Error.Message, want)
	}
	if strings.Contains(a.body+fmt.Sprint(a.header), "127.0.0.1") || strings.Contains(a.body+s.log.String(), "SECRET") {
		s.t.Errorf("an address or a key got out: %v %s", a.header, a.body)
	}
}

func TestNoAnswerIsRetried(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	key := []string{"x-goog-api-key", "SECRET"}
	f := func(code int, what string, script ...upstream.Step) {
		t.Helper()
		s.own(s.play(key, script), code, what)
		if n := s.up.Count(); n != 6 {
			t.Errorf("%d attempts, want 6", n)
		}
		s.heals(first+second, "STOP", "||", s.play(nil, script, script, whole))
		s.up.CloseConns() // the next story begins without a connection to reuse
		s.up.Await(patience, func() bool { return s.up.OpenConns() == 0 })
	}
	f(502, "closed the connection without an answer", upstream.Cut())
	f(502, "closed the connection without an answer", upstream.Reset())
	f(502, "closed the connection without an answer", upstream.Wire("HTTP/1.1 200 O"), upstream.Cut())
	f(502, "sent a response that cannot be read", upstream.Wire("HTTP/1.1 abc\r\n\r\n"))
	f(502, "sent a response that cannot be read", upstream.Wire("SSH-2.0-OpenSSH_9.6\r\n"))
	f(502, "sent a response that cannot be read", upstream.Head(200, upstream.Chunked, "X-Big", strings.Repeat("x", 40<<10)))
	f(502, "sent a response that cannot be read", upstream.Wire("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
	stream := upstream.Head(200, upstream.Chunked, "Content-Type", "text/event-stream")
	f(502, "sent a response that cannot be read", stream, upstream.Wire("zz\r\n"))
	f(502, "sent a response that cannot be read", stream, upstream.Wire("5;"+strings.Repeat("x", 64<<10)+"\r\ndata:\r\n"))
	f(502, "closed the connection without an answer", upstream.LimitBody(0, upstream.FIN), upstream.Text(""))
	f(502, "closed the connection without an answer", upstream.LimitBody(0, upstream.Clean), upstream.Text(""))
}

// What is left of an error whose body cannot be read is its status, and what it
// says besides.
func TestStatusOutlivesItsBody(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	f := func(code int, framing upstream.Framing, rest ...upstream.Step) {
		t.Helper()
		head := upstream.Head(code, framing, "Content-Type", "text/html", "Retry-After", "99")
		a := s.play(nil, append(steps(head), rest...))
		s.own(a, code, fmt.Sprintf("answered with status %d and a body that could not be read", code))
		if got := a.header.Get("Retry-After"); got != "99" || s.up.Count() != 1 {
			t.Errorf("Retry-After %q, %d attempts", got, s.up.Count())
		}
	}
	large := strings.Repeat("x", 1<<20+1)
	for _, code := range []int{408, 429, 500, 502, 503, 504} {
		f(code, upstream.Length(100), upstream.Send("<p>"), upstream.Cut())
		f(code, upstream.Chunked, upstream.Send("<p>"), upstream.Cut())
		f(code, upstream.Chunked, upstream.Send("<p>"), upstream.Reset())
		f(code, upstream.Length(int64(len(large))), upstream.Send(large), upstream.Close())
	}
}

func TestSilentUpstreamIsATimeout(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(cfg *proxy.Config) { cfg.FirstEventTimeout, cfg.MaxConsecutiveFailures = 200*time.Millisecond, 1 })
	s.own(s.play(nil, steps(upstream.Stall())), 504, "did not answer in time")
	s.own(s.play(nil, steps(upstream.Head(200, upstream.Chunked, "Content-Type", "text/event-stream"), upstream.Stall())), 504, "did not answer in time")
	if n := s.up.Count(); n != 2 {
		t.Errorf("%d attempts, want 2", n)
	}
}

func TestServerTimeoutOfTheClientCounts(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures = 1 })
	s.own(s.play([]string{"X-Server-Timeout", "0.3"}, steps(upstream.Stall())), 504, "did not answer in time")
	s.heals(first+second, "STOP", "|", s.play([]string{"X-Server-Timeout", "0.3"}, steps(upstream.Stall()), whole))
}

func TestUpstreamThatIsNotThere(t *testing.T) {
	t.Parallel()
	dead := refusing(t)
	s := newStage(t, func(cfg *proxy.Config) { cfg.UpstreamURLBase = "http://" + dead })
	s.own(s.ask(streamPath, s.body, "x-goog-api-key", "SECRET"), 502, "could not be connected")
	if n := s.logged(1, "attempts"); n != 6. {
		t.Errorf("%v attempts, want 6", n)
	}
	if log := s.log.String(); strings.Contains(log, `"duration_ms":9223372`) {
		t.Error("attempts that never were sent last for ever")
	}
}

func TestUpstreamSaysWhenToRetry(t *testing.T) {
	t.Parallel()
	after := func(seconds string) upstream.Script {
		return steps(upstream.Status(429, map[string]string{"retry-after": seconds}, "{}"))
	}
	info := func(d time.Duration) upstream.Script {
		return steps(upstream.ErrorBody(429, "RESOURCE_EXHAUSTED", "slow down", d))
	}
	s := newStage(t, nil)
	waits := func(atLeast time.Duration, scripts ...upstream.Script) {
		t.Helper()
		start := time.Now()
		s.heals(first+second, "STOP", "|", s.play(nil, scripts...))
		if d := time.Since(start); d < atLeast {
			t.Errorf("waited %v, want %v", d, atLeast)
		}
	}
	waits(0, after("0"), whole)
	waits(time.Second, after("1"), whole)
	waits(300*time.Millisecond, info(300*time.Millisecond), whole)
	waits(300*time.Millisecond, steps(upstream.Gzip(), info(300 * time.Millisecond)[0]), whole)
	waits(0, after("Mon, 02 Jan 2006 15:04:05 GMT"), whole)
	// Longer than the proxy waits.
	for _, script := range []upstream.Script{after("31"), info(31 * time.Second), after("99999999999999999999"), after("Fri, 31 Dec 9999 23:59:59 GMT")} {
		want := s.direct(script...)
		s.passes(s.play(nil, script, whole), want, 1)
	}
}

func TestStaleConnectionIsNoFailure(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures = 1 })
	s.heals(first+second, "STOP", "", s.play(nil, whole))
	// Closed while it was idle.
	s.up.CloseConns()
	s.up.Await(patience, func() bool { return s.up.OpenConns() == 0 })
	s.heals(first+second, "STOP", "", s.play(nil, whole))
	// Closed under the request. That is no attempt that counts.
	s.heals(first+second, "STOP", "|", s.play(nil, steps(upstream.Cut()), whole))
	s.heals(first+second, "STOP", "|", s.play(nil, steps(upstream.Reset()), whole))
	for n := 1; n <= 4; n++ {
		if got := s.logged(n, "attempts"); got != 1. {
			t.Errorf("%v attempts, want 1", got)
		}
	}
}
