package stream

import (
	"encoding/json"
	"testing"
)

func TestAppendWithoutSignatures(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		if got := string(AppendWithoutSignatures([]byte("x"), []byte(body), nil)); got != "x"+want {
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

func TestSignaturesThatAreKept(t *testing.T) {
	const body = `{"a":{"thoughtSignature":"ab\u003d"},"b":[{"thought_signature": "cd"}],"c":{"thoughtSignature":""}}`
	keep := func(value []byte) bool { return string(value) == "ab=" }
	want := `{"a":{"thoughtSignature":"ab\u003d"},"b":[{"thought_signature": "skip_thought_signature_validator"}],"c":{"thoughtSignature":"skip_thought_signature_validator"}}`
	if got := string(AppendWithoutSignatures(nil, []byte(body), keep)); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestEachBoundValue(t *testing.T) {
	f := func(each func([]byte, func([]byte)), body, want string) {
		t.Helper()
		got := ""
		each([]byte(body), func(v []byte) { got += string(v) + "|" })
		if got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	const body = `{"candidates":[{"content":{"parts":[{"text":"\"continuationToken\":\"x\"","thoughtSignature":"a\/b"}]},"continuationToken" : "T1"}],"thought_signature":"c","continuation_token":"T2"}`
	f(EachSignature, body, "a/b|c|")
	f(EachToken, body, "T1|T2|")
	f(EachSignature, `{"mySignature":"x","thoughtSignature":7,"thoughtSignature":null,"thoughtSignature"`, "")
	f(EachToken, `{"pageToken":"x","nextPageToken":"y","token":"z"}`, "")
	f(EachToken, ``, "")
	for i := range len(body) {
		EachSignature([]byte(body[:i]), func([]byte) {})
		EachToken([]byte(body[:i]), func([]byte) {})
	}
}

// The result is JSON when the body is, and the same but for the signatures.
func FuzzAppendWithoutSignatures(f *testing.F) {
	f.Add([]byte(`{"contents":[{"parts":[{"functionCall":{"name":"f"},"thoughtSignature":"c2ln"},{"text":"\"thoughtSignature\":\"x\""}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got := AppendWithoutSignatures(nil, body, nil)
		var before, after any
		if json.Unmarshal(body, &before) != nil {
			return
		}
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatalf("%s becomes %s: %v", body, got, err)
		}
		if again := AppendWithoutSignatures(nil, got, nil); string(again) != string(got) {
			t.Errorf("%s, and again %s", got, again)
		}
	})
}
