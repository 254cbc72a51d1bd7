package proxy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// interrupted is the error at the end of an answer that could not be completed.
func interrupted(outcome, why string, attempts int) string {
	return fmt.Sprintf(`{"error": {"code": 503,"message": "The answer was interrupted (%s) and could not be completed (%s) after %d attempts.","status": "UNAVAILABLE"}}`,
		outcome, why, attempts)
}

// breaks checks that an answer holds a text, no finish, and ends with the two
// forms of an error, well framed.
func (s *stage) breaks(text, failure, attempts string, a answer) {
	s.t.Helper()
	r, err := read(a.body)
	if err != nil || a.err != nil || a.status != 200 || r.text != text || len(r.finishes) > 0 || r.failure != failure || r.raw != failure {
		s.t.Errorf("%d %v %v %q, want %q and\n%s\nin\n%.2000s", a.status, a.err, err, r.text, text, failure, a.body)
	}
	if got := s.attempts(); got != attempts {
		s.t.Errorf("attempts %q, want %q", got, attempts)
	}
}

// nothing is an attempt that breaks after its head. Unlike one without a head
// it is never taken for a stale connection.
var nothing = steps(upstream.LimitBody(0, upstream.FIN), upstream.Text(""))

// piece is an attempt that brings a little and breaks.
func piece(text string) upstream.Script { return steps(upstream.Text(text), upstream.Cut()) }

func TestConsecutiveFailuresAreBounded(t *testing.T) {
	t.Parallel()
	none := steps(upstream.Cut())
	for _, most := range []int{1, 2, 3} {
		s := newStage(t, func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures = most })
		seams := strings.Repeat("|"+first, most)
		s.own(s.play(nil, none), 502, "closed the connection without an answer")
		if n := s.up.Count(); n != most+1 {
			t.Errorf("%d attempts, want %d", n, most+1)
		}
		s.breaks(first, interrupted("connect_failed", "failures", most+1), seams, s.play(nil, piece(first), none))
		s.breaks(first, interrupted("cut", "failures", most+1), seams, s.play(nil, piece(first), steps(upstream.Send(half))))
		s.breaks(first, interrupted("status", "failures", most+1), seams, s.play(nil, piece(first), status(503, "{}")))
		// Text starts the count anew, a thought does not.
		s.breaks("ab", interrupted("cut", "failures", most+2), "|a"+strings.Repeat("|ab", most), s.play(nil, piece("a"), piece("b"), steps(upstream.Usage())))
		s.breaks("", interrupted("cut", "failures", most+1), strings.Repeat("|", most), s.play(nil, steps(upstream.Thought("hm"))))
		s.breaks("a", interrupted("cut", "failures", most+1), strings.Repeat("|a", most), s.play(nil, piece("a"), steps(upstream.Thought("hm"))))
	}
}

func TestProgressNeverRunsOutOfFailures(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures = 1 })
	letters := "abcdefghijklmnopqrstuvw"
	var scripts []upstream.Script
	attempts := ""
	for i, c := range letters {
		scripts = append(scripts, piece(string(c)))
		attempts += "|" + letters[:i+1]
	}
	s.heals(letters+"x", "STOP", attempts, s.play(nil, append(scripts, steps(upstream.TextFinish("x", "STOP")))...))
}

func TestAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(cfg *proxy.Config) { cfg.MaxAttempts = 4 })
	s.breaks("abcd", interrupted("cut", "attempts", 4), "|a|ab|abc", s.play(nil, piece("a"), piece("b"), piece("c"), piece("d"), whole))
	s.heals("abc"+second, "STOP", "|a|ab|abc", s.play(nil, piece("a"), piece("b"), piece("c"), rest))
	want := s.direct(status(503, "{}")...)
	s.passes(s.play(nil, status(503, "{}")), want, 4)
}

// An event that never ends is given up, in whatever lines it comes.
func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("sends 65 MiB")
	}
	s := newStage(t, nil)
	line := upstream.Send("data: " + strings.Repeat("x", 1<<20) + "\n")
	endless := steps(upstream.Text(first))
	for range 66 {
		endless = append(endless, line)
	}
	s.heals(first+second, "STOP", "|"+first, s.play(nil, append(endless, upstream.Stall()), rest))
}

func TestDeadlineIsOfTheWholeRequest(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(cfg *proxy.Config) { cfg.StreamDeadline = 400 * time.Millisecond })
	over := interrupted("deadline", "deadline", 1)
	s.breaks(first, over, "", s.play(nil, steps(upstream.Text(first), upstream.Stall())))
	s.own(s.play(nil, steps(upstream.Stall())), 504, "did not complete the answer in time")
	s.own(s.play(nil, nothing, steps(upstream.Head(200, upstream.Chunked), upstream.Stall())), 504, "did not complete the answer in time")
	// Not silence, but too much.
	a := s.play(nil, steps(upstream.Say(strings.Repeat("x", 1000), 1, 10*time.Millisecond, "STOP")))
	if r, err := read(a.body); err != nil || a.err != nil || r.failure != over || r.text == "" || len(r.finishes) > 0 {
		t.Errorf("%v %v %.300q", a.err, err, a.body)
	}
	// A wait that would outlast it is not begun.
	late := steps(upstream.ErrorBody(503, "UNAVAILABLE", "later", 5*time.Second))
	want := s.direct(late...)
	s.passes(s.play(nil, late), want, 1)
	s.breaks(first, interrupted("status", "deadline", 2), "|"+first, s.play(nil, piece(first), late))
	// What was said before it stands.
	want = s.direct(status(503, "{}")...)
	s.passes(s.play(nil, append(status(503, "{}"), upstream.Close()), steps(upstream.Stall())), want, 2)
}

func TestNoHealingWithoutRetries(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures = 0 })
	f := func(script ...upstream.Step) {
		t.Helper()
		want := s.direct(script...)
		got := s.play(nil, script, whole)
		if got.body != want.body || (got.err == nil) != (want.err == nil) || got.status != want.status || s.up.Count() != 1 {
			t.Errorf("%d attempts, %d %v %q, want %d %v %q", s.up.Count(), got.status, got.err, got.body, want.status, want.err, want.body)
		}
		if kind := s.logged(1, "kind"); kind != "relay" {
			t.Errorf("kind %v", kind)
		}
	}
	f(whole...)
	f(status(503, "{}")...)
	f(upstream.Text(first), upstream.Cut())
	f(upstream.Text(first), upstream.Send(half))
	f(upstream.LF(), upstream.Text(first), upstream.Finish("SAFETY"))
	f(upstream.Send(": comment\n\ndata: [DONE]\n\n"))
	f()
}
