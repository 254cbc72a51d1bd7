package proxy_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// Canaries: what must be seen by those whom it is for, and by nobody else. Any
// piece of them is one.
const (
	canaryKey    = "AIzaKEYCANARYKEYCANARYKEY"
	canaryToken  = "TOKCANARYTOKCANARYTOKCANARY"
	canaryPrompt = "PROMPTCANARYPROMPTCANARY"
	canaryAnswer = "ANSCANARY ANSCANARYÄ ANSCANARY ANSCANARY ANSCANARYÖ ANSCANARY ANSCANARY ANSCANARYÜ ANSCANARY ANSCANARY, ANSCANARY."
)

// aviary is a rig full of canaries, whose log has each line twice: as JSON and
// as text.
type aviary struct {
	*rig
	client *http.Transport
	mu     sync.Mutex
	asked  int
}

func newAviary(t *testing.T, h upstream.Handler, change func(*proxy.Config)) *aviary {
	t.Helper()
	both := func(w io.Writer) slog.Handler {
		return slog.NewMultiHandler(slog.NewJSONHandler(w, debugLevel), slog.NewTextHandler(w, debugLevel))
	}
	a := &aviary{client: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}}
	t.Cleanup(a.client.CloseIdleConnections)
	a.rig = newRigLogging(t, h, both, func(c *proxy.Config) {
		c.ListenAddr = "127.0.0.1:0"
		c.MaxConsecutiveFailures = 2
		c.FirstEventTimeout, c.StallTimeout = 300*time.Millisecond, 150*time.Millisecond
		if change != nil {
			change(c)
		}
	})
	return a
}

// free fails when a canary, or a piece of one, is in text.
func free(t testing.TB, where, text string) {
	t.Helper()
	for _, piece := range []string{"CANAR", "ANARY", "IzaKEY", "TOKCA", "PROMPTC", "ANSCA"} {
		if i := strings.Index(text, piece); i >= 0 {
			t.Errorf("%s shows %s: …%q", where, piece, text[max(0, i-200):min(len(text), i+100)])
			return
		}
	}
}

// ask sends a request and checks all of the answer that is not the model's: the
// header, the body of an error, and the error at a stream's end. It returns the
// status and the body.
func (a *aviary) ask(method, target, body string, header ...string) (int, string) {
	a.t.Helper()
	a.mu.Lock()
	a.asked++
	a.mu.Unlock()
	req, err := http.NewRequest(method, "http://"+a.addr+target, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := a.client.RoundTrip(req)
	if err != nil {
		a.t.Errorf("%s %s: %v", method, target, err)
		return 0, ""
	}
	defer resp.Body.Close()
	got, _ := io.ReadAll(resp.Body)
	text := string(got)
	for name, values := range resp.Header {
		free(a.t, "the response header", name+": "+strings.Join(values, ", "))
	}
	if resp.StatusCode >= 400 {
		free(a.t, "an error", text)
	}
	if i := strings.LastIndex(text, `"error"`); i >= 0 {
		free(a.t, "the error at the end of a stream", text[i:])
	}
	return resp.StatusCode, text
}

// places are where a key may stand in a request: the target and the body with
// it, and its header.
var places = map[string]func(target, body, key string) (string, string, []string){
	"header": func(target, body, key string) (string, string, []string) {
		return target, body, []string{"x-goog-api-key", key}
	},
	"bearer": func(target, body, key string) (string, string, []string) {
		return target, body, []string{"Authorization", "Bearer " + key}
	},
	"query": func(target, body, key string) (string, string, []string) {
		if strings.Contains(target, "?") {
			return target + "&key=" + key, body, nil
		}
		return target + "?key=" + key, body, nil
	},
	"body": func(target, body, key string) (string, string, []string) {
		if !strings.HasPrefix(body, "{") {
			return target, body, []string{"x-goog-api-key", key}
		}
		return target, `{"apiKey":"` + key + `",` + body[1:], nil
	},
}

// everywhere looks at all that an operator can see.
func (a *aviary) everywhere(when string, more ...string) {
	a.t.Helper()
	free(a.t, "the log "+when, a.log.String())
	for _, page := range append(more,
		"/metrics", "/groups", "/healthz", "/readyz", "/", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=1", "/debug/pprof/goroutine?debug=2",
		"/debug/pprof/goroutine", "/debug/pprof/heap?debug=1", "/debug/pprof/block?debug=1", "/debug/pprof/mutex?debug=1", "/nothing?key=x",
	) {
		w := httptest.NewRecorder()
		a.server.Admin().ServeHTTP(w, httptest.NewRequest("GET", page, nil))
		text := w.Body.String()
		if z, err := gzip.NewReader(bytes.NewReader(w.Body.Bytes())); err == nil {
			raw, _ := io.ReadAll(z)
			text = string(raw)
		}
		if w.Code != 404 && text == "" {
			a.t.Errorf("%s: nothing", page)
		}
		free(a.t, page+" "+when, text)
	}
}

// sentUpstream checks where keys stand in what the upstream got.
func (a *aviary) sentUpstream(key string) {
	a.t.Helper()
	for _, q := range a.up.Requests() {
		line, fields, _ := strings.Cut(string(q.Raw), "\r\n")
		if strings.Contains(line, "KEY") || bytes.Contains(q.Body, []byte("KEYCANARY")) || strings.Contains(line+fields+string(q.Body), "TOKCANARY") {
			a.t.Errorf("upstream got\n%s%s", q.Raw, q.Body)
		}
		if got := q.Header.Get("X-Goog-Api-Key") + strings.TrimPrefix(q.Header.Get("Authorization"), "Bearer "); got != key {
			a.t.Errorf("the key upstream is %q", got)
		}
	}
}

// question is a request in the form of a surface, to a model, marked as one that
// Faulty knows.
func question(s upstream.Surface, model, mark string) (target, body string) {
	turns := fmt.Sprintf(`"contents":[{"role":"user","parts":[{"text":"%s [%s#1]"}]}]`, canaryPrompt, mark)
	switch s {
	case upstream.SSE:
		return "/v1beta/models/" + model + ":streamGenerateContent?alt=sse", "{" + turns + "}"
	case upstream.Array:
		return "/v1beta/models/" + model + ":streamGenerateContent", "{" + turns + "}"
	case upstream.Unary:
		return "/v1beta/models/" + model + ":generateContent", "{" + turns + "}"
	case upstream.CodeAssist:
		return "/v1internal:streamGenerateContent?alt=sse", fmt.Sprintf(`{"model":%q,"project":"p","request":{%s}}`, model, turns)
	case upstream.Interactions:
		return interPath, fmt.Sprintf(`{"model":%q,"input":"%s [%s#1]","stream":true}`, model, canaryPrompt, mark)
	}
	return chatPath, fmt.Sprintf(`{"model":%q,"stream":%t,"messages":[{"role":"user","content":"%s [%s#1]"}]}`, model, s == upstream.OpenAI, canaryPrompt, mark)
}

// side opens a connection to the proxy for a request of a test's own.
func (a *aviary) side(request string) net.Conn {
	c := a.dial()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, request)
	return c
}
