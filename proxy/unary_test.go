package proxy_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

const unaryPath = "/v1beta/models/gemini-2.5-flash:generateContent"

// document is an answer in one piece, printed as the API does.
func document(parts, reason string, tokens int) string {
	return fmt.Sprintf(`{
  "candidates": [
    {
      "content": {
        "parts": [
          %s
        ],
        "role": "model"
      },
      "finishReason": %q,
      "index": 0
    }
  ],
  "usageMetadata": {
    "promptTokenCount": 7,
    "candidatesTokenCount": %d,
    "totalTokenCount": %d
  },
  "modelVersion": "gemini-2.5-flash",
  "responseId": "id-%d"
}
`, parts, reason, tokens, 7+tokens, tokens)
}

// textPart is a part of text.
func textPart(s string) string {
	b, _ := json.Marshal(s)
	return `{"text": ` + string(b) + `}`
}

func docOf(text, reason string) string { return document(textPart(text), reason, len(text)) }

// json200 answers with a document.
func json200(body string) upstream.Step { return upstream.Status(200, nil, body) }

// chunked200 answers with a document in chunks, without a known length.
func chunked200(body string, n int) []upstream.Step {
	return steps(upstream.Head(200, upstream.Chunked, "Content-Type", "application/json; charset=UTF-8"), upstream.Sliced(n, upstream.Send(body)))
}

// response is what a client reads of a document.
type response struct {
	Candidates []struct {
		Content struct {
			Role  string
			Parts []struct {
				Text             string
				Thought          bool
				ThoughtSignature string
				FunctionCall     *struct{ Name string }
			}
		}
		FinishReason  string
		FinishMessage string
		Index         int
	}
	UsageMetadata            struct{ PromptTokenCount, CandidatesTokenCount, TotalTokenCount int }
	ModelVersion, ResponseID string
	Error                    *struct {
		Code    int
		Message string
		Status  string
	}
}

func parsed(body string) (r response, err error) {
	err = json.Unmarshal([]byte(body), &r)
	return r, err
}

// text is the answer's text.
func (r response) text() (s string) {
	for _, c := range r.Candidates {
		for _, p := range c.Content.Parts {
			if !p.Thought {
				s += p.Text
			}
		}
	}
	return s
}

// playUnary answers one request for a document with scripts, one an attempt,
// the last one for all that follow.
func (s *stage) playUnary(header []string, scripts ...upstream.Script) answer {
	s.up.SetHandler(upstream.InTurn(scripts...))
	s.up.Reset()
	return s.ask(unaryPath, s.body, header...)
}

// isWhole checks that a client got one whole document with the text, and what
// the attempts asked for.
func (s *stage) isWhole(a answer, text, reason, attempts string) response {
	s.t.Helper()
	r, err := parsed(a.body)
	if err != nil || a.err != nil || a.status != 200 || a.header.Get("Content-Encoding") != "" || a.header.Get("Content-Length") != strconv.Itoa(len(a.body)) {
		s.t.Errorf("%d %v %v %v\n%s", a.status, a.header, a.err, err, a.body)
		return r
	}
	if !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		s.t.Errorf("Content-Type %q", a.header.Get("Content-Type"))
	}
	if r.text() != text || len(r.Candidates) != 1 || r.Candidates[0].FinishReason != reason || strings.Count(a.body, `"finishReason"`) != 1 || r.Error != nil {
		s.t.Errorf("want %q and %s\n%s", text, reason, a.body)
	}
	if got := s.attempts(); got != attempts {
		s.t.Errorf("attempts %q, want %q", got, attempts)
	}
	return r
}

// wholeDocument is the answer of a good attempt, restDocument of a good
// continuation.
var (
	wholeDocument = upstream.Script{json200(docOf(first+second, "STOP"))}
	restDocument  = upstream.Script{json200(docOf(second, "STOP"))}
)

func TestUnaryPassesToTheByte(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	held := true
	f := func(script ...upstream.Step) {
		t.Helper()
		s.up.SetHandler(upstream.Always(script))
		s.up.Reset()
		want := s.send(s.up.URL()+unaryPath, s.body)
		got := s.playUnary(nil, script)
		if !held {
			s.passes(got, want, 1)
			return
		}
		want.header.Del("Content-Length")
		if got.header.Get("Content-Length") != strconv.Itoa(len(got.body)) {
			t.Errorf("Content-Length %v of %d", got.header, len(got.body))
		}
		got.header.Del("Content-Length")
		s.passes(got, want, 1)
	}
	body := docOf(first+second, "STOP")
	f(json200(body))
	f(json200("\ufeff" + body))
	f(chunked200(body, 7)...)
	f(upstream.Head(200, upstream.UntilClose, "Content-Type", "application/json", "X-Any", "kept"), upstream.Send(body))
	f(json200(`{"candidates":[{"content":{"parts":[{"text":"a\u2028b"}],"role":"model"},"finishReason":"STOP"}]}`))
	f(json200(docOf("line\u2028 and \u0085", "STOP")))
	f(json200(document(`{"text": "hm","thought": true},`+textPart("so"), "STOP", 3)))
	f(json200(document(`{"functionCall": {"name": "f","args": {}},"thoughtSignature": "QUJD"}`, "STOP", 3)))
	f(json200(document(`{"inlineData": {"mimeType": "image/png","data": "AAAA"}}`, "STOP", 3)))
	for _, reason := range []string{"MAX_TOKENS", "CONTINUATION", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "IMAGE_SAFETY", "BRAND_NEW_REASON"} {
		f(json200(docOf(first, reason)))
		f(json200(`{"candidates": [{"finishReason": "` + reason + `","index": 0}]}`))
	}
	f(json200(`{"promptFeedback": {"blockReason": "SAFETY"},"usageMetadata": {"promptTokenCount": 1}}`))
	for _, code := range []int{400, 401, 403, 404, 409, 413, 499} {
		f(status(code, fmt.Sprintf("{\n  \"error\": {\n    \"code\": %d\n  }\n}\n", code))...)
	}
	f(upstream.Status(200, map[string]string{"Content-Type": "text/html"}, "<p>log in"))
	// Larger than what is held.
	s, held = newStage(t, func(c *proxy.Config) { c.MaxTranscriptBytes = 100 }), false
	f(json200(docOf(strings.Repeat(first, 1000), "STOP")))
	f(chunked200(docOf(strings.Repeat(first, 1000), "STOP"), 50)...)
	// Gzip is taken off what was read of it, and so off the rest.
	zipped := append(steps(upstream.Gzip()), chunked200(docOf(strings.Repeat(first, 1000), "STOP"), 50)...)
	if a := s.playUnary(nil, zipped); a.err != nil || a.body != docOf(strings.Repeat(first, 1000), "STOP") || a.header.Get("Content-Encoding") != "" {
		t.Errorf("%v %v %d bytes", a.err, a.header, len(a.body))
	}
}

func TestUnaryFaultsAreHealed(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	body := docOf(first+second, "STOP")
	cut := strings.Index(body, second)
	f := func(attempts string, fault ...upstream.Step) {
		t.Helper()
		then := wholeDocument
		if attempts != "|" {
			then = restDocument
		}
		s.isWhole(s.playUnary(nil, fault, then), first+second, "STOP", attempts)
	}
	// Nothing came: the same request again, and its answer to the byte.
	for _, code := range []int{408, 429, 500, 502, 503, 504} {
		f("|", status(code, `{"error": {}}`)...)
	}
	f("|", upstream.Cut())
	f("|", upstream.Reset())
	f("|", upstream.Wire("HTTP/1.1 abc\r\n\r\n"))
	f("|", json200(""))
	f("|", json200("{}"))
	f("|", json200(docOf("", "STOP")))
	f("|", json200(`{"candidates": [{"finishReason": "STOP","index": 0}]}`))
	f("|", json200(`{"candidates": [{"finishReason": "SAFETY","index": 0}]}`))
	f("|", json200(`{"candidates": [{"content": {},"finishReason": "MALFORMED_FUNCTION_CALL"}]}`))
	f("|", json200(`{"error": {"code": 503,"message": "overloaded","status": "UNAVAILABLE"}}`))
	f("|", append(steps(upstream.LimitBody(20, upstream.FIN)), json200(body))...)
	// A part of the text came: it is gone on from.
	for _, how := range []upstream.How{upstream.FIN, upstream.RST, upstream.Clean} {
		f("|"+first, append(steps(upstream.LimitBody(cut, how)), chunked200(body, 0)...)...)
		if how != upstream.Clean {
			f("|"+first, append(steps(upstream.LimitBody(cut, how)), json200(body))...)
		}
	}
	f("|"+first, append(steps(upstream.Gzip(), upstream.LimitBody(1<<20, upstream.FIN)), append(chunked200(body[:cut], 0), upstream.Cut())...)...)
	for _, reason := range []string{"SAFETY", "RECITATION", "LANGUAGE", "OTHER", "MALFORMED_RESPONSE"} {
		f("|"+first, json200(docOf(first, reason)))
	}
	// Gzip that was not asked for.
	s.isWhole(s.playUnary([]string{"Accept-Encoding", "gzip"}, append(steps(upstream.Gzip()), wholeDocument...)), first+second, "STOP", "")
	if got := s.up.Requests()[0].Header.Get("Accept-Encoding"); got != "identity" {
		t.Errorf("Accept-Encoding %q", got)
	}
}
