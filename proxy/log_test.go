package proxy_test

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// lines returns the log so far, parsed. Every line must be JSON and bounded.
func (r *rig) lines() (all []map[string]any) {
	r.t.Helper()
	r.idle()
	for line := range strings.Lines(r.log.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil || len(line) > 4<<10 {
			r.t.Errorf("%d bytes, %v: %s", len(line), err, tail(line, 500))
		}
		all = append(all, m)
	}
	return all
}

// TestLogLine finds one line for each request, with all there is to know.
func TestLogLine(t *testing.T) {
	m := &upstream.Model{Answer: strings.Repeat("word ", 40), Fault: func(n int, _ *upstream.Request) []upstream.Step {
		if n < 2 {
			return []upstream.Step{upstream.LimitBody(700, upstream.RST)}
		}
		return nil
	}}
	r := newRig(t, func(q *upstream.Request) upstream.Script {
		if strings.Contains(q.Target, "missing") {
			return upstream.Script{upstream.ErrorBody(404, "NOT_FOUND", "no", 0)}
		}
		return m.Handle(q)
	}, nil)
	// A line is written behind the answer.
	r.post(streamPath, ask("hi"), "X-Proxy-Group", "default")
	r.idle()
	r.do("GET", "/v1beta/models/missing:get", "")
	r.idle()
	r.do("GET", "/v1/%2e%2e/x", "")
	r.idle()
	r.raw("garbage\r\n\r\n")

	var requests, attempts, seams, retries []map[string]any
	for _, l := range r.lines() {
		switch l["msg"] {
		case "request":
			requests = append(requests, l)
		case "attempt":
			attempts = append(attempts, l)
		case "seam":
			seams = append(seams, l)
		case "retry":
			retries = append(retries, l)
		default:
			t.Errorf("unknown line %v", l)
		}
	}
	if len(requests) != 4 || len(attempts) != 3 || len(seams) != 2 || len(retries) != 2 {
		t.Fatalf("%d requests, %d attempts, %d seams, %d retries", len(requests), len(attempts), len(seams), len(retries))
	}
	f := func(got map[string]any, want ...any) {
		t.Helper()
		for i := 0; i < len(want); i += 2 {
			if name := want[i].(string); got[name] != want[i+1] {
				t.Errorf("%s: %v, want %v", name, got[name], want[i+1])
			}
		}
	}
	f(requests[0], "kind", "heal", "method", "POST", "group", "default", "model", "gemini-2.5-flash", "action", "streamGenerateContent",
		"status", 200.0, "attempts", 3.0, "verdicts", "cut,cut,natural", "healed", true, "gave_up", "", "note", "")
	for _, name := range []string{"bytes", "ttfb_ms", "duration_ms"} {
		if n, _ := requests[0][name].(float64); n <= 0 {
			t.Errorf("%s: %v", name, requests[0][name])
		}
	}
	f(requests[1], "kind", "relay", "method", "GET", "model", "missing", "action", "get", "status", 404.0, "attempts", 1.0, "healed", false)
	f(requests[2], "kind", "refused", "status", 400.0, "attempts", 0.0)
	f(requests[3], "kind", "refused", "status", 400.0)
	f(attempts[0], "attempt", 1.0, "continuation", false, "verdict", "cut", "status", 200.0)
	f(attempts[2], "attempt", 3.0, "continuation", true, "verdict", "natural", "status", 200.0)
	f(seams[0], "attempt", 2.0, "kind", "direct")
	f(retries[0], "after_attempt", 1.0, "continuation", true)
}

// TestLogWithoutDebug has nothing but request lines.
func TestLogWithoutDebug(t *testing.T) {
	m := &upstream.Model{Answer: "short"}
	r := newRig(t, m.Handle, func(c *proxy.Config) { c.DebugMode = false })
	r.post(streamPath, ask("hi"))
	r.do("GET", "/v1/x", "")
	if l := r.lines(); len(l) != 2 || l[0]["msg"] != "request" || l[1]["msg"] != "request" {
		t.Errorf("%v", l)
	}
}

// TestLogInjection fills every field of a request with what breaks logs.
func TestLogInjection(t *testing.T) {
	r := newRig(t, plain, func(c *proxy.Config) { c.MaxHeaderBytes = 1 << 20 })
	nasty := "%0a%0d%1b[31m%00\"}{msg=request level=ERROR"
	long := strings.Repeat("A", 500_000)
	n := 0
	f := func(request string) {
		t.Helper()
		w := r.wire()
		w.t = t
		w.send(request)
		if _, _, err := w.reply("GET"); err != nil {
			t.Errorf("%s: %v", tail(request, 100), err)
		}
		n++
		w.Close()
	}
	f("GET /v1/" + strings.ReplaceAll(nasty, " ", "%20") + ":" + strings.ReplaceAll(nasty, " ", "%20") + " HTTP/1.1\r\nHost: a\r\n\r\n")
	f("GET /v1/" + long + ":" + long[:400_000] + " HTTP/1.1\r\nHost: a\r\n\r\n")
	f("GET /v1/x?a=" + long + " HTTP/1.1\r\nHost: a\r\n\r\n")
	f("GET /v1/x HTTP/1.1\r\nHost: a\r\nX-Proxy-Group: " + long + "\r\n\r\n")
	f("GET /v1/x HTTP/1.1\r\nHost: a\r\nx-goog-api-key: " + long + ":K\r\n\r\n")
	f("GET /v1/\x1b[31m\x7f\x80 HTTP/1.1\r\nHost: a\r\n\r\n")
	f("GET /v1/m\xff\xfe:\xe2\x80\xa8x HTTP/1.1\r\nHost: a\r\n\r\n")
	f(long[:20_000] + " /v1/x HTTP/1.1\r\nHost: a\r\n\r\n")
	f("GET /v1/x HTTP/1.1\r\nHost: a\r\nX: \x00\x1b[31m\r\n\r\n")
	f(strings.Repeat("%0a", 100) + "\r\n\r\n")
	if got := len(r.lines()); got != n {
		t.Errorf("%d lines for %d requests", got, n)
	}
	for _, c := range r.log.String() {
		if c != '\n' && (c < ' ' || c == 0x7f || c == 0x2028) {
			t.Errorf("the log holds %q", c)
			break
		}
	}
}

// TestCanary sends marked keys, prompts and answers through everything that
// can happen. No mark may be seen in the log, in the metrics, or in what the
// proxy itself answers.
func TestCanary(t *testing.T) {
	const key, prompt, answer = "AIzaCANARY0123456789", "CANARYPROMPT", "CANARYANSWER"
	words := strings.Repeat(answer+" is what it says ", 30)
	m := &upstream.Model{Answer: words}
	stream := upstream.Text(words)
	faults := map[string]upstream.Script{
		"503":    {upstream.ErrorBody(503, "UNAVAILABLE", answer, 0)},
		"400":    {upstream.ErrorBody(400, "INVALID_ARGUMENT", answer, 0)},
		"cut":    {stream, upstream.Cut()},
		"reset":  {stream, upstream.Reset()},
		"none":   {upstream.Cut()},
		"junk":   {upstream.Wire(answer + "\r\n\r\n")},
		"finish": {stream, upstream.Finish("SAFETY")},
		"error":  {stream, upstream.ErrorEvent(500, "INTERNAL", answer)},
		"final":  {stream, upstream.ErrorEvent(400, "INVALID_ARGUMENT", answer)},
		"event":  {stream, upstream.Send("data: {\"" + answer), upstream.Cut()},
		"chunk":  {stream, upstream.Wire(answer)},
		"html":   {upstream.Status(200, map[string]string{"Content-Type": "text/html"}, answer)},
	}
	r := newRig(t, func(q *upstream.Request) upstream.Script {
		if s, ok := faults[q.Header.Get("X-Fault")]; ok {
			return s
		}
		return m.Handle(q)
	}, func(c *proxy.Config) { c.MaxConsecutiveFailures, c.MaxBodyBytes = 1, 4096 })
	clean := func(where, text string) {
		t.Helper()
		for _, mark := range []string{"CANARY", "IzaC", "is what it says"} {
			if i := strings.Index(text, mark); i >= 0 {
				t.Errorf("%s shows %s: …%s", where, mark, text[max(0, i-200):min(len(text), i+100)])
			}
		}
	}
	names := []string{""}
	for name := range faults {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, fault := range names {
		for _, target := range []string{streamPath, "/v1beta/models/m:generateContent?a=b", "/v1beta/models/m:countTokens?a=b"} {
			body := ask(prompt)
			r.post(target+"&key=default:"+key, body, "X-Fault", fault)
			r.post(target, body, "X-Fault", fault, "x-goog-api-key", key)
			r.post(target, body, "X-Fault", fault, "Authorization", "Bearer "+key)
			r.post(target, strings.TrimSuffix(body, "}")+`,"apiKey":"`+key+`"}`, "X-Fault", fault)
		}
	}
	// What the proxy answers by itself.
	for name, request := range map[string]string{
		"path":     "GET /v1/%2e%2e/" + key + "?key=" + key + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"query":    "GET /v1/x?key=" + key + "%0a HTTP/1.1\r\nHost: a\r\n\r\n",
		"header":   "GET /v1/x HTTP/1.1\r\nHost: a\r\nx-goog-api-key: " + key + "\r\nX A: b\r\n\r\n",
		"fold":     "GET /v1/x HTTP/1.1\r\nHost: a\r\nx-goog-api-key: " + key + "\r\n " + key + "\r\n\r\n",
		"nul":      "GET /v1/x HTTP/1.1\r\nHost: a\r\nx-goog-api-key: " + key + "\x00\r\n\r\n",
		"host":     "GET /v1/x HTTP/1.1\r\nHost: " + key + "@a\r\n\r\n",
		"method":   "get /v1/" + key + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"version":  "GET /v1/x?key=" + key + " HTTP/1." + key + "\r\nHost: a\r\n\r\n",
		"large":    "GET /v1/x?key=" + key + " HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat(key, 5000) + "\r\n\r\n",
		"body":     "POST " + streamPath + " HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + strings.Repeat(prompt, 1000)[:5000],
		"bodykey":  "POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n" + `{"apiKey":"` + key + `\u0000"}` + strings.Repeat(" ", 1),
		"chunking": "POST " + streamPath + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + key + "\r\n\r\n",
		"refused":  "GET http://" + key + "/ HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		w := r.wire()
		w.send(request)
		resp, body, err := w.reply("GET")
		if err != nil || resp.StatusCode < 400 {
			t.Errorf("%s: %v %v", name, resp, err)
			continue
		}
		clean(name, body)
		w.Close()
	}
	r.lines()
	clean("the log", r.log.String())
	metrics := httptest.NewRecorder()
	r.server.Admin().ServeHTTP(metrics, httptest.NewRequest("GET", "/metrics", nil))
	clean("/metrics", metrics.Body.String())
}
