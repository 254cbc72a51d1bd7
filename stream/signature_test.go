package stream

import (
	"encoding/json"
	"testing"
)

func TestAppendWithoutSignatures(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if got := string(AppendWithoutSignatures([]byte("x"), []byte(body))); got != "x"+want {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
	}
	const n = `"skip_thought_signature_validator"`
	f(``, ``)
	f(`{"contents":[]}`, `{"contents":[]}`)
	f(`{"thoughtSignature":"abc"}`, `{"thoughtSignature":`+n+`}`)
	f(`{"thoughtSignature" : "a\"b" , "x":1}`, `{"thoughtSignature" : `+n+` , "x":1}`)
	f(`{"thought_signature":"abc","a":{"thoughtSignature":"d"}}`, `{"thought_signature":`+n+`,"a":{"thoughtSignature":`+n+`}}`)
	f(`{"extra_content":{"google":{"thought_signature":"abc"}}}`, `{"extra_content":{"google":{"thought_signature":`+n+`}}}`)
	// What only looks like one.
	f(`{"text":"\"thoughtSignature\":\"abc\""}`, `{"text":"\"thoughtSignature\":\"abc\""}`)
	f(`{"text":"thoughtSignature"}`, `{"text":"thoughtSignature"}`)
	f(`["thoughtSignature","abc"]`, `["thoughtSignature","abc"]`)
	f(`{"thoughtSignature":5}`, `{"thoughtSignature":5}`)
	f(`{"thoughtSignature":null}`, `{"thoughtSignature":null}`)
	// Broken off anywhere.
	whole := `{"thoughtSignature": "abc"}`
	for i := range len(whole) - 2 {
		f(whole[:i], whole[:i])
	}
}

// The result is JSON when the body is, and the same but for the signatures.
func FuzzAppendWithoutSignatures(f *testing.F) {
	f.Add([]byte(`{"contents":[{"parts":[{"functionCall":{"name":"f"},"thoughtSignature":"c2ln"},{"text":"\"thoughtSignature\":\"x\""}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got := AppendWithoutSignatures(nil, body)
		var before, after any
		if json.Unmarshal(body, &before) != nil {
			return
		}
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatalf("%s becomes %s: %v", body, got, err)
		}
		if again := AppendWithoutSignatures(nil, got); string(again) != string(got) {
			t.Errorf("%s, and again %s", got, again)
		}
	})
}
