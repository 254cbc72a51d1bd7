package proxy_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

const (
	clientTraceID = "0af7651916cd43dd8448eb211c80319c"
	clientParent  = "00-" + clientTraceID + "-b7ad6b7169203331-01"
	notSampled    = "00-" + clientTraceID + "-b7ad6b7169203331-00"
)

// traced plays a story with traces on and returns what was told of it.
func traced(t *testing.T, change func(*proxy.Config), play func(s *stage)) (c *collector, tree string) {
	t.Helper()
	c = newCollector(t)
	s := newStage(t, func(cfg *proxy.Config) {
		c.tracing(cfg)
		if change != nil {
			change(cfg)
		}
	})
	play(s)
	s.client.CloseIdleConnections()
	s.stop()
	return c, c.tree()
}

func TestTraceOfAHealedStream(t *testing.T) {
	t.Parallel()
	var told []string
	c, tree := traced(t, nil, func(s *stage) {
		a := s.play([]string{"traceparent", clientParent, "tracestate", "a=b , c=d"},
			upstream.Script{upstream.Text(first), upstream.Cut()},
			upstream.Script{upstream.Text("a "), upstream.Reset()},
			upstream.Script{upstream.TextFinish("time.", "STOP")})
		if a.status != 200 || a.err != nil || !strings.Contains(a.body, "STOP") {
			t.Errorf("%+v", a)
		}
		told = s.traceparents()
		for _, q := range s.up.Requests() {
			if got := q.Header["Tracestate"]; !slices.Equal(got, []string{"a=b,c=d"}) {
				t.Errorf("tracestate %q", got)
			}
		}
		if id := s.logged(1, "trace_id"); id != clientTraceID {
			t.Errorf("the log says %v", id)
		}
	})
	want := `server POST streamGenerateContent status_code=200 kind=heal attempts=3 healed=true
  client POST status_code=200 attempt=1 continuation=false outcome=cut type=cut
    * cut cause=cut
  client POST status_code=200 attempt=2 continuation=true outcome=cut type=cut
    * seam seam=direct overlap_bytes=0
    * cut cause=cut
  client POST status_code=200 attempt=3 continuation=true outcome=natural
    * seam seam=direct overlap_bytes=0
`
	if tree != want {
		t.Errorf("got\n%swant\n%s", tree, want)
	}
	all := c.all()
	request := all[0]
	if hex.EncodeToString(request.TraceId) != clientTraceID || hex.EncodeToString(request.ParentSpanId) != "b7ad6b7169203331" {
		t.Errorf("the request's span is not the client's child: %v", request)
	}
	if len(all) != 4 || len(told) != 3 {
		t.Fatalf("%d spans, %d requests", len(all), len(told))
	}
	for i, s := range all[1:] {
		if told[i] != parentOf(s) || string(s.TraceId) != string(request.TraceId) {
			t.Errorf("attempt %d was told %s, its span is %s", i, told[i], parentOf(s))
		}
	}
	a := attributes(request.Attributes)
	for name, want := range map[string]string{
		"http.request.method": "POST", "url.path": "/v1beta/models/gemini-2.5-flash:streamGenerateContent", "url.scheme": "http",
		"gen_ai.operation.name": "generate_content", "gen_ai.request.model": "gemini-2.5-flash", "gen_ai.provider.name": "gcp.gemini",
		"gemini_proxy.group": "default",
	} {
		if a[name] != want {
			t.Errorf("%s is %q, want %q", name, a[name], want)
		}
	}
	for _, name := range []string{"gen_ai.usage.output_tokens", "gemini_proxy.time_to_first_byte_ms", "http.response.body.size"} {
		if a[name] == "" || a[name] == "0" {
			t.Errorf("%s is %q", name, a[name])
		}
	}
	if c.resource["service.name"] != "gemini-resilient-proxy" || c.resource["telemetry.sdk.name"] != "opentelemetry" {
		t.Errorf("resource %v", c.resource)
	}
}

// The overlap that was dropped is told by its length.
func TestTraceOfASeam(t *testing.T) {
	t.Parallel()
	text := "The sky is blue because air scatters short waves of light more than long ones"
	_, tree := traced(t, func(cfg *proxy.Config) { cfg.ContinuePrompt = "Repeat {anchor}" }, func(s *stage) {
		s.play(nil, upstream.Script{upstream.Text(text), upstream.Cut()},
			upstream.Script{upstream.Text(text[len(text)-40:]), upstream.TextFinish(", and so on.", "STOP")})
	})
	if !strings.Contains(tree, "* seam seam=anchor_exact overlap_bytes=") && !strings.Contains(tree, "* seam seam=overlap overlap_bytes=40") {
		t.Error(tree)
	}
}

func TestTraceOfGivingUp(t *testing.T) {
	t.Parallel()
	f := func(want string, script ...upstream.Script) {
		t.Helper()
		_, tree := traced(t, func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures = 1 }, func(s *stage) { s.play(nil, script...) })
		if tree != want {
			t.Errorf("got\n%swant\n%s", tree, want)
		}
	}
	f(`server POST streamGenerateContent status_code=200 kind=heal attempts=2 healed=false type=failures
  * gave_up reason=failures
  client POST status_code=200 attempt=1 continuation=false outcome=cut type=cut
    * cut cause=cut
  client POST attempt=2 continuation=true outcome=connect_failed type=connect_failed
    * cut cause=connect_failed
`, piece(first), steps(upstream.Cut()))
	f(`server POST streamGenerateContent status_code=503 kind=heal attempts=2 healed=false type=failures
  * gave_up reason=failures
  client POST status_code=503 attempt=1 continuation=false outcome=status type=503
    * cut cause=status
  client POST status_code=503 attempt=2 continuation=false outcome=status type=503
    * cut cause=status
`, steps(upstream.ErrorBody(503, "UNAVAILABLE", "no", 0)))
	f(`server POST streamGenerateContent status_code=200 kind=heal attempts=2 healed=false type=failures
  * gave_up reason=failures
  client POST status_code=200 attempt=1 continuation=false outcome=finish type=finish
    * held finish_reason=SAFETY
    * cut cause=finish
  client POST status_code=200 attempt=2 continuation=true outcome=finish type=finish
    * held finish_reason=SAFETY
    * cut cause=finish
`, steps(upstream.Text(first), upstream.Finish("SAFETY")), steps(upstream.Finish("SAFETY")))
	f(`server POST streamGenerateContent status_code=404 kind=heal attempts=1 healed=false
  client POST status_code=404 attempt=1 continuation=false outcome=final type=404
`, steps(upstream.ErrorBody(404, "NOT_FOUND", "no", 0)))
}

func TestTraceOfOtherRequests(t *testing.T) {
	t.Parallel()
	f := func(want string, play func(s *stage)) {
		t.Helper()
		if _, tree := traced(t, nil, play); tree != want {
			t.Errorf("got\n%swant\n%s", tree, want)
		}
	}
	f(`server POST generateContent status_code=200 kind=heal attempts=2 healed=true
  client POST status_code=200 attempt=1 continuation=false outcome=cut type=cut
    * cut cause=cut
  client POST status_code=200 attempt=2 continuation=true outcome=natural
    * seam seam=direct overlap_bytes=0
`, func(s *stage) {
		body := docOf(first+second, "STOP")
		s.up.SetHandler(upstream.InTurn(
			steps(upstream.LimitBody(strings.Index(body, second), upstream.FIN), json200(body)), steps(json200(docOf(second, "STOP")))))
		s.ask(unaryPath, s.body)
	})
	f(`server POST countTokens status_code=200 kind=relay attempts=1 healed=false
  client POST status_code=200 attempt=1 outcome=natural
`, func(s *stage) {
		s.up.SetHandler(upstream.Always(steps(json200(`{"totalTokens":3}`))))
		s.ask("/v1beta/models/m:countTokens", s.body)
	})
	f(`server GET status_code=500 kind=relay attempts=1 healed=false type=500
  client GET status_code=500 attempt=1 outcome=natural type=500
`, func(s *stage) {
		s.up.SetHandler(upstream.Always(steps(upstream.Status(500, nil, "x"))))
		s.do("GET", "/v1beta/files/x", "")
	})
	f(`server POST status_code=502 kind=relay attempts=1 healed=false type=502
  client POST attempt=1 outcome=connect_failed type=connect_failed
`, func(s *stage) {
		s.up.SetHandler(upstream.Always(steps(upstream.Reset())))
		s.ask("/v1beta/anything", s.body)
	})
	f(`server GET status_code=400 kind=refused attempts=0 healed=false
`, func(s *stage) { s.do("GET", "/v1/%2e%2e/x", "") })
	f(`server POST interactions status_code=200 kind=heal attempts=2 healed=true
  client POST status_code=200 attempt=1 outcome=cut type=cut
    * cut cause=cut
  client POST status_code=200 attempt=2 outcome=natural
    * seam seam=event_id
`, func(s *stage) {
		s.interact(func(q *upstream.Request) upstream.Script {
			if q.Method == "GET" {
				return steps(upstream.Send(interRest(q)))
			}
			return steps(upstream.LimitBody(strings.Index(interWhole, interDelta(2))+10, upstream.FIN), upstream.Send(interWhole))
		})
	})
}

// What the sampler does not take is passed on as it came, and nobody is told.
func TestUntracedRequestPassesAsItCame(t *testing.T) {
	t.Parallel()
	const odd = "00-nonsense"
	f := func(sampler, parent string, logged any) {
		t.Helper()
		c, _ := traced(t, func(cfg *proxy.Config) {
			if cfg.Trace.Sampler = sampler; sampler == "" {
				cfg.Trace.Endpoint = ""
			}
		}, func(s *stage) {
			s.play([]string{"Traceparent", parent, "Tracestate", "not=a , State"}, whole)
			s.ask("/v1beta/models/m:countTokens", s.body, "Traceparent", parent, "Tracestate", "not=a , State")
			for _, q := range s.up.Requests() {
				if q.Header.Get("Traceparent") != parent || q.Header.Get("Tracestate") != "not=a , State" {
					t.Errorf("%q: %v", sampler, q.Header)
				}
			}
			if got := s.logged(2, "trace_id"); got != logged {
				t.Errorf("%q: the log says %v, want %v", sampler, got, logged)
			}
		})
		if n := len(c.all()); n != 0 {
			t.Errorf("%q: %d spans", sampler, n)
		}
	}
	f("", clientParent, nil)
	f("", odd, nil)
	f("always_off", clientParent, clientTraceID)
	f("always_off", odd, nil)
	f("parentbased_always_on", notSampled, clientTraceID)
	f("parentbased_always_off", odd, nil)
}

// A client's traceparent that means nothing begins a trace of the proxy's own,
// and its tracestate goes no further.
func TestTraceBegunAnew(t *testing.T) {
	t.Parallel()
	for _, header := range [][]string{nil, {"Traceparent", "00-nonsense", "Tracestate", "a=b"}, {"Tracestate", "a=b"},
		{"traceparent", strings.ToUpper(clientParent)}} {
		c, _ := traced(t, nil, func(s *stage) {
			s.play(header, whole)
			q := s.up.Requests()[0]
			if len(q.Header["Traceparent"]) != 1 || len(q.Header["Tracestate"]) != 0 {
				t.Errorf("%q becomes %v", header, q.Header)
			}
		})
		all := c.all()
		if len(all) != 2 || len(all[0].ParentSpanId) != 0 || hex.EncodeToString(all[0].TraceId) == clientTraceID {
			t.Errorf("%q: %v", header, all)
		}
	}
}

// A connection that names traceparent keeps it to itself.
func TestTraceparentOfOneHop(t *testing.T) {
	t.Parallel()
	c, _ := traced(t, nil, func(s *stage) {
		s.raw("GET /v1/x HTTP/1.1\r\nHost: a\r\nConnection: close, traceparent\r\ntraceparent: " + clientParent + "\r\n\r\n")
	})
	if all := c.all(); len(all) != 2 || len(all[0].ParentSpanId) != 0 {
		t.Errorf("%v", all)
	}
}

// Keys, prompts and answers are in no span, whatever happens.
func TestTraceCanary(t *testing.T) {
	t.Parallel()
	const key, prompt, answer = "AIzaCANARY0123456789", "CANARYPROMPT", "CANARYANSWER"
	c, _ := traced(t, func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures = 1 }, func(s *stage) {
		body := strings.TrimSuffix(ask(prompt), "}") + `,"apiKey":"` + key + `"}`
		text := upstream.Text(strings.Repeat(answer+" ", 20))
		for _, script := range [][]upstream.Script{
			{whole}, {{text, upstream.Cut()}, {text, upstream.Finish("STOP")}}, {{text, upstream.Finish("SAFETY")}},
			{{text, upstream.ErrorEvent(500, "INTERNAL", answer)}}, {{upstream.ErrorBody(503, answer, answer, 0)}},
			{{upstream.Wire(answer)}}, {{upstream.Status(200, map[string]string{"Content-Type": "text/html"}, answer)}},
		} {
			for _, path := range []string{streamPath, unaryPath + "?a=b", "/v1beta/models/m:countTokens?a=b", "/v1/" + key + "?a=b",
				"/v1beta/models/" + key + ":generateContent?a=b", "/v1beta/models/m:" + key + "?a=b"} {
				s.up.SetHandler(upstream.InTurn(script...))
				s.ask(path+"&key="+key, ask(prompt))
				s.ask(path, ask(prompt), "x-goog-api-key", "default:"+key, "User-Agent", answer)
				s.ask(path, ask(prompt), "Authorization", "Bearer "+key)
				s.ask(streamPath, body)
			}
		}
		for _, target := range []string{"/v1/%2e%2e/" + key, "http://" + key + "/"} {
			io.WriteString(io.Discard, s.raw("GET "+target+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
		}
	})
	if len(c.all()) < 100 {
		t.Errorf("%d spans", len(c.all()))
	}
	if i := strings.Index(string(c.raw), "CANARY"); i >= 0 {
		t.Errorf("a span shows %q", c.raw[max(0, i-100):i+50])
	}
}

// Bytes that are no text do not spoil a batch.
func TestTraceOfBytes(t *testing.T) {
	t.Parallel()
	_, tree := traced(t, nil, func(s *stage) {
		s.up.SetHandler(upstream.Always(steps(json200(docOf("x", "STOP")))))
		for _, model := range []string{"\xff\xfe", strings.Repeat("é", 300), "%ff%fe"} {
			s.raw(fmt.Sprintf("POST /v1beta/models/%s:generateContent HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", model))
		}
	})
	if n := strings.Count(tree, "server "); n != 3 {
		t.Errorf("%d requests in\n%s", n, tree)
	}
}

// Who asks for the OpenMetrics form gets the trace of an observation with it.
func TestExemplars(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	s := newStage(t, c.tracing)
	s.play([]string{"traceparent", clientParent}, piece(first), rest)
	s.logged(1, "status")
	scrape := func(accept string) string {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		s.server.Admin().ServeHTTP(w, r)
		return w.Body.String()
	}
	text := scrape("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")
	for _, name := range []string{"gemini_proxy_time_to_first_byte_seconds_bucket", "gemini_proxy_seam_gap_seconds_bucket"} {
		found := slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool {
			return strings.HasPrefix(line, name) && strings.Contains(line, `span_id="`) && strings.Contains(line, `trace_id="`+clientTraceID+`"`)
		})
		if !found {
			t.Errorf("%s has no exemplar in\n%s", name, text)
		}
	}
	if !strings.HasSuffix(text, "# EOF\n") {
		t.Error("not OpenMetrics")
	}
	if plain := scrape("text/plain"); strings.Contains(plain, "trace_id") || strings.Contains(plain, "# EOF") {
		t.Error("exemplars in the plain form")
	}
}

// A tunnel outlives the request that began it.
func TestTraceOfATunnel(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	r, f := newTunnels(t, c.tracing)
	const key = "CANARYKEY"
	for range 3 {
		w := r.wire()
		w.send(handshake("/ws/"+key+"?key="+key, "traceparent: "+clientParent+"\r\nX-Forwarded-Proto: https\r\n"))
		up := f.next()
		if got := up.req.Header["Traceparent"]; len(got) != 1 || !strings.HasPrefix(got[0], "00-"+clientTraceID) || got[0] == clientParent {
			t.Errorf("the upstream is told %q", got)
		}
		io.WriteString(up, agreed)
		readHead(t, w)
		w.send("up")
		wantBytes(t, up.r, "up")
		w.Close()
		wantEnd(t, up.r, "")
		up.Close()
	}
	r.stop()
	want := strings.Repeat(`server GET status_code=101 kind=tunnel attempts=1 healed=false
  client GET status_code=101 attempt=1 outcome=natural
`, 3)
	if tree := c.tree(); tree != want {
		t.Errorf("got\n%swant\n%s", tree, want)
	}
	for _, s := range c.all() {
		a := attributes(s.Attributes)
		if s.Kind == 2 && (a["url.path"] != "/REDACTED" || a["url.scheme"] != "https") || strings.Contains(fmt.Sprint(a), key) {
			t.Errorf("%v", a)
		}
	}
}
