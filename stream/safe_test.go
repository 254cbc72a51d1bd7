package stream

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func TestEventCopiesSafePayloadsToTheByte(t *testing.T) {
	f := func(payload string) {
		t.Helper()
		if got := string(AppendEvent([]byte("x"), []byte(payload))); got != "x"+sse(payload) {
			t.Errorf("%q became %q", payload, got)
		}
	}
	f(`{}`)
	f(`{"a" : [1,  2.50e+1, "\u0041\/\u2028\ud83d\ude00"]}`)
	f(`{"a":"é 😀 ` + "\u00a0 \u2027 \u202a \u0084 \u0086 \x7f" + `"}`)
	f("{\"a\":\"\xff\xe2\x80\"}")
	f(strings.Repeat(" ", 5) + `{}  `)
}

func TestEventIsOneLineOfTheSameJSON(t *testing.T) {
	f := func(payload, want string) {
		t.Helper()
		got := AppendEvent(nil, []byte(payload))
		if string(got) != sse(want) {
			t.Errorf("%q:\n got %q\nwant %q", payload, got, sse(want))
		}
		mustStrict(t, got)
		var before, after any
		if err := json.Unmarshal([]byte(payload), &before); err != nil {
			return // nothing to compare with
		}
		if err := json.Unmarshal([]byte(want), &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("%q became another value: %q, %v", payload, want, err)
		}
	}
	// Between tokens.
	f("{\n  \"a\": 1\n}\n", `{   "a": 1 } `)
	f("{\r\n\t\"a\":\t1}", `{   "a": 1}`)
	f("{\t}", `{ }`)
	// Inside strings.
	f("{\"a\":\"\u0085\u2028\u2029\"}", `{"a":"\u0085\u2028\u2029"}`)
	f("{\"\u2028\":\"\\\"\u2028\\\\\"}", `{"\u2028":"\"\u2028\\"}`)
	f("{\"a\":\"x\u2027\u202a\u0084\u0086\u2028\"}", "{\"a\":\"x\u2027\u202a\u0084\u0086\\u2028\"}")
	// What JSON forbids inside strings and lenient upstreams write.
	f("{\"a\":\"1\n2\r3\t4\x005\x1c6\x0b7\"}", `{"a":"1\n2\r3\t4\u00005\u001c6\u000b7"}`)
	f("{\"a\":\"\t\"}", `{"a":"\t"}`)
	f("{\"a\":\"\\\n\"}", `{"a":"\n"}`)
	f("{\"a\":\"\\\u2028\\\u0085\"}", `{"a":"\u2028\u0085"}`)
	f("{\"a\":\"\\\\\n\"}", `{"a":"\\\n"}`)
}

func TestEventKeepsEveryCharacter(t *testing.T) {
	for _, s := range samples() {
		quoted, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, payload := range [][]byte{[]byte(`{"a":"` + s + `"}`), append(append([]byte("{\n\"a\":"), quoted...), '}')} {
			event := AppendEvent(nil, payload)
			if bytes.ContainsAny(event[:len(event)-4], "\r\n\t\x00\x0b\x0c\x1c\x1d\x1e\u0085\u2028\u2029") {
				t.Fatalf("%q: a line break in %q", payload, event)
			}
			if !json.Valid(payload) {
				continue
			}
			var before, after map[string]string
			if json.Unmarshal(payload, &before) != nil || json.Unmarshal([]byte(mustStrict(t, event)[0]), &after) != nil {
				t.Fatalf("%q: unreadable", payload)
			}
			if before["a"] != after["a"] {
				t.Fatalf("%q became %q", before["a"], after["a"])
			}
		}
	}
}

// Eight bytes at a time find what one at a time does.
func TestNextMark(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	plain := []byte("abcdefg ~\x7f\x80\xa8\xc1\xc3\xe1\xe3\xff!#[]")
	marks := []byte("\"\\\x00\x1f\n\r\xc2\xe2")
	for range 20_000 {
		b := make([]byte, rnd.IntN(40))
		for i := range b {
			if b[i] = plain[rnd.IntN(len(plain))]; rnd.IntN(20) == 0 {
				b[i] = marks[rnd.IntN(len(marks))]
			}
		}
		from := rnd.IntN(len(b) + 1)
		want := from
		for want < len(b) && !mayBreakLines[b[want]] {
			want++
		}
		if got := nextMark(b, from); got != want {
			t.Fatalf("%q from %d: %d, want %d", b, from, got, want)
		}
	}
}
