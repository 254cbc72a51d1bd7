package proxy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// The answer that most stories are about: first is delivered by the first
// attempt, second by another.
const (
	first  = "Once upon "
	second = "a time."
)

// half is an event that breaks off.
const half = `data: {"candidates": [{"content": {"parts": [{"text": "lost`

// Scripts of a whole answer and of its second half.
var (
	whole = upstream.Script{upstream.Text(first), upstream.TextFinish(second, "STOP")}
	rest  = upstream.Script{upstream.TextFinish(second, "STOP")}
)

// stage is a rig on which stories are played, one after another, with a client
// that keeps its connection.
type stage struct {
	*rig
	client *http.Transport
	body   string // of the client's requests
}

func newStage(t testing.TB, change func(*proxy.Config)) *stage {
	t.Helper()
	s := &stage{
		rig:    newRig(t, upstream.Always(nil), change),
		client: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1000},
		body:   ask("tell me a story"),
	}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

// answer is what a client got. err is how its body ended; nil is a well framed
// end.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

// ask sends a request to the proxy.
func (s *stage) ask(target, body string, header ...string) answer {
	return s.send("http://"+s.addr+target, body, header...)
}

// send sends a request to any server. It may be called from any goroutine.
func (s *stage) send(url, body string, header ...string) answer {
	req, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.client.RoundTrip(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b), err}
}

// play answers one request with scripts, one an attempt, the last one for all
// that follow.
func (s *stage) play(header []string, scripts ...upstream.Script) answer {
	s.up.SetHandler(upstream.InTurn(scripts...))
	s.up.Reset()
	return s.ask(streamPath, s.body, header...)
}

// direct is what a client gets that asks the upstream itself.
func (s *stage) direct(script ...upstream.Step) answer {
	s.up.SetHandler(upstream.Always(script))
	s.up.Reset()
	return s.send(s.up.URL()+streamPath, s.body)
}

// attempts tells of each request that arrived what it asked for, joined by
// "|": nothing for the client's own request, else the text to be continued.
func (s *stage) attempts() string {
	var all []string
	for _, r := range s.up.Requests() {
		text, err := continued(s.body, string(r.Body))
		if err != nil {
			text = fmt.Sprintf("(%v)", err)
		}
		all = append(all, text)
	}
	return strings.Join(all, "|")
}

// continued returns the text that a request asks to continue, "" for the
// client's own request. The body is the client's to the byte, but for two
// turns at the end of its contents, which are the last thing in it.
func continued(original, body string) (string, error) {
	if body == original {
		return "", nil
	}
	before, ok := strings.CutSuffix(original, "]}")
	turns, begins := strings.CutPrefix(body, before+",")
	if !ok || !begins {
		return "", fmt.Errorf("the client's request is not in %s", body)
	}
	turns, ok = strings.CutSuffix(turns, "]}")
	if !ok {
		return "", fmt.Errorf("the end of the request is not in %s", body)
	}
	return inserted(turns)
}

// inserted returns the text of the model turn among the two turns that a
// continuation adds.
func inserted(turns string) (string, error) {
	type turn struct {
		Role  string
		Parts []struct{ Text string }
	}
	var two []turn
	d := json.NewDecoder(strings.NewReader("[" + turns + "]"))
	d.DisallowUnknownFields()
	if err := d.Decode(&two); err != nil {
		return "", err
	}
	switch {
	case len(two) != 2 || two[0].Role != "model" || two[1].Role != "user":
		return "", fmt.Errorf("turns %+v", two)
	case len(two[0].Parts) != 1 || two[0].Parts[0].Text == "":
		return "", fmt.Errorf("an empty model turn: %s", turns)
	case len(two[1].Parts) != 1 || two[1].Parts[0].Text == "":
		return "", errors.New("an empty prompt")
	}
	return two[0].Parts[0].Text, nil
}

// logged returns a field of the last "request" line of the log, once there are
// n of them.
func (s *stage) logged(n int, field string) any {
	s.t.Helper()
	var line map[string]any
	if !eventually(func() bool {
		seen := 0
		for l := range bytes.Lines([]byte(s.log.String())) {
			if bytes.Contains(l, []byte(`"msg":"request"`)) {
				seen++
				line = nil
				json.Unmarshal(l, &line)
			}
		}
		return seen >= n
	}) {
		s.t.Fatalf("%d lines did not come", n)
	}
	return line[field]
}

// sse writes payloads as the API does.
func sse(payloads ...string) string {
	var b strings.Builder
	for _, p := range payloads {
		b.WriteString("data: " + p + "\r\n\r\n")
	}
	return b.String()
}
