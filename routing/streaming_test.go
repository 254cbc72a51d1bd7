package routing

import "testing"

func TestAppendStreaming(t *testing.T) {
	f := func(target, want string) {
		t.Helper()
		if got := string(AppendStreaming([]byte("x"), []byte(target))); got != "x"+want {
			t.Errorf("%s: got %s, want %s", target, got[1:], want)
		}
	}
	f("/v1/models/m:generateContent", "/v1/models/m:streamGenerateContent?alt=sse")
	f("/v1/models/m:generateContent?", "/v1/models/m:streamGenerateContent?alt=sse")
	f("/g/v1/m:generateContent?a=1&b", "/g/v1/m:streamGenerateContent?alt=sse&a=1&b")
	f("/m%3AgenerateContent?", "/m%3AstreamGenerateContent?alt=sse")
	f("/m:generateContent?alt=json", "/m:streamGenerateContent?alt=sse")
	f("/m:generateContent?a=%26&%61lt=json&$alt=json&%24alt=x&b=alt", "/m:streamGenerateContent?alt=sse&a=%26&b=alt")
	f("/%76%31/m:%67enerate%43onten%74?a=%62", "/%76%31/m:streamGenerateContent?alt=sse&a=%62")
	f("/v1/:generateContent/m:generateContent?:generateContent", "/v1/:generateContent/m:streamGenerateContent?alt=sse&:generateContent")
}

func TestWantsPlainJSON(t *testing.T) {
	f := func(query string, want bool) {
		t.Helper()
		if got := WantsPlainJSON([]byte(query)); got != want {
			t.Errorf("%q: %t", query, got)
		}
	}
	for _, q := range []string{"", "alt=json", "$alt=json", "%24alt=js%6fn", "key=fields", "a=alt&b", "prettyPrint=false", "$alt=json;enum-encoding=int", "fields=a"} {
		f(q, true)
	}
	for _, q := range []string{"alt=sse", "alt=proto", "alt=media", "alt=", "alt", "a=1&alt=json&alt=sse", "$alt=jsonx"} {
		f(q, false)
	}
}

func TestReshapes(t *testing.T) {
	f := func(query string, want bool) {
		t.Helper()
		if got := Reshapes([]byte(query)); got != want {
			t.Errorf("%q: %t", query, got)
		}
	}
	for _, q := range []string{"", "alt=sse", "a=fields", "fieldsx=1", "x$fields=1", "prettyPrint=false"} {
		f(q, false)
	}
	for _, q := range []string{"fields=a", "$fields=a", "f%69elds", "alt=sse&%24fields=a", "callback=f", "$callback=f"} {
		f(q, true)
	}
}
