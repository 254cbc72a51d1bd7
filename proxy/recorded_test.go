package proxy_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

// recording is a recorded answer of the API, and the request it answers.
type recording struct {
	Source  string              `json:"src"`
	URL     string              `json:"url"`
	Request string              `json:"req"`
	Headers map[string][]string `json:"headers"`
	Body    string              `json:"body"`
}

// recordings reads the recorded streams; the test is skipped where there are
// none.
func recordings(t *testing.T) (all []recording) {
	t.Helper()
	file, err := os.Open("../../shared/recorded/streams.jsonl")
	if err != nil {
		t.Skipf("no recorded answers here: %v", err)
	}
	defer file.Close()
	sc := bufio.NewScanner(file)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var r recording
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	if sc.Err() != nil || len(all) == 0 {
		t.Fatalf("%d recordings, %v", len(all), sc.Err())
	}
	return all
}

// target is the request target that the client of the recording used.
func (r *recording) target() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		panic(err)
	}
	return u.RequestURI()
}

// head is a step that heads an answer as the recorded one was.
func (r *recording) head() upstream.Step {
	var fields []string
	for name, values := range r.Headers {
		if name = http.CanonicalHeaderKey(name); name == "Transfer-Encoding" || name == "Connection" {
			continue
		}
		for _, v := range values {
			fields = append(fields, name, v)
		}
	}
	return upstream.Head(200, upstream.Chunked, fields...)
}

// plainText returns the text of an answer that is text alone, to a request
// that any text may answer.
func (r *recording) plainText() (text, finish string, ok bool) {
	if strings.Contains(r.Request, `"responseMimeType"`) || strings.Contains(r.Request, "Schema") {
		return "", "", false
	}
	got, err := read(r.Body)
	if err != nil || len(got.finishes) != 1 {
		return "", "", false
	}
	for _, p := range got.payloads {
		var v struct {
			Candidates []struct {
				Content struct{ Parts []map[string]any }
			}
		}
		if json.Unmarshal([]byte(p), &v) != nil {
			return "", "", false
		}
		for _, c := range v.Candidates {
			for _, part := range c.Content.Parts {
				if _, ok := part["text"].(string); !ok || len(part) > 1 {
					return "", "", false
				}
			}
		}
	}
	return got.text, got.finishes[0], got.text != ""
}

func TestRecordedStreamsPassToTheByte(t *testing.T) {
	t.Parallel()
	all := recordings(t)
	s := newStage(t, nil)
	for _, r := range all {
		s.up.SetHandler(upstream.Always(upstream.Script{r.head(), upstream.Send(r.Body)}))
		s.up.Reset()
		a := s.ask(r.target(), r.Request)
		if a.err != nil || a.status != 200 || a.body != r.Body {
			t.Errorf("%s: %d, %v, changed on its way:\n%.300s", r.Source, a.status, a.err, excerpt(a.body, r.Body))
		}
		for name, want := range r.Headers {
			switch name = http.CanonicalHeaderKey(name); name {
			case "Connection", "Transfer-Encoding", "Date":
				continue
			case "Alt-Svc":
				want = nil // it is of the upstream's origin
			}
			if !slices.Equal(a.header[name], want) {
				t.Errorf("%s: %s is %q, want %q", r.Source, name, a.header[name], want)
			}
		}
		// A retried finish is asked for again, and stands when it stays.
		attempts := 1
		if strings.Contains(r.Body, `"UNEXPECTED_TOOL_CALL"`) {
			attempts = 6
		}
		if n := s.up.Count(); n != attempts || string(s.up.Requests()[n-1].Body) != r.Request {
			t.Errorf("%s: %d attempts, want %d with the client's body", r.Source, n, attempts)
		}
	}
}

func TestRecordedStreamsCutAnywhereGoOn(t *testing.T) {
	t.Parallel()
	all := recordings(t)
	step := 50
	if testing.Short() {
		step = 500
	}
	texts := 0
	s := newStage(t, nil)
	s.up.SetRecord(false)
	for _, r := range all {
		text, finish, ok := r.plainText()
		if !ok {
			continue
		}
		texts++
		m := &upstream.Model{Answer: text, Piece: 40, Finish: finish}
		for n := 0; n < len(r.Body); n += step {
			s.up.Reset()
			s.up.SetHandler(func(q *upstream.Request) upstream.Script {
				switch {
				case string(q.Body) != r.Request:
					return m.Handle(q)
				case q.Seq > 0: // nothing was delivered
					return upstream.Script{upstream.Send(r.Body)}
				}
				return upstream.Script{upstream.LimitBody(n, upstream.How(n/step%3)), upstream.Send(r.Body)}
			})
			a := s.ask(r.target(), r.Request)
			got, err := read(a.body)
			if err = cmp.Or(a.err, err); err == nil {
				err = got.whole(text, finish)
			}
			if err != nil || a.status != 200 {
				t.Errorf("%s cut at %d of %d: %d, %v", r.Source, n, len(r.Body), a.status, err)
			}
		}
	}
	if texts < 30 {
		t.Errorf("only %d of %d recordings are plain text", texts, len(all))
	}
}
