package stream

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAppendRenamed(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if got := string(AppendRenamed([]byte("x"), []byte(body), map[string]string{"old": "new"})); got != "x"+want {
			t.Errorf("%s: %s, want %s", body, got[1:], want)
		}
	}
	f(`{"model":"old","messages":[{"model":"old"}]}`, `{"model":"new","messages":[{"model":"old"}]}`)
	f(`{"a": {"model": "old"}, "model" : "models/old" }`, `{"a": {"model": "old"}, "model" : "models/new" }`)
	f(`{"model":"models\/old"}`, `{"model":"models/new"}`)
	f(`{"model":"google/old"}`, `{"model":"google/new"}`)
	f(`{"model":5}`, `{"model":5}`)
	f(`{"messages":[]}`, `{"messages":[]}`)
	f(`["model"]`, `["model"]`)
	f(``, ``)
	f(`{"model":"other"}`, `{"model":"other"}`)
	f(`{"model":"old","model":"old"}`, `{"model":"new","model":"new"}`)
	f(`{"requests":[{"model":"models/old","content":{"model":"old"}},{"model":"models/x"},7, {"content":{},"model":"old"}],"model":"old"}`,
		`{"requests":[{"model":"models/new","content":{"model":"old"}},{"model":"models/x"},7, {"content":{},"model":"new"}],"model":"new"}`)
	f(`{"generateContentRequest":{"contents":[],"model":"models/old"}}`, `{"generateContentRequest":{"contents":[],"model":"models/new"}}`)
	f(`{"generate_content_request":{"model":"models/old"},"requests":[]}`, `{"generate_content_request":{"model":"models/new"},"requests":[]}`)
	f(`{"requests":{"model":"old"}}`, `{"requests":{"model":"old"}}`)
	// A batch that is worked off later.
	f(`{"batch":{"display_name":"x","model":"models/old","input_config":{"model":"old","requests":{"model":"old","requests":[{"request":{"model":"models/old","contents":[{"model":"old"}]},"metadata":{"key":"model"}},{"request":{}}]}}}}`,
		`{"batch":{"display_name":"x","model":"models/new","input_config":{"model":"old","requests":{"model":"old","requests":[{"request":{"model":"models/new","contents":[{"model":"old"}]},"metadata":{"key":"model"}},{"request":{}}]}}}}`)
	f(`{"batch":{"inputConfig":{"requests":{"requests":[{"request":{"model":"old"}}]}}}}`, `{"batch":{"inputConfig":{"requests":{"requests":[{"request":{"model":"new"}}]}}}}`)
	f(strings.Repeat(`{"request":`, 5000)+`{"model":"old"}`+strings.Repeat("}", 5000), strings.Repeat(`{"request":`, 5000)+`{"model":"old"}`+strings.Repeat("}", 5000))
	// The beginning of a body.
	f(`{"model":"old","input":["a`, `{"model":"new","input":["a`)
	f(`{"requests":[{"model":"old"},`, `{"requests":[{"model":"old"},`)
	if got := BodyModel([]byte("models/x")); string(got) != "x" {
		t.Error(string(got))
	}
}

func TestEachModel(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		var got []string
		EachModel([]byte(body), func(model []byte) { got = append(got, string(model)) })
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	f(`{"model":"models/a","x":{"model":"b"}}`, "a")
	f(`{"requests":[{"model":"a"},{"mod\u0065l":"models\/b"}],"model":5}`, "a b")
	f(`{"batch":{"model":"a","inputConfig":{"requests":{"requests":[{"request":{"model":"b"}},{"request":{"model":"c"}}]}}},"generateContentRequest":{"model":"d"}}`, "a b c d")
	f(`{}`, "")
	f(``, "")
}

func FuzzAppendRenamed(f *testing.F) {
	f.Add([]byte(`{"model":"models/old","messages":[]}`))
	f.Add([]byte(`{"requests":[{"model":"models/old"},{"model":"old"}],"generateContentRequest":{"model":"old"}}`))
	f.Add([]byte(`{"batch":{"inputConfig":{"requests":{"requests":[{"request":{"model":"old"}}]}}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got := AppendRenamed(nil, body, map[string]string{"old": "new"})
		if json.Valid(body) && !json.Valid(got) {
			t.Errorf("%s becomes %s", body, got)
		}
	})
}
