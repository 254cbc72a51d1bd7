package stream

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// cutter is what cuts events out of bytes.
type cutter interface {
	Next(b []byte) (ev Event, n int, ok bool)
	Rest(b []byte) (ev Event, ok bool)
}

// cut gives c the pieces one after another, as a reader does, and returns its
// events and its rest.
func cut(t testing.TB, c cutter, pieces ...[]byte) (events []string, rest string) {
	t.Helper()
	var b []byte
	for _, piece := range pieces {
		b = slices.Concat(b, piece)
		for {
			ev, n, ok := c.Next(b)
			if n < 0 || n > len(b) || ok && n == 0 {
				t.Fatalf("Next consumed %d of %d bytes, event %t", n, len(b), ok)
			}
			if ok {
				events = append(events, string(ev.Data))
			}
			if b = b[n:]; !ok {
				break
			}
		}
	}
	if ev, ok := c.Rest(b); ok {
		rest = string(ev.Data)
	}
	return events, rest
}

// cutTest returns a check that an input holds events, then rest, in any cut.
func cutTest(t *testing.T, fresh func() cutter) func(input, rest string, want ...string) {
	return func(input, rest string, want ...string) {
		t.Helper()
		b := []byte(input)
		run := func(how string, pieces ...[]byte) {
			t.Helper()
			if events, left := cut(t, fresh(), pieces...); !slices.Equal(events, want) || left != rest {
				t.Fatalf("%.200q %s:\n got %q, rest %q\nwant %q, rest %q", input, how, events, left, want, rest)
			}
		}
		run("whole", b)
		run("byte by byte", slices.Collect(slices.Chunk(b, 1))...)
		for i := range b {
			run(fmt.Sprint("cut at ", i), b[:i], b[i:])
			for j := i; j < len(b) && len(b) < 64; j++ {
				run(fmt.Sprint("cut at ", i, " and ", j), b[:i], b[i:j], b[j:])
			}
		}
	}
}

func TestArrayScanner(t *testing.T) {
	f := cutTest(t, func() cutter { return new(ArrayScanner) })
	f("", "")
	f("[]", "")
	f("[\r\n]\n", "")
	// As the API writes it, and in any other spacing.
	f(array(`{"a": 1}`, `{"b": 2}`, `{}`), "", `{"a": 1}`, `{"b": 2}`, `{}`)
	f(`[{"a":1},{"b":2}]`, "", `{"a":1}`, `{"b":2}`)
	f(" [ \n{\"a\":1}\t\r\n , {\n \"b\": {}\n}\n] ", "", `{"a":1}`, "{\n \"b\": {}\n}")
	// Brackets, quotes and backslashes inside strings.
	f(`[{"a":"}]{[,\"}\\"},{"\\\"{":"\\\\\""}]`, "", `{"a":"}]{[,\"}\\"}`, `{"\\\"{":"\\\\\""}`)
	f(`[{"a":[{"b":[{}]}],"c":{"d":{}}}]`, "", `{"a":[{"b":[{}]}],"c":{"d":{}}}`)
	f(array(say(`é 😀 \u2028 data: x\r\n\r\n`), failure), "", say(`é 😀 \u2028 data: x\r\n\r\n`), failure)
	// What other upstreams make of it.
	f("{\"a\":1}\n{\"b\":2}\n", "", `{"a":1}`, `{"b":2}`)
	f(`{"a":1}{"b":2}`, "", `{"a":1}`, `{"b":2}`)
	f("\x1e{\"a\":1}\n\x1e{\"b\":2}\n", "", `{"a":1}`, `{"b":2}`)
	f(`[{"a":1}][{"b":2}]`, "", `{"a":1}`, `{"b":2}`)
	f(`[null,1,{"a":1}]`, "", `{"a":1}`)
	f("[{\"a\":1}"+strings.Repeat(" \n", 20)+",{}]", "", `{"a":1}`, `{}`)
	// Half an element.
	f(`[{`, `{`)
	f(`[{"a":"}`, `{"a":"}`, []string{}...)
	f(`[{"a":1},{"b":"\`, `{"b":"\`, `{"a":1}`)
	f(`[{"a":1}`, "", `{"a":1}`)
	f(`[{"a":1},`, "", `{"a":1}`)
}

func TestArrayScannerDeliversAtTheLastBracket(t *testing.T) {
	var s ArrayScanner
	input := []byte(array(`{"a": {"b": "}"}}`, `{"c": 1}`))
	var at []int
	from := 0
	for to := range len(input) + 1 {
		for ok := true; ok; {
			var n int
			if _, n, ok = s.Next(input[from:to]); ok {
				at = append(at, to)
			}
			from += n
		}
	}
	first := strings.Index(string(input), "\n,")
	if want := []int{first, len(input) - len("\n]")}; !slices.Equal(at, want) {
		t.Errorf("elements came at %d, want %d", at, want)
	}
}

// Long elements in small pieces: only what is new is looked at.
func TestArrayScannerLooksAtNoByteTwice(t *testing.T) {
	f := func(element string, piece int) {
		t.Helper()
		var s ArrayScanner
		b := []byte("[" + element + "]")
		events, from := 0, 0
		for to := 0; to < len(b); {
			to = min(to+piece, len(b))
			for ok := true; ok; {
				var n int
				if _, n, ok = s.Next(b[from:to]); ok {
					events++
				}
				from += n
			}
			if s.depth > 0 && s.seen != to-from || s.depth == 0 && from != to {
				t.Fatalf("%.20q: %d of %d bytes were looked at", element, s.seen, to-from)
			}
		}
		if events != 1 {
			t.Errorf("%.20q: %d elements", element, events)
		}
	}
	f(`{"data": "`+strings.Repeat("QUJD", 1<<20)+`"}`, 512)
	f(`{"a": "`+strings.Repeat(`\"\\`, 1<<16)+`"}`, 7)
	f(strings.Repeat(`{"a":`, 10_000)+"1"+strings.Repeat("}", 10_000), 7)
	f("{"+strings.Repeat(" \n", 1<<16)+"}", 7)
}

func TestReaderReadsAnyFraming(t *testing.T) {
	f := cutTest(t, func() cutter { return new(Reader) })
	a, b := `{"a": "[{\"data: x\n\n"}`, `{"b": 2}`
	a = strings.ReplaceAll(a, "\n", `\n`)
	for _, front := range []string{"", "\xef\xbb\xbf", "\n", " \r\n\t", "\xef\xbb\xbf \n"} {
		f(front, "")
		f(front+sse(a, b), "", a, b)
		f(front+"data: "+a+"\n\ndata:"+b+"\n\n", "", a, b)
		f(front+": ping\nevent: x\ndata: "+a+"\n\n", "", a)
		f(front+"data: "+a+"\r\n\r\n"+b, "", a, b)
		f(front+array(a, b), "", a, b)
		f(front+"["+a+","+b+"]", "", a, b)
		f(front+a+"\n"+b+"\n", "", a, b)
		f(front+a+b, "", a, b)
		f(front+a+"\n"+sse(b), "", a, b)
		f(front+"["+a+",{\"b", `{"b`, a)
		f(front+"data: "+a+"\n", a)
		f(front+"[", "")
	}
	f("\xef\xbb", "")
	var r Reader
	cut(t, &r, []byte(`[{"a": "`))
	r.Reset()
	if events, _ := cut(t, &r, []byte(sse(b))); !slices.Equal(events, []string{b}) {
		t.Errorf("after Reset: %q", events)
	}
}

func TestIsStream(t *testing.T) {
	f := func(body string, sse, array bool) {
		t.Helper()
		for framing, want := range map[Framing]bool{SSE: sse, Array: array} {
			// Whatever came first, the answer is the same once there is one.
			for i := range len(body) + 1 {
				if got, known := framing.IsStream([]byte(body[:i])); known && got != want || i == len(body) && !known {
					t.Errorf("%q, framing %d: %t %t, want %t", body[:i], framing, got, known, want)
				}
			}
		}
	}
	f(`[{"a":1}]`, true, true)
	f("\xef\xbb\xbf \r\n[ \n{", true, true)
	f("[]", true, true)
	f("data: {}\n\n", true, true)
	f(": ping\n\n", true, true)
	f("event: x\n", true, true)
	f(`{"candidates": []}`, false, true)
	f(`["a"]`, false, false)
	f(`[[`, false, false)
	f(`null`, false, false)
	f(`"data: "`, false, false)
	f(`12`, false, false)
	f(`<html>`, false, false)
}

// FuzzReader: the events do not depend on the pieces, and an array of them
// reads as they did.
func FuzzReader(f *testing.F) {
	for _, s := range []string{
		"", sse(say("Hi"), finish("STOP")), array(say("Hi"), finish("STOP")), "{}\n{\"a\":\"\\\"}\"}", "\xef\xbb\xbf [{\"a\":{}}\n,\r\n{\"b\":\"\\\\\"}", "\n\xef\xbb\xbf{}", "[1,\"{\"]{}",
	} {
		f.Add([]byte(s), []byte{1, 3})
	}
	f.Fuzz(func(t *testing.T, input, sizes []byte) {
		whole, rest := cut(t, new(Reader), input)
		check := func(how string, pieces ...[]byte) {
			if events, left := cut(t, new(Reader), pieces...); !slices.Equal(events, whole) || left != rest {
				t.Fatalf("%s: %q, rest %q; whole: %q, rest %q", how, events, left, whole, rest)
			}
		}
		check("byte by byte", slices.Collect(slices.Chunk(input, 1))...)
		var pieces [][]byte
		for left, i := input, 0; len(left) > 0; i++ {
			n := 1
			if len(sizes) > 0 {
				n = min(len(left), 1+int(sizes[i%len(sizes)]))
			}
			pieces, left = append(pieces, left[:n]), left[n:]
		}
		check("in pieces", pieces...)
		var list []json.RawMessage
		if json.Unmarshal(input, &list) != nil {
			return
		}
		var want []string
		for _, e := range list {
			if e[0] != '{' {
				return // the API writes objects only
			}
			want = append(want, string(e))
		}
		if !slices.Equal(whole, want) || rest != "" {
			t.Fatalf("%q, rest %q; want %q", whole, rest, want)
		}
	})
}

// FuzzForms: whatever comes, in whatever form, the client can read it.
func FuzzForms(f *testing.F) {
	f.Add([]byte(array(say("a"), sayEnd("b", "SAFETY"))), []byte(sse(sayEnd("c", "STOP"))))
	f.Add([]byte(sse(wrap(say("a\u2028"))...)), []byte(array(wrap(think("x"), sayEnd("b", "STOP"))...)))
	f.Add([]byte("[{\"a\":\"\x01\n\"}\n,{\"error\":{}}"), []byte("{}{}"))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		for _, form := range []Form{{}, {Array, Native}, {SSE, Wrapped}, {Array, Wrapped}} {
			p := newFormPlayer(form)
			p.play(t, string(one))
			p.play(t, string(two))
			p.out, _ = p.s.AppendHeld(p.out)
			p.out = p.s.AppendFinish(p.out, "STOP")
			if p.out = p.s.AppendEnd(p.s.AppendError(p.out, []byte(failure))); form.Framing == SSE {
				mustStrict(t, p.out)
			} else {
				elements(t, p.out)
			}
		}
	})
}
