package proxy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// reading is what the least forgiving of all clients makes of a stream.
type reading struct {
	payloads []string
	text     string   // of the answer
	thoughts string   // of the thought parts
	finishes []string // in order
	ids      []string // responseIds, each once
	versions []string // modelVersions, each once
	usage    usage    // the last one
	last     bool     // the last payload has the finish
	failure  string   // the payload of an error event
	raw      string   // what follows the last event
}

type usage struct{ PromptTokenCount, CandidatesTokenCount, ThoughtsTokenCount, TotalTokenCount int }

// payload is an event as a client sees it.
type payload struct {
	Candidates []struct {
		Content struct {
			Parts []struct {
				Text    string
				Thought bool
			}
		}
		FinishReason string
	}
	UsageMetadata            *usage
	ModelVersion, ResponseID string
	Error                    json.RawMessage
}

// read reads a stream whose events all look as those of the API do: "data: ",
// JSON on one line without any character at which some client breaks lines,
// CR LF CR LF. Nothing else may be there, except that an error event may be
// followed by the same object bare, and by nothing after that.
func read(stream string) (r reading, err error) {
	for stream != "" && r.failure == "" {
		event, rest, ok := strings.Cut(stream, "\r\n\r\n")
		if !ok {
			return r, fmt.Errorf("no CR LF CR LF after %.80q", stream)
		}
		p, ok := strings.CutPrefix(event, "data: ")
		if !ok {
			return r, fmt.Errorf("no data field in front of %.80q", event)
		}
		if err = r.take(p); err != nil {
			return r, fmt.Errorf("%w in %.200q", err, p)
		}
		stream = rest
	}
	r.raw = stream
	if r.raw != "" && r.raw != r.failure {
		return r, fmt.Errorf("%.80q follows the error event", r.raw)
	}
	return r, nil
}

// take takes one payload.
func (r *reading) take(s string) error {
	for _, c := range s {
		if c < ' ' || c == 0x7f || c == 0x85 || c == 0x2028 || c == 0x2029 || c == 0xfeff && strings.HasPrefix(s, "\ufeff") {
			return fmt.Errorf("a raw %U", c)
		}
	}
	var p payload
	if err := json.Unmarshal([]byte(s), &p); err != nil {
		return err
	}
	if p.Error != nil {
		if !strings.HasPrefix(s, `{"error"`) {
			return errors.New(`"error" is not the first member`)
		}
		r.failure = s
	}
	r.payloads = append(r.payloads, s)
	r.last = false
	if len(p.Candidates) > 0 {
		c := &p.Candidates[0]
		for _, part := range c.Content.Parts {
			if part.Thought {
				r.thoughts += part.Text
			} else {
				r.text += part.Text
			}
		}
		if c.FinishReason != "" {
			r.finishes = append(r.finishes, c.FinishReason)
			r.last = true
		}
	}
	if p.UsageMetadata != nil {
		r.usage = *p.UsageMetadata
	}
	r.ids, r.versions = once(r.ids, p.ResponseID), once(r.versions, p.ModelVersion)
	return nil
}

func once(all []string, s string) []string {
	if s == "" || slices.Contains(all, s) {
		return all
	}
	return append(all, s)
}

// whole tells why a reading is not one whole answer with the given text, nil
// if it is.
func (r *reading) whole(text, finish string) error {
	switch {
	case r.text != text:
		return fmt.Errorf("text %q, want %q", excerpt(r.text, text), excerpt(text, r.text))
	case !slices.Equal(r.finishes, []string{finish}) || !r.last:
		return fmt.Errorf("finishes %q, want one %s in the last event", r.finishes, finish)
	case len(r.ids) > 1 || len(r.versions) > 1:
		return fmt.Errorf("responseIds %q and modelVersions %q", r.ids, r.versions)
	case r.failure != "" || r.raw != "":
		return fmt.Errorf("an error at the end of a whole answer: %q", r.failure)
	}
	return nil
}

// excerpt is the part of s around the first byte in which it differs from t.
func excerpt(s, t string) string {
	i := 0
	for i < len(s) && i < len(t) && s[i] == t[i] {
		i++
	}
	return s[max(0, i-20):min(len(s), i+40)]
}

func TestStrictReaderIsStrict(t *testing.T) {
	f := func(stream string, events int, fails bool) {
		t.Helper()
		r, err := read(stream)
		if len(r.payloads) != events || (err != nil) != fails {
			t.Errorf("%q: %q, %v", stream, r.payloads, err)
		}
	}
	const e = "data: {\"a\": 1}\r\n\r\n"
	f("", 0, false)
	f(e+e, 2, false)
	f("data: {\"a\":\"\\u2028 é 😀\"}\r\n\r\n", 1, false)
	for _, bad := range []string{
		"data: {}\n\n", "data: {}\r\n", "data:{}\r\n\r\n", ": x\r\n\r\n", "id: 1\r\n" + e, "\r\n" + e, "\ufeff" + e, " ",
		"data: \ufeff{}\r\n\r\n", "data: \r\n\r\n", "data: [DONE]\r\n\r\n", "data: {\r\n\r\n", "data: {\n}\r\n\r\n", "data: {\t}\r\n\r\n",
		"data: {\"a\":\"\u2028\"}\r\n\r\n", "data: {\"a\":\"\u0085\"}\r\n\r\n", "data: {}\r\r\n\r\n", `{"error": {}}`,
		`data: {"x": 1,"error": {}}` + "\r\n\r\n",
	} {
		f(bad, 0, true)
		f(e+bad, 1, true)
	}
	// The end of an answer that could not be completed.
	const failed = `data: {"error": {"code": 503}}` + "\r\n\r\n"
	f(e+failed, 2, false)
	f(e+failed+`{"error": {"code": 503}}`, 2, false)
	f(e+failed+`{"error": {"code": 500}}`, 2, true)
	f(e+failed+e, 2, true)
}
