package proxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// variants are the ways in which the upstream may write the same answers.
var variants = map[string]func(upstream.Script) upstream.Script{
	"whole": func(s upstream.Script) upstream.Script { return s },
	"bytes": func(s upstream.Script) upstream.Script { return upstream.Script{upstream.Sliced(1, s...)} },
	"LF":    func(s upstream.Script) upstream.Script { return slices.Concat(upstream.Script{upstream.LF()}, s) },
	"gzip":  func(s upstream.Script) upstream.Script { return slices.Concat(upstream.Script{upstream.Gzip()}, s) },
	"gzipLF": func(s upstream.Script) upstream.Script {
		return upstream.Script{upstream.Gzip(), upstream.LF(), upstream.Sliced(7, s...)}
	},
}

// healing runs test on a stage of its own for each variant, side by side.
// Its f plays scripts, in that variant, one an attempt: the client gets one
// whole answer with the given text, and the attempts are as stage.attempts has
// them.
func healing(t *testing.T, change func(*proxy.Config), test func(f func(text, attempts string, scripts ...upstream.Script) reading)) {
	t.Parallel()
	for name, variant := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, change)
			test(func(text, attempts string, scripts ...upstream.Script) reading {
				t.Helper()
				for i := range scripts {
					scripts[i] = variant(scripts[i])
				}
				return s.heals(text, "STOP", attempts, s.play(nil, scripts...))
			})
		})
	}
}

// heals checks that the answer is whole, and the attempts.
func (s *stage) heals(text, finish, attempts string, a answer) reading {
	s.t.Helper()
	r, err := read(a.body)
	if err == nil {
		err = r.whole(text, finish)
	}
	if err == nil {
		err = a.err
	}
	if err != nil || a.status != 200 || a.header.Get("Content-Type") != "text/event-stream" || a.header.Get("Content-Encoding") != "" {
		s.t.Errorf("%d %v: %v in\n%.2000s", a.status, a.header, err, a.body)
	}
	if got := s.attempts(); got != attempts {
		s.t.Errorf("attempts %q, want %q", got, attempts)
	}
	return r
}

// steps makes a script.
func steps(s ...upstream.Step) upstream.Script { return s }

func TestCutStreamGoesOn(t *testing.T) {
	healing(t, nil, func(f func(string, string, ...upstream.Script) reading) {
		for _, end := range []upstream.Step{upstream.Cut(), upstream.Reset(), upstream.End(), upstream.Close()} {
			// After text.
			f(first+second, "|"+first, steps(upstream.Text(first), end), rest)
			f(first+second, "|"+first, steps(upstream.Text(first), upstream.Send(half), end), rest)
			f(first+second, "|"+first, steps(upstream.Text(first), upstream.Send("data: "), end), rest)
			f(first+second, "|"+first, steps(upstream.Text(first), upstream.Usage(), end), rest)
			f(first+second, "|"+first, steps(upstream.Thought("hm"), upstream.Text(first), end), rest)
			// An event that lacks only its blank line counts.
			f(first+"lost"+second, "|"+first+"lost", steps(upstream.Text(first), upstream.Send(half+`"}]}}]}`), end), rest)
			// Before it.
			f(first+second, "|", steps(end), whole)
			f(first+second, "|", steps(upstream.Send(half), end), whole)
			f(first+second, "|", steps(upstream.Usage(), end), whole)
			f(first+second, "|", steps(upstream.Text(""), end), whole)
			f(first+second, "|", steps(upstream.Thought("hm"), end), whole)
			f(first+second, "|", steps(upstream.Head(200, upstream.Chunked, "Content-Type", "text/event-stream"), end), whole)
			// More than once.
			f(first+second, "||"+first+"|"+first+"a ", steps(end), steps(upstream.Text(first), end),
				steps(upstream.Text("a "), upstream.Send(half), end), steps(upstream.TextFinish("time.", "STOP")))
		}
	})
}

func TestMalformedChunkingIsACut(t *testing.T) {
	healing(t, nil, func(f func(string, string, ...upstream.Script) reading) {
		for _, wire := range []string{"zz\r\n", "\r\n", "5\r\nabcdeXY", "-1\r\n", "ffffffffffffffff\r\n", "0\r\nX", "5"} {
			f(first+second, "|"+first, steps(upstream.Text(first), upstream.Wire(wire), upstream.Cut()), rest)
		}
		// What follows is neither waited for nor read.
		f(first+second, "|"+first, steps(upstream.Text(first), upstream.Wire("zz\r\n"), upstream.Stall()), rest)
		f(first+second, "|"+first, steps(upstream.Text(first), upstream.Wire("zz\r\n"), upstream.TextFinish("lost", "STOP")), rest)
		f(first+second, "|", steps(upstream.Usage(), upstream.Wire("zz\r\n"), upstream.Cut()), whole)
	})
}

func TestNaturalEndNeedsNoEndOfTheTransport(t *testing.T) {
	healing(t, nil, func(f func(string, string, ...upstream.Script) reading) {
		for _, end := range []upstream.Step{
			upstream.Cut(), upstream.Reset(), upstream.End(), upstream.Close(), upstream.Wire("zz\r\n"),
			upstream.ErrorRaw(500, "INTERNAL", "late"), upstream.ErrorEvent(503, "UNAVAILABLE", "late"), upstream.Send(half), upstream.Send("[DONE]"),
		} {
			f(first+second, "", slices.Concat(whole, steps(end)))
			f(first+second, "|"+first, steps(upstream.Text(first), upstream.Cut()), slices.Concat(rest, steps(end)))
		}
	})
}

func TestEmptyStopIsAnInterruption(t *testing.T) {
	healing(t, nil, func(f func(string, string, ...upstream.Script) reading) {
		for _, stop := range []upstream.Step{upstream.Finish("STOP"), upstream.FinishBare("STOP")} {
			f(first+second, "|", steps(stop), whole)
			f(first+second, "|", steps(upstream.Usage(), stop), whole)
			f(first+second, "|", steps(stop, upstream.Cut()), whole)
			f(first+second, "|", steps(stop, upstream.ErrorRaw(500, "INTERNAL", "late")), whole)
			f(first+second, "|", steps(stop, upstream.ErrorEvent(500, "INTERNAL", "late")), whole)
			f(first+second, "|", steps(upstream.Thought("hm"), stop), whole)
			// An answer behind it makes it one of many.
			f(first+second, "", slices.Concat(steps(upstream.Text("")), whole))
			// After an answer it is an end.
			f(first, "", steps(upstream.Text(first), upstream.Finish("STOP")))
			f(first, "|"+first, steps(upstream.Text(first), upstream.Cut()), steps(upstream.Finish("STOP")))
		}
	})
}

func TestRetriedFinishIsAnInterruption(t *testing.T) {
	healing(t, nil, func(f func(string, string, ...upstream.Script) reading) {
		for _, reason := range []string{"SAFETY", "RECITATION", "LANGUAGE", "OTHER", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "FINISH_REASON_UNSPECIFIED"} {
			for _, end := range []upstream.Step{upstream.FinishBare(reason), upstream.Finish(reason), upstream.TextFinish("lost", reason)} {
				f(first+second, "|", steps(end), whole)
				f(first+second, "|", steps(upstream.Thought("hm"), end), whole)
				f(first+second, "|"+first, steps(upstream.Text(first), end), rest)
			}
		}
	})
}

func TestErrorInTheStreamIsAnInterruption(t *testing.T) {
	healing(t, nil, func(f func(string, string, ...upstream.Script) reading) {
		for code, status := range map[int]string{408: "CANCELLED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 502: "UNAVAILABLE", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"} {
			pretty := fmt.Sprintf("{\n  \"error\": {\n    \"code\": %d,\n    \"message\": \"}]\\\"\",\n    \"status\": %q\n  }\n}\n", code, status)
			for _, e := range []upstream.Step{
				upstream.ErrorEvent(code, status, "overloaded"), upstream.ErrorRaw(code, status, "overloaded"),
				upstream.Send("[" + pretty + "]\n"), upstream.Send("[" + strings.TrimSpace(pretty) + "\n,\r\n"), upstream.Send(pretty[:40]),
			} {
				f(first+second, "|"+first, steps(upstream.Text(first), e), rest)
				f(first+second, "|", steps(e), whole)
				f(first+second, "|", steps(upstream.Thought("hm"), e), whole)
			}
		}
	})
}

func TestStatusBetweenTwoAttempts(t *testing.T) {
	healing(t, nil, func(f func(string, string, ...upstream.Script) reading) {
		for _, code := range []int{408, 429, 500, 502, 503, 504} {
			busy := steps(upstream.ErrorBody(code, "UNAVAILABLE", "busy", time.Millisecond))
			f(first+second, "|", busy, whole)
			f(first+second, "|"+first+"|"+first, steps(upstream.Text(first), upstream.Cut()), busy, rest)
			f(first+second, "|"+first+"|"+first+"|"+first, steps(upstream.Text(first), upstream.Cut()), steps(upstream.Cut()), busy, rest)
		}
	})
}

func TestSilenceIsAnInterruption(t *testing.T) {
	quick := func(cfg *proxy.Config) {
		cfg.StallTimeout, cfg.FirstEventTimeout = 300*time.Millisecond, 400*time.Millisecond
	}
	healing(t, quick, func(f func(string, string, ...upstream.Script) reading) {
		f(first+second, "|"+first, steps(upstream.Text(first), upstream.Stall()), rest)
		f(first+second, "|"+first, steps(upstream.Text(first), upstream.Send(half), upstream.Stall()), rest)
		// Before the first event.
		f(first+second, "|", steps(upstream.Stall()), whole)
		f(first+second, "|", steps(upstream.Send(half), upstream.Stall()), whole)
		// After the finish it is not waited for.
		f(first+second, "", slices.Concat(whole, steps(upstream.Stall())))
	})
}
