package stream

import (
	"encoding/json"
	"testing"
)

func TestAppendModel(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if got := string(AppendModel([]byte("x"), []byte(body), "new")); got != "x"+want {
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
	if got := BodyModel([]byte("models/x")); string(got) != "x" {
		t.Error(string(got))
	}
}

func FuzzAppendModel(f *testing.F) {
	f.Add([]byte(`{"model":"models/old","messages":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got := AppendModel(nil, body, "new")
		if json.Valid(body) && !json.Valid(got) {
			t.Errorf("%s becomes %s", body, got)
		}
	})
}
