package stream

import (
	"bytes"
	"encoding/json"
	"maps"
	"testing"
)

// FuzzChatStreaming asks for a chat completion as a stream: the body says so, once,
// and is otherwise the same.
func FuzzChatStreaming(f *testing.F) {
	for _, s := range []string{`{}`, `{"model":"m","messages":[]}`, ` { "stream" : false , "a":1}`, `{"stream":true,"stream":false}`, `{"a":{"stream":1},"stream_options":{"x":[1,2]},"b":"\"stream\":1"}`, `{"strea\u006d":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, readable := ParseRequest(OpenAI, body)
		var want map[string]json.RawMessage
		if !readable || json.Unmarshal(body, &want) != nil || want == nil {
			return
		}
		got := r.AppendStreaming(nil)
		var have map[string]json.RawMessage
		if err := json.Unmarshal(got, &have); err != nil {
			t.Fatalf("%q became %q: %v", body, got, err)
		}
		if string(have["stream"]) != "true" || string(have["stream_options"]) != `{"include_usage":true}` {
			t.Fatalf("%q became %q", body, got)
		}
		for _, name := range []string{"stream", "stream_options"} {
			delete(want, name)
			delete(have, name)
		}
		if !maps.EqualFunc(want, have, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
			t.Fatalf("%q became %q", body, got)
		}
	})
}
