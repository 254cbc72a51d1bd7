package proxy_test

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// Events of the Interactions API as it writes them.
const (
	interCreated = "event: interaction.created\ndata: {\"interaction\":{\"id\":\"v1_a/b\",\"status\":\"in_progress\"},\"event_type\":\"interaction.created\"}\n\n"
	interStatus  = "event: interaction.status_update\ndata: {\"interaction_id\":\"v1_a/b\",\"status\":\"in_progress\",\"event_type\":\"interaction.status_update\"}\n\n"
	interEnd     = "event: interaction.completed\ndata: {\"interaction\":{\"id\":\"v1_a/b\",\"status\":\"completed\"},\"event_type\":\"interaction.completed\",\"event_id\":\"end+\"}\n\n"
	interDone    = "event: done\ndata: [DONE]\n\n"
	interPasses  = "event: error\ndata: {\"error\":{\"code\":\"gateway_timeout\",\"message\":\"x\"},\"event_type\":\"error\"}\n\n"
	interStays   = "event: error\ndata: {\"error\":{\"code\":\"invalid_request\",\"message\":\"x\"},\"event_type\":\"error\"}\n\n"
)

func interDelta(n int) string {
	return fmt.Sprintf("event: step.delta\ndata: {\"index\":0,\"delta\":{\"type\":\"text\",\"text\":\"word %d \"},\"event_type\":\"step.delta\",\"event_id\":\"e+%d\"}\n\n", n, n)
}

var interWhole = interCreated + interStatus + interDelta(1) + interDelta(2) + interStatus + interDelta(3) + interEnd + interDone

const (
	interPath   = "/v1beta/interactions"
	interBody   = `{"model":"gemini-3-flash","input":"hi","stream":true}`
	interResume = "/v1beta/interactions/v1_a%2Fb?stream=true&last_event_id="
)

// interRest is what the API sends to whoever asks with q: everything, or what
// comes behind an event.
func interRest(q *upstream.Request) string {
	_, query, _ := strings.Cut(q.Target, "?")
	values, _ := url.ParseQuery(query)
	last := values.Get("last_event_id")
	if q.Method != "GET" || last == "" {
		return interWhole
	}
	at := strings.Index(interWhole, `"`+last+`"`)
	return interWhole[at+strings.Index(interWhole[at:], "\n\n")+2:]
}

// interact plays one interaction.
func (s *stage) interact(h upstream.Handler, header ...string) answer {
	s.up.SetHandler(h)
	s.up.Reset()
	return s.ask(interPath, interBody, header...)
}

// methods lists what arrived, a request each.
func (s *stage) methods() string {
	var all []string
	for _, q := range s.up.Requests() {
		all = append(all, q.Method+" "+q.Target)
	}
	return strings.Join(all, "|")
}

func TestInteractionUntouched(t *testing.T) {
	s := newStage(t, nil)
	got := s.interact(func(q *upstream.Request) upstream.Script {
		return upstream.Script{upstream.Header("X-Other", "y"), upstream.Sliced(7, upstream.Send(interRest(q)))}
	})
	if got.err != nil || got.status != 200 || got.body != interWhole || got.header.Get("X-Other") != "y" {
		t.Errorf("%+v", got)
	}
	if q := s.arrived(0); s.methods() != "POST "+interPath || string(q.Body) != interBody {
		t.Errorf("%s\n%s", s.methods(), q.Body)
	}
	if s.logged(1, "kind") != "heal" || s.logged(1, "healed") != false {
		t.Error("the log is wrong")
	}
}

// TestInteractionHealed breaks the stream in all ways, twice.
func TestInteractionHealed(t *testing.T) {
	s := newStage(t, func(c *proxy.Config) {
		c.StallTimeout = 200 * time.Millisecond
		c.GroupMapping = map[string]string{"default": "", "group-a": "/proxy/a"}
	})
	upTo := func(q *upstream.Request, event string) string {
		before, _, _ := strings.Cut(interRest(q), event)
		return before
	}
	for name, end := range map[string]upstream.Step{
		"cut": upstream.Cut(), "reset": upstream.Reset(), "early end": upstream.End(), "stall": upstream.Stall(),
		"malformed": upstream.Wire("zz\r\n"), "error": upstream.Send(interPasses), "error in an event": upstream.Send(interPasses),
		"raw error": upstream.Send("{\n \"error\": {\"code\": 503, \"message\": \"x\", \"status\": \"UNAVAILABLE\"}\n}\n"),
	} {
		got := s.interact(func(q *upstream.Request) upstream.Script {
			half := upstream.Send(interDelta(9)[:50])
			if name == "error" || name == "raw error" {
				half = upstream.Send("")
			}
			switch q.Seq {
			case 0:
				return upstream.Script{upstream.Send(upTo(q, interDelta(2))), half, end}
			case 1:
				return upstream.Script{upstream.Send(upTo(q, interDelta(3))), half, end}
			}
			return upstream.Script{upstream.Send(interRest(q))}
		}, "x-goog-api-key", "group-a:KEY", "Api-Revision", "2026-05-20")
		if got.err != nil || got.body != interWhole {
			t.Errorf("%s: %v\n%s", name, got.err, got.body)
		}
		want := "POST /proxy/a" + interPath + "|GET /proxy/a" + interResume + "e%2B1|GET /proxy/a" + interResume + "e%2B2"
		if s.methods() != want {
			t.Errorf("%s: %s", name, s.methods())
		}
		for _, q := range s.up.Requests()[1:] {
			if q.Header.Get("X-Goog-Api-Key") != "KEY" || q.Header.Get("Api-Revision") != "2026-05-20" || q.BodyLen != 0 ||
				countLines(q.Raw, "Content-Length")+countLines(q.Raw, "Content-Type") != 0 {
				t.Errorf("%s: arrived as\n%s", name, q.Raw)
			}
		}
	}
	if s.series()[`gemini_proxy_healed_total{group="group-a"}`] != "8" {
		t.Errorf("healed: %v", s.series()[`gemini_proxy_healed_total{group="group-a"}`])
	}
}

// TestInteractionCutAnywhere cuts the first attempt at every byte, in front of
// an API that goes on, and of one that begins again.
func TestInteractionCutAnywhere(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	identified := strings.Index(interWhole, interDelta(1)) + len(interDelta(1))
	step := 1
	if raceEnabled {
		step = 7
	}
	for _, again := range []bool{false, true} {
		for n := 0; n < len(interWhole); n += step {
			if n > len(interCreated)+10 && n < identified-10 && n%10 != 0 {
				continue // each of these takes the pause behind an error
			}
			got := s.interact(func(q *upstream.Request) upstream.Script {
				switch {
				case q.Seq == 0:
					return upstream.Script{upstream.LimitBody(n, upstream.FIN), upstream.Send(interWhole)}
				case again:
					return upstream.Script{upstream.Send(interWhole)}
				}
				return upstream.Script{upstream.Send(interRest(q))}
			})
			switch {
			case n >= len(interCreated) && n < identified:
				if got.err == nil || !strings.HasPrefix(got.body, interCreated) || strings.Contains(got.body, "completed\"") {
					t.Fatalf("cut at %d, nothing to go on from: %v\n%s", n, got.err, got.body)
				}
			case got.err != nil || strings.TrimSuffix(got.body, interDone) != strings.TrimSuffix(interWhole, interDone):
				t.Fatalf("cut at %d: %v\n%s", n, got.err, got.body)
			}
		}
	}
}

// TestInteractionEndsBetweenSteps: a step that is done is not the interaction,
// whose further steps are asked for however cleanly the body ended.
func TestInteractionEndsBetweenSteps(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	const stop = "event: step.stop\ndata: {\"index\":0,\"status\":\"done\",\"event_type\":\"step.stop\",\"event_id\":\"e+2\"}\n\n"
	begin, rest := interCreated+interDelta(1)+stop, interDelta(3)+interEnd+interDone
	got := s.interact(upstream.InTurn(upstream.Script{upstream.Send(begin)}, upstream.Script{upstream.Send(rest)}))
	if got.err != nil || got.body != begin+rest || s.methods() != "POST "+interPath+"|GET "+interResume+"e%2B2" {
		t.Errorf("%v\n%s\n%s", got.err, got.body, s.methods())
	}
}

// TestInteractionGivenUp ends what cannot be completed with the API's error
// event and without the end of the body.
func TestInteractionGivenUp(t *testing.T) {
	s := newStage(t, func(c *proxy.Config) { c.MaxConsecutiveFailures = 2 })
	lines := 0
	f := func(name, body, why string, attempts int, delivered, end string, scripts ...upstream.Script) {
		t.Helper()
		s.up.SetHandler(upstream.InTurn(scripts...))
		s.up.Reset()
		w := s.wire()
		w.t = t
		w.send("POST " + interPath + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n" + body)
		resp, got, err := w.reply("POST")
		if err != io.ErrUnexpectedEOF || resp == nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %v %v %s", name, resp, err, got)
		}
		rest, ok := strings.CutPrefix(got, delivered)
		if end != "" && rest != end || !ok || strings.Count(rest, "event: error\ndata: {\"error\":{") != 1 || !strings.HasSuffix(rest, "\n\n") {
			t.Errorf("%s: %q", name, got)
		}
		if lines++; s.logged(lines, "gave_up") != why || s.up.Count() != attempts {
			t.Errorf("%s: %v after %d attempts", name, s.logged(lines, "gave_up"), s.up.Count())
		}
	}
	begun := upstream.Script{upstream.Send(interCreated + interDelta(1)), upstream.Cut()}
	cut := upstream.Script{upstream.Cut()}
	f("not stored", strings.Replace(interBody, "}", `,"store":false}`, 1), "not_stored", 1, interCreated+interDelta(1), "", begun)
	f("no identity", interBody, "no_event_id", 1, interCreated, "", upstream.Script{upstream.Send(interCreated), upstream.Cut()})
	f("always cut", interBody, "failures", 3, interCreated+interDelta(1), "", begun, cut, cut)
	f("gone", interBody, "refused", 2, interCreated+interDelta(1), "", begun, upstream.Script{upstream.Status(404, nil, "{}")})
	f("no stream", interBody, "refused", 2, interCreated+interDelta(1), "", begun, upstream.Script{upstream.Status(200, nil, "{}")})
	f("overloaded", interBody, "failures", 3, interCreated+interDelta(1), "", begun, upstream.Script{upstream.Status(503, nil, "{}")})
	f("told to wait", interBody, "retry_after", 2, interCreated+interDelta(1), "", begun,
		upstream.Script{upstream.Status(429, map[string]string{"Retry-After": "3600"}, "{}")})
	f("the API's own error", interBody, "failures", 3, interCreated+interDelta(1), interPasses,
		upstream.Script{upstream.Send(interCreated + interDelta(1) + interPasses)}, upstream.Script{upstream.Send(interPasses)})
	f("the API's own error, not stored", strings.Replace(interBody, "}", `,"store":false}`, 1), "not_stored", 1, interCreated, interPasses,
		upstream.Script{upstream.Send(interCreated + interPasses)})
}

// TestInteractionBegins: before anything was delivered, the request itself is
// sent again, and what cannot be answered is answered with its status.
func TestInteractionBegins(t *testing.T) {
	s := newStage(t, func(c *proxy.Config) { c.MaxConsecutiveFailures = 2 })
	f := func(name string, status, attempts int, body string, scripts ...upstream.Script) {
		t.Helper()
		got := s.interact(upstream.InTurn(scripts...))
		if got.err != nil || got.status != status || !strings.Contains(got.body, body) || s.up.Count() != attempts {
			t.Errorf("%s: %d attempts, %+v", name, s.up.Count(), got)
		}
		if strings.Count(s.methods(), "POST "+interPath) != attempts {
			t.Errorf("%s: %s", name, s.methods())
		}
	}
	good := upstream.Script{upstream.Send(interWhole)}
	unavailable := upstream.Script{upstream.Status(503, nil, `{"error":{"code":503,"message":"busy"}}`)}
	f("unavailable, then good", 200, 2, interWhole, unavailable, good)
	f("cut, then good", 200, 3, interWhole, upstream.Script{upstream.Cut()}, upstream.Script{upstream.Send(interCreated[:20]), upstream.Cut()}, good)
	f("an error first, then good", 200, 2, interWhole, upstream.Script{upstream.Send(interPasses)}, good)
	f("unavailable", 503, 3, "busy", unavailable)
	// The last leaves no connection behind, which would be tried once more.
	f("an error first", 504, 3, `"message": "x"`, upstream.Script{upstream.Send(interPasses), upstream.Close()})
	f("cut", 502, 3, "without an answer", upstream.Script{upstream.Cut()})
	f("refused", 400, 1, "no", upstream.Script{upstream.Status(400, nil, "no")})
	f("an error that stays", 200, 1, interCreated+interStays+interDone, upstream.Script{upstream.Send(interCreated + interStays + interDone)})
	f("no stream", 200, 1, `{"id":"x"}`, upstream.Script{upstream.Status(200, nil, `{"id":"x"}`)})
}

// TestInteractionAskedFor heals what a client that goes on itself has asked
// for, and relays everything else of the API once.
func TestInteractionAskedFor(t *testing.T) {
	s := newStage(t, nil)
	s.up.SetHandler(func(q *upstream.Request) upstream.Script {
		if q.Seq == 0 {
			before, _, _ := strings.Cut(interRest(q), interDelta(3))
			return upstream.Script{upstream.Send(before), upstream.Cut()}
		}
		return upstream.Script{upstream.Send(interRest(q))}
	})
	_, whole, _ := strings.Cut(interWhole, interDelta(1))
	for _, key := range []string{"", "key=K&"} {
		s.up.Reset()
		resp, got, err := s.do("GET", "/v1beta/interactions/v1_a%2Fb?"+key+"last_event_id=e%2B1&stream=true&x=y", "")
		if err != nil || resp.StatusCode != 200 || got != whole {
			t.Errorf("%v %v\n%s", resp, err, got)
		}
		want := "GET /v1beta/interactions/v1_a%2Fb?last_event_id=e%2B1&stream=true&x=y|GET /v1beta/interactions/v1_a%2Fb?x=y&stream=true&last_event_id=e%2B2"
		if s.methods() != want {
			t.Error(s.methods())
		}
	}
	s.up.SetHandler(upstream.Always(upstream.Script{upstream.Head(200, upstream.Chunked), upstream.Send("half"), upstream.Cut()}))
	for _, c := range [][3]string{
		{"POST", interPath, `{"model":"m","input":"hi"}`}, {"POST", interPath, "no JSON"}, {"GET", "/v1beta/interactions/v1", ""},
		{"GET", "/v1beta/interactions/v1:other?stream=true", ""}, {"POST", "/v1beta/interactions/v1/cancel", "{}"}, {"DELETE", "/v1beta/interactions/v1", ""},
	} {
		s.up.Reset()
		resp, got, err := s.do(c[0], c[1], c[2])
		if err == nil || resp.StatusCode != 200 || got != "half" || s.up.Count() != 1 {
			t.Errorf("%v: %v %v %q", c, resp, err, got)
		}
		if q := s.arrived(0); q.Method != c[0] || q.Target != c[1] || string(q.Body) != c[2] {
			t.Errorf("%v arrived as\n%s%s", c, q.Raw, q.Body)
		}
	}
	s.up.Reset()
	if _, got, err := s.do("POST", interPath, interBody, "X-Proxy-Heal", "off"); err == nil || got != "half" || s.up.Count() != 1 {
		t.Errorf("healing is off: %q %v", got, err)
	}
	s.idle()
}

// TestInteractionEnds: a client that leaves ends the upstream's request, and a
// drain ends the stream with its reason.
func TestInteractionEnds(t *testing.T) {
	s := newStage(t, nil)
	s.up.SetHandler(upstream.Always(upstream.Script{upstream.Send(interCreated + interDelta(1)), upstream.Stall()}))
	request := "POST " + interPath + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + itoa(len(interBody)) + "\r\n\r\n" + interBody
	w := s.begin(request)
	readHead(t, w)
	w.Close()
	s.idle()
	if !s.up.Await(patience, func() bool { return s.up.Live() == 0 }) || s.up.Count() != 1 {
		t.Errorf("%d live, %d requests", s.up.Live(), s.up.Count())
	}
	w = s.begin(request)
	readHead(t, w)
	s.drained(s.drain(10 * time.Millisecond))
	rest, _ := io.ReadAll(w.r)
	if text := string(rest); strings.Count(text, "shutting down") != 1 || strings.HasSuffix(text, "0\r\n\r\n") {
		t.Errorf("%q", text)
	}
}

// TestInteractionInPieces: every byte of the answer in a chunk of its own, coded
// with gzip, and cut twice.
func TestInteractionInPieces(t *testing.T) {
	s := newStage(t, func(c *proxy.Config) { c.ChaosCutAfter = 4 })
	got := s.interact(func(q *upstream.Request) upstream.Script {
		script := upstream.Script{upstream.Sliced(1, upstream.Send(interRest(q)))}
		if q.Seq%2 == 1 {
			script = append(upstream.Script{upstream.Gzip()}, script...)
		}
		return script
	})
	if got.err != nil || got.body != interWhole || s.up.Count() != 2 {
		t.Errorf("%d attempts, %v\n%s", s.up.Count(), got.err, got.body)
	}
}
