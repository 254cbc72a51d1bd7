package proxy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// begun is a document that breaks off behind first.
func begun() upstream.Script {
	body := docOf(first+second, "STOP")
	return append(steps(upstream.LimitBody(strings.Index(body, second), upstream.FIN)), json200(body))
}

// A part of an answer alone is never given to the client.
func TestUnaryGivesUpWithAnError(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c *proxy.Config) { c.MaxConsecutiveFailures = 2 })
	s.own(s.playUnary(nil, steps(upstream.Cut())), 502, "closed the connection without an answer")
	none := steps(json200(""))
	s.own(s.playUnary(nil, begun(), none), 502, "did not complete the answer")
	if got := s.attempts(); got != "|"+first+"|"+first {
		t.Errorf("attempts %q", got)
	}
	direct := func(script upstream.Script) answer {
		s.up.SetHandler(upstream.Always(script))
		return s.send(s.up.URL()+unaryPath, s.body)
	}
	// What the upstream said last.
	busy := status(503, `{"error": {"code": 503,"message": "busy"}}`)
	want := direct(busy)
	s.passes(s.playUnary(nil, busy), want, 3)
	s.passes(s.playUnary(nil, begun(), busy), want, 3)
	s.passes(s.playUnary(nil, steps(json200(docOf("", "STOP"))), begun(), busy), want, 4)
	a := s.playUnary(nil, steps(json200(`{"error": {"code": 503,"message": "busy","status": "UNAVAILABLE"}}`)))
	if a.status != 503 || !strings.Contains(a.body, "busy") || s.up.Count() != 3 {
		t.Errorf("%d %s", a.status, a.body)
	}
	// An answer that is empty, or refused, as it came.
	for _, body := range []string{docOf("", "STOP"), `{"candidates": [{"finishReason": "SAFETY","index": 0}]}`} {
		a := s.playUnary(nil, steps(json200(body)))
		if a.status != 200 || a.body != body || s.up.Count() != 3 {
			t.Errorf("%d attempts, %d %s", s.up.Count(), a.status, a.body)
		}
	}
	// Of one that was refused in the middle, what there is, with its finish.
	refused := steps(json200(`{"candidates": [{"finishReason": "SAFETY","index": 0}]}`))
	s.isWhole(s.playUnary(nil, steps(json200(docOf(first, "SAFETY"))), refused), first, "SAFETY", "|"+first+"|"+first)
	s.isWhole(s.playUnary(nil, steps(json200(docOf(first, "SAFETY"))), busy), first, "SAFETY", "|"+first+"|"+first)
	// An empty answer is no last word on one that has begun.
	s.own(s.playUnary(nil, steps(json200(docOf("", "STOP"))), begun(), none), 502, "did not complete the answer")
}

func TestUnaryViaStreamGivesUpWithAnError(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c *proxy.Config) { c.UnaryViaStream, c.MaxConsecutiveFailures = true, 2 })
	s.own(s.playUnary(nil, piece(first), steps(upstream.Cut())), 502, "closed the connection without an answer")
	s.own(s.playUnary(nil, piece(first), steps(upstream.Thought("hm"))), 502, "did not complete the answer")
	s.isWhole(s.playUnary(nil, steps(upstream.Finish("STOP"))), "", "STOP", "||")
	s.isWhole(s.playUnary(nil, steps(upstream.FinishBare("SAFETY"))), "", "SAFETY", "||")
	s.isWhole(s.playUnary(nil, steps(upstream.Text(first), upstream.Finish("SAFETY")), status(503, "{}")), first, "SAFETY", "|"+first+"|"+first)
	if got := s.logged(5, "gave_up"); got != "failures" {
		t.Errorf("gave_up %v", got)
	}
}

func TestUnaryTimeouts(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c *proxy.Config) {
		c.FirstEventTimeout, c.StallTimeout, c.MaxConsecutiveFailures = 200*time.Millisecond, 200*time.Millisecond, 1
	})
	body := docOf(first+second, "STOP")
	at := strings.Index(body, second)
	part := append(chunked200(body[:at], 0), upstream.Stall())
	s.own(s.playUnary(nil, steps(upstream.Stall())), 504, "did not answer in time")
	s.own(s.playUnary(nil, part), 504, "did not answer in time")
	s.isWhole(s.playUnary(nil, steps(upstream.Stall()), wholeDocument), first+second, "STOP", "|")
	s.isWhole(s.playUnary(nil, part, restDocument), first+second, "STOP", "|"+first)
	// A document that is whole needs no end of the transport.
	s.isWhole(s.playUnary(nil, append(chunked200(body, 0), upstream.Stall())), first+second, "STOP", "")
	// The client's own limit is that of the whole answer.
	s = newStage(t, nil)
	s.own(s.playUnary([]string{"X-Server-Timeout", "0.3"}, steps(upstream.Stall())), 504, "did not complete the answer in time")
	if n := s.up.Count(); n != 1 {
		t.Errorf("%d attempts, want 1", n)
	}
	s.isWhole(s.playUnary([]string{"X-Server-Timeout", "60"}, begun(), restDocument), first+second, "STOP", "|"+first)
	for i, q := range s.up.Requests() {
		if got := q.Header.Get("X-Server-Timeout"); got != "60" {
			t.Errorf("attempt %d: X-Server-Timeout %s", i, got)
		}
	}
}

func TestUnaryClientLeaves(t *testing.T) {
	t.Parallel()
	for name, leave := range waysToLeave {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for via, script := range map[bool]upstream.Script{
				false: append(chunked200(docOf(first, "STOP")[:50], 0), upstream.Stall()),
				true:  steps(upstream.Text(first), upstream.Stall()),
			} {
				s := newStage(t, func(c *proxy.Config) { c.UnaryViaStream = via })
				s.up.SetHandler(upstream.Always(script))
				c := s.dial()
				fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", unaryPath, len(s.body), s.body)
				s.arrived(0)
				leave(c)
				s.left(1, 1)
			}
		})
	}
}

func TestUnaryHealingCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	f := func(heal, cause string, header []string, script upstream.Script) {
		t.Helper()
		s := newStage(t, func(c *proxy.Config) { c.Heal, c.UnaryViaStream = heal, true })
		a := s.playUnary(header, script)
		want := s.send(s.up.URL()+unaryPath, s.body)
		if a.status != want.status || a.body != want.body || (a.err == nil) != (want.err == nil) || s.up.Requests()[0].Target != unaryPath {
			t.Errorf("%d %v %q, want %d %v %q", a.status, a.err, a.body, want.status, want.err, want.body)
		}
		s.stop()
		series := `gemini_proxy_shadow_interruptions_total{cause="` + cause + `",group="default"} 1`
		if counted := strings.Contains(scrape(s.rig), series); counted != (cause != "") {
			t.Errorf("%q: counted %t", cause, counted)
		}
	}
	f("off", "", nil, begun())
	f("on", "", []string{"X-Proxy-Heal", "off"}, begun())
	f("shadow", "", nil, wholeDocument)
	f("shadow", "", nil, status(400, "{}"))
	f("shadow", "cut", nil, begun())
	f("shadow", "cut", nil, append(steps(upstream.Gzip()), append(chunked200(docOf(first, "STOP")[:100], 0), upstream.Cut())...))
	f("shadow", "", nil, append(steps(upstream.Gzip()), wholeDocument...))
	f("shadow", "empty", nil, steps(json200(docOf("", "STOP"))))
	f("shadow", "finish", nil, steps(json200(docOf(first, "SAFETY"))))
	f("shadow", "status", nil, status(503, "{}"))
}

// Requests whose answers cannot be read are relayed, whatever the settings.
func TestUnaryThatIsRelayed(t *testing.T) {
	t.Parallel()
	s := newStage(t, viaStream)
	f := func(target, body string) {
		t.Helper()
		s.up.SetHandler(upstream.Always(begun()))
		s.up.Reset()
		a := s.ask(target, body)
		if a.err == nil || s.up.Count() != 1 || s.up.Requests()[0].Target != target {
			t.Errorf("%s: %v %d attempts, %s", target, a.err, s.up.Count(), s.up.Requests()[0].Target)
		}
	}
	f(unaryPath+"?alt=proto", s.body)
	f(unaryPath+"?alt=sse", s.body)
	f(unaryPath+"?fields=candidates", s.body)
	f(unaryPath+"?%24fields=candidates", s.body)
	f(unaryPath, `{"generationConfig":{"candidateCount":2},`+s.body[1:])
	f(unaryPath, "not JSON")
	f("/v1beta/models/m:countTokens", s.body)
}
