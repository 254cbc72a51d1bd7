package proxy_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// oddBody is a request in which a careless editor would change something. Its
// contents end between the two parts.
const (
	oddBody = ` { "unknown" : [ 1.0 , 1E5,-0,null, "\u00e9\/" ],"contents" : [ {"role":"user", "parts":[{"text":"caf\u00e9 😀 \ud83d\ude00"},` +
		`{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo\u003d"}} ] }`
	oddRest = ` ] , "generationConfig":{"temperature":0.90,"topP" : 1E5, "stopSequences":["]}"],"thinkingConfig":{"includeThoughts":true}%s},` +
		"\t\"tools\":[{\"googleSearch\":{}}],\"contents2\":[],\"safetySettings\":[] }\r\n"
)

func TestContinuationIsTheClientsRequest(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	f := func(config, lowered string) {
		t.Helper()
		s.body = oddBody + fmt.Sprintf(oddRest, config)
		a := s.play(nil, steps(upstream.Text(first), upstream.Cut()), rest)
		if r, err := read(a.body); err != nil || r.text != first+second {
			t.Errorf("%v %q", err, a.body)
		}
		all := s.up.Requests()
		if len(all) != 2 || string(all[0].Body) != s.body {
			t.Fatalf("%d attempts, the first with %s", len(all), all[0].Body)
		}
		body := string(all[1].Body)
		turns, begins := strings.CutPrefix(body, oddBody)
		turns, ends := strings.CutSuffix(turns, strings.TrimPrefix(fmt.Sprintf(oddRest, lowered), " "))
		if !begins || !ends {
			t.Fatalf("the client's request was changed:\n%s\n%s", s.body, body)
		}
		turns = strings.TrimSpace(turns)
		if said, err := inserted(strings.TrimPrefix(turns, ",")); err != nil || said != first {
			t.Errorf("%q, %v", said, err)
		}
	}
	f("", "")
	f(`,"maxOutputTokens":100`, `,"maxOutputTokens":97`)
	f(`,"maxOutputTokens" : "100" `, `,"maxOutputTokens" : "97" `)
	f(`,"maxOutputTokens":null`, `,"maxOutputTokens":null`)
	f(`,"candidateCount":1`, `,"candidateCount":1`)
}

// A model that starts over uses up its own budget, not that of the attempts after
// it.
func TestRepeatedWordsDoNotLowerTheLimit(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	s.body = strings.TrimSuffix(ask("hi"), "}") + `,"generationConfig":{"maxOutputTokens":200}}`
	var all strings.Builder
	for i := range 20 {
		fmt.Fprintf(&all, "Lamp %d stands %d steps from the sea. ", i, i*i)
	}
	story := all.String()[:600]
	some, more := story[:300], story[:400]
	a := s.play(nil, steps(upstream.Text(some), upstream.Cut()), steps(upstream.Text(more), upstream.Cut()),
		steps(upstream.TextFinish(story[len(more):], "STOP")))
	if r, err := read(a.body); err != nil || r.text != story {
		t.Errorf("%v %q", err, a.body)
	}
	limit := regexp.MustCompile(`"maxOutputTokens":(\d+)`)
	var limits []string
	for _, r := range s.up.Requests() {
		limits = append(limits, string(limit.FindSubmatch(r.Body)[1]))
	}
	if got := strings.Join(limits, " "); got != "200 125 100" {
		t.Errorf("limits %s, want 200 125 100", got)
	}
}

// Every character of an answer is in the continuation, and so is one that
// the API had escaped.
func TestContinuationHoldsTheWholeText(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	text := "a\"b\\c/d\n\r\t\b\f\x00\x1f\x7f<>&é\u0085\u2028\u2029😀"
	s.heals(text+second, "STOP", "|"+text, s.play(nil, steps(upstream.Text(text), upstream.Cut()), rest))
	escaped := `data: {"candidates": [{"content": {"parts": [{"text": "\u00e9\/\ud83d\ude00\u0000 "},{"text": "b"}],"role": "model"}}]}` + "\r\n\r\n"
	s.heals("é/😀\x00 b"+second, "STOP", "|é/😀\x00 b", s.play(nil, steps(upstream.Send(escaped), upstream.Cut()), rest))
}

func TestBudgetIsThatOfTheWholeAnswer(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	f := func(max, attempts string, scripts ...upstream.Script) reading {
		t.Helper()
		s.body = `{"generationConfig":{"maxOutputTokens":` + max + `},` + strings.TrimPrefix(ask("hi"), "{")
		a := s.play(nil, scripts...)
		r, err := read(a.body)
		if err != nil || a.err != nil {
			t.Errorf("%v %v %s", err, a.err, a.body)
		}
		var got []string
		for _, q := range s.up.Requests() {
			var body struct {
				GenerationConfig struct{ MaxOutputTokens json.Number }
			}
			json.Unmarshal(q.Body, &body)
			got = append(got, string(body.GenerationConfig.MaxOutputTokens))
		}
		if strings.Join(got, " ") != attempts {
			t.Errorf("budgets %q, want %q", got, attempts)
		}
		return r
	}
	cut := steps(upstream.Text(first), upstream.Cut()) // three tokens
	f("4", "4 1", cut, rest)
	more := piece("a time was")
	f("20", "20 17 14", cut, more, rest)
	f("20", "20 20 17", steps(upstream.Cut()), cut, rest)
	// Thoughts are paid from it.
	f("20", "20 16", steps(upstream.Thought("hm"), upstream.Text(first), upstream.Cut()), rest)
	f("20", "20 20", steps(upstream.Thought("hm"), upstream.Cut()), whole)
	for _, max := range []string{"3", "2", "1"} {
		r := f(max, max, cut, rest)
		if err := r.whole(first, "MAX_TOKENS"); err != nil || len(r.ids) != 1 || len(r.versions) != 1 {
			t.Error(err, r)
		}
		if want := (usage{upstream.PromptTokens, 3, 0, upstream.PromptTokens + 3}); r.usage != want {
			t.Errorf("usage %+v, want %+v", r.usage, want)
		}
	}
	if r := f("6", "6 3", cut, more, rest); r.whole(first+"a time was", "MAX_TOKENS") != nil {
		t.Error(r)
	}
}

func TestEveryAttemptHasTheSameHead(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	length := regexp.MustCompile(`Content-Length: \d+`)
	f := func(target string, header ...string) []byte {
		t.Helper()
		s.up.SetHandler(upstream.InTurn(steps(upstream.Cut()), steps(upstream.Text(first), upstream.Cut()), rest))
		s.up.Reset()
		if a := s.ask(target, s.body, header...); a.err != nil || a.status != 200 {
			t.Errorf("%d %v", a.status, a.err)
		}
		all := s.up.Requests()
		if len(all) != 3 {
			t.Fatalf("%d attempts", len(all))
		}
		for _, r := range all[1:] {
			if !bytes.Equal(length.ReplaceAll(r.Raw, nil), length.ReplaceAll(all[0].Raw, nil)) {
				t.Errorf("%s\nafter\n%s", r.Raw, all[0].Raw)
			}
			if n := fmt.Sprint(len(r.Body)); r.Header.Get("Content-Length") != n {
				t.Errorf("Content-Length %s of %s bytes", r.Header.Get("Content-Length"), n)
			}
		}
		return all[2].Raw
	}
	has := func(raw []byte, line string) {
		t.Helper()
		if !bytes.Contains(raw, []byte("\r\n"+line+"\r\n")) {
			t.Errorf("no %q in\n%s", line, raw)
		}
	}
	has(f(streamPath, "x-goog-api-key", "default:KEY:2", "X-Goog-Api-Client", "gl-go/1"), "x-goog-api-key: KEY:2")
	has(f(streamPath, "x-goog-api-key", "KEY", "Accept-Encoding", "gzip"), "Accept-Encoding: identity")
	has(f(streamPath+"&key=default:KEY"), "x-goog-api-key: KEY")
	has(f(streamPath, "Authorization", "Bearer default:TOKEN"), "Authorization: Bearer TOKEN")
	s.body = `{"apiKey":"default:KEY","contents":[{"role":"user","parts":[{"text":"hi"}]}]}`
	has(f(streamPath), "x-goog-api-key: KEY")
	for i, r := range s.up.Requests() {
		if said, err := continued(ask("hi"), string(r.Body)); err != nil || i < 2 && said != "" || i == 2 && said != first {
			t.Errorf("%q, %v: %s", said, err, r.Body)
		}
	}
}

func TestServerTimeoutShrinks(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	wait := steps(upstream.ErrorBody(429, "RESOURCE_EXHAUSTED", "slow down", time.Second))
	s.heals(first+second, "STOP", "||"+first, s.play([]string{"X-Server-Timeout", "100"}, wait, steps(upstream.Text(first), upstream.Cut()), rest))
	for i, r := range s.up.Requests() {
		got, first := r.Header.Values("X-Server-Timeout"), i == 0
		if len(got) != 1 || first != (got[0] == "100") || len(got[0]) > 3 {
			t.Errorf("attempt %d has %q", i, got)
		}
	}
}

func TestWhatCannotBeHealedIsRelayed(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	refused := status(400, "{\n  \"error\": {\"message\": \"Invalid JSON payload received.\"}}\n")
	want := s.direct(refused...)
	for _, body := range []string{"", "{", "[]", "null", `{"contents":[}`, "not JSON", "\ufeff" + oddBody, "\xff\xfe{}"} {
		s.body = body
		s.passes(s.play(nil, refused), want, 1)
		if got := s.up.Requests()[0]; string(got.Body) != body {
			t.Errorf("%q became %q", body, got.Body)
		}
	}
	for _, config := range []string{`{"candidateCount":2}`, `{"candidateCount":2.0}`, `{"candidateCount" : 3.0e0,"candidateCount":"2"}`} {
		s.body = `{"generationConfig":` + config + `,` + strings.TrimPrefix(ask("hi"), "{")
		want := s.direct(whole...)
		s.passes(s.play(nil, whole), want, 1)
		// Its end is that of the upstream, whatever that was.
		a := s.play(nil, steps(upstream.Text(first), upstream.Cut()), rest)
		if r, err := read(a.body); a.err == nil || err != nil || r.text != first || s.up.Count() != 1 {
			t.Errorf("%s: %v %v %q", config, a.err, err, a.body)
		}
		want = s.direct(status(503, "{}")...)
		s.passes(s.play(nil, status(503, "{}"), whole), want, 1)
	}
}

func TestOriginalRequestNeedsNoContents(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(cfg *proxy.Config) { cfg.MaxConsecutiveFailures = 2 })
	s.body = `{"model":"x"}`
	s.heals(first+second, "STOP", "|", s.play(nil, status(503, "{}"), whole))
}

func TestChunkedRequestIsHealed(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	s.up.SetHandler(upstream.InTurn(piece(first), rest))
	for _, size := range []int{1, 7, 1 << 20} {
		s.up.Reset()
		c := s.dial()
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", streamPath)
		for body := s.body; body != ""; {
			n := min(size, len(body))
			fmt.Fprintf(c, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		io.WriteString(c, "0\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		s.heals(first+second, "STOP", "|"+first, answer{resp.StatusCode, resp.Header, string(body), err})
	}
}
