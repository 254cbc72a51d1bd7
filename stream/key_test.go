package stream

import (
	"encoding/json"
	"testing"
)

func TestKeyIsTakenOutOfTheBody(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		got := string(AppendWithoutKey([]byte("x"), []byte(body)))
		if got != "x"+want {
			t.Errorf("%s: %s, want %s", body, got[1:], want)
		}
		if json.Valid([]byte(body)) != json.Valid([]byte(got[1:])) {
			t.Errorf("%s became %s", body, got[1:])
		}
		moved := []byte(body)
		if got := string(AppendWithoutKey(moved[:0], moved)); got != want {
			t.Errorf("%s: %s where it lies, want %s", body, got, want)
		}
	}
	// At every place.
	f(`{"apiKey":"K"}`, `{}`)
	f(`{ "apiKey" : "K" }`, `{  }`)
	f(`{"apiKey":"K","a":1}`, `{"a":1}`)
	f(`{"a":1,"apiKey":"K"}`, `{"a":1}`)
	f(`{"a":1,"apiKey":"K","b":2}`, `{"a":1,"b":2}`)
	f("{\n  \"a\": 1.0e5,\n  \"apiKey\": \"K\",\n  \"b\": \"\\u00e9\"\n}\n", "{\n  \"a\": 1.0e5,\n  \"b\": \"\\u00e9\"\n}\n")
	// More than one, of any type, however written.
	f(`{"apiKey":"K","apiKey":"L"}`, `{}`)
	f(`{"apiKey":"K","apiKey":"L","a":1}`, `{"a":1}`)
	f(`{"a":1,"apiKey":"K","apiKey":"L"}`, `{"a":1}`)
	f(`{"apiKey":"K","a":1,"apiKey":"L","b":2,"apiKey":"M"}`, `{"a":1,"b":2}`)
	f(`{"apiKey":null,"a":1}`, `{"a":1}`)
	f(`{"a":1,"apiKey":{"apiKey":[1]}}`, `{"a":1}`)
	f(`{"a":1,"\u0061piKey":"K"}`, `{"a":1}`)
	f("\ufeff {\"apiKey\":\"K\",\"a\":1}", "\ufeff {\"a\":1}")
	// Nothing to take out.
	for _, body := range []string{
		``, `{}`, `{ }`, `[]`, `null`, `{"a":1}`, `{"apikey":"K"}`, `{"a":{"apiKey":"K"},"b":["apiKey"],"c":"\"apiKey\":\"K\""}`, `[{"apiKey":"K"}]`,
	} {
		f(body, body)
	}
	// Malformed: what can be read goes.
	f(`{"apiKey":"K","a":`, `{"a":`)
	f(`{"a":1,"apiKey":`, `{"a":1,"apiKey":`)
	f(`{"a":tru,"apiKey":"K"}`, `{"a":tru,"apiKey":"K"}`)
	f(`{"apiKey"}`, `{"apiKey"}`)
}

func TestKeyIsTakenOutOfEveryTruncation(t *testing.T) {
	const body = `{"a":[1,{"b":"\""}],"apiKey":"K","c":null}`
	for cut := range body {
		if got := AppendWithoutKey(nil, []byte(body[:cut])); json.Valid(got) {
			t.Errorf("%s became whole: %s", body[:cut], got)
		}
	}
}
