package stream

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

const chatTurns = `{"role":"assistant","content":"so far"},{"role":"user","content":"go on"}`

func TestChatRequestIsRead(t *testing.T) {
	f := func(body string, want Request) {
		t.Helper()
		r, ok := ParseRequest(OpenAI, []byte(body))
		if !ok {
			t.Errorf("%s: refused", body)
		}
		if r.Stream != want.Stream || r.UsageApart != want.UsageApart || r.Several != want.Several || r.Thoughts != want.Thoughts || r.JSON != want.JSON || r.Document != want.Document ||
			string(r.Model) != string(want.Model) || r.HasKey != want.HasKey || string(r.Key) != string(want.Key) || !slices.EqualFunc(r.Stops, want.Stops, slices.Equal) {
			t.Errorf("%s: %+v", body, r)
		}
	}
	f(`{}`, Request{})
	f(`{"model":"google/gemini-2.5-flash","messages":[],"stream":true,"stream_options":{"include_usage":true}}`,
		Request{Model: []byte("google/gemini-2.5-flash"), Stream: true, UsageApart: true})
	f(`{"stream":false,"stream_options":{"include_usage":false},"n":1,"stop":null,"response_format":{"type":"text"}}`, Request{})
	f(`{"str\u0065am":true,"stream_options":null,"n":"2","stop":"a\nb"}`, Request{Stream: true, Several: true, Stops: [][]byte{[]byte("a\nb")}})
	f(`{"n":2.0}`, Request{Several: true})
	f(`{"n":3,"stop":["a","","b",1],"response_format":{"type":"json_schema","json_schema":{"type":"text"}}}`,
		Request{Several: true, JSON: true, Document: true, Stops: [][]byte{[]byte("a"), []byte("b")}})
	f(`{"response_format":{"type":"json_object"},"apiKey":"default:K"}`, Request{JSON: true, Document: true, HasKey: true, Key: []byte("default:K")})
	f(`{"extra_body":{"google":{"thinking_config":{"include_thoughts":true}}}}`, Request{Thoughts: true})
	f(`{"response_format":{"type":"grammar"},"stop":""}`, Request{JSON: true})
	f(`{"messages":[{"stream":true,"n":2}],"metadata":{"stream":true},"response_format":[],"model":7,"stream":"true"}`, Request{})
	for _, bad := range []string{"", "[]", "{", `{"stream":tru}`, `{} {}`} {
		if _, ok := ParseRequest(OpenAI, []byte(bad)); ok {
			t.Errorf("%s: taken", bad)
		}
	}
}

func TestChatContinuationAppendsTwoMessages(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		r, ok := ParseRequest(OpenAI, []byte(body))
		got, err := r.AppendContinuation([]byte("x"), []byte("so far"), "go on", 10)
		if want = "x" + strings.Replace(want, "@", chatTurns, 1); !ok || err != nil || string(got) != want || !json.Valid(got[1:]) {
			t.Errorf("%s:\n got %s, %v\nwant %s", body, got, err, want)
		}
	}
	f(`{"messages":[{"role":"user","content":"Hi"}]}`, `{"messages":[{"role":"user","content":"Hi"},@]}`)
	f("{ \"messages\" : [\n ] ,\"x\":1.0e5}\n", "{ \"messages\" : [\n @] ,\"x\":1.0e5}\n")
	f(`{"m\u0065ssages":[{"messages":[]}],"tools":[{"messages":[]}],"contents":[]}`, `{"m\u0065ssages":[{"messages":[]},@],"tools":[{"messages":[]}],"contents":[]}`)
	// What was spent is taken off every limit.
	f(`{"max_tokens":15,"messages":[]}`, `{"max_tokens":5,"messages":[@]}`)
	f(`{"messages":[],"max_completion_tokens":"15","max_tokens":20}`, `{"messages":[@],"max_completion_tokens":"5","max_tokens":10}`)
	f(`{"messages":[],"max_tokens":null,"x":{"max_tokens":15}}`, `{"messages":[@],"max_tokens":null,"x":{"max_tokens":15}}`)
	// The rest of a document is no document.
	f(`{"messages":[],"response_format":{"type":"json_object"},"max_tokens":15}`, `{"messages":[@],"max_tokens":5}`)
	f(`{"response_format":{"type":"json_schema","json_schema":{}},"stream":true,"messages":[]}`, `{"stream":true,"messages":[@]}`)

	fails := func(body string, want error) {
		t.Helper()
		r, _ := ParseRequest(OpenAI, []byte(body))
		if got, err := r.AppendContinuation([]byte("x"), []byte("a"), "b", 10); !errors.Is(err, want) || string(got) != "x" {
			t.Errorf("%s: %s, %v", body, got, err)
		}
	}
	fails(`{}`, ErrNoContents)
	fails(`{"messages":null}`, ErrNoContents)
	fails(`{"messages":{"role":"user"}}`, ErrNoContents)
	fails(`{"messages":[],"max_tokens":10}`, ErrBudgetSpent)
	fails(`{"messages":[],"max_tokens":100,"max_completion_tokens":3}`, ErrBudgetSpent)
	// Without a prompt the assistant's own words are the last.
	r, _ := ParseRequest(OpenAI, []byte(`{"messages":[]}`))
	if got, _ := r.AppendContinuation(nil, []byte(`a\ud83d"`[:7]), "", 0); string(got) != `{"messages":[{"role":"assistant","content":"a`+"\ufffd"+`"}]}` {
		t.Errorf("%s", got)
	}
}
