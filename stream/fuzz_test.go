package stream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"unicode/utf8"
)

// FuzzScanner: the events do not depend on the pieces, and what AppendEvent
// writes is read back as it was.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{
		"", sse(say("Hi"), finish("STOP")), "data: 1\n\rdata:2\r\r\n: x\n\n{\"a\": \"}\\\"\"}\n", "\xef\xbb\xbfdata\ndata: a\r\n\n", "  \t{}[ {]\r", "data: a\r\n\r",
	} {
		f.Add([]byte(s), []byte{1, 3})
	}
	f.Fuzz(func(t *testing.T, input, sizes []byte) {
		whole, rest := scan(t, new(Scanner), input)
		check := func(how string, pieces ...[]byte) {
			events, left := scan(t, new(Scanner), pieces...)
			if !slices.Equal(events, whole) || left != rest {
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
		// Write and read again.
		var stream []byte
		for _, ev := range whole {
			stream = AppendEvent(stream, []byte(ev))
		}
		again, left := scan(t, new(Scanner), stream)
		if len(again) != len(whole) || left != "" {
			t.Fatalf("%q was read back as %q, rest %q", whole, again, left)
		}
		for i, ev := range whole {
			if isSafe([]byte(ev)) && again[i] != ev {
				t.Fatalf("%q was read back as %q", ev, again[i])
			}
		}
	})
}

// FuzzChunk: what encoding/json takes is read alike.
func FuzzChunk(f *testing.F) {
	for _, p := range wholePayloads {
		f.Add([]byte(p))
	}
	for _, p := range []string{"", empty, blocked, failure, think("a"), call("f"), with(say(`\ud83d`), firstUsage+","+firstNames), `{"candidates": [{},{"index": 1}]}`} {
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		got, ok := chunkSays(payload)
		want, err := oracle(payload)
		if err != nil {
			return // it must not panic, no more
		}
		if !ok {
			t.Fatalf("%q: refused", payload)
		}
		if bytes.Contains(payload, []byte(`\u003`)) {
			got.usage = want.usage // a count in escaped digits is none to us
		}
		if !utf8.Valid(payload) {
			got.finish = want.finish // raw to us, which no known one can be
		}
		if got != want {
			t.Fatalf("%q:\n got %+v\nwant %+v", payload, got, want)
		}
		mustStrict(t, AppendEvent(nil, payload))
	})
}

// FuzzContinuation: the two turns are all that is added.
func FuzzContinuation(f *testing.F) {
	f.Add([]byte(`{"contents":[{"parts":[{"text":"Hi"}]}],"x":1.0e5}`), []byte(`so \ud83d`), "go on")
	f.Add([]byte(` { "contents" : { } , "generationConfig" : { "maxOutputTokens" : "9" } } `), []byte(`\n`), "\xff\"")
	f.Add([]byte(`{"contents":{}}`), []byte("so"), "")
	f.Add([]byte(`{"cont\u0065nts":[ ],"contents":null}`), []byte("\x00\xff\\"), "")
	f.Fuzz(func(t *testing.T, body, transcript []byte, prompt string) {
		quoted := append(append([]byte{'"'}, transcript...), '"')
		if skipString(quoted, 0) != len(quoted) {
			return // not the inside of a string
		}
		r, ok := ParseRequest(Native, body)
		if !json.Valid(body) || uniqueMembers(body) != nil {
			return
		}
		if ok != (bytes.TrimLeft(body, " \t\r\n")[0] == '{') {
			t.Fatalf("%q: %t", body, ok)
		}
		got, err := r.AppendContinuation(nil, transcript, prompt, 0)
		if err != nil {
			return
		}
		turns := appendTurns(nil, transcript, prompt)
		before, after, found := bytes.Cut(got, turns)
		if !found || !json.Valid(got) {
			t.Fatalf("%q became %q", body, got)
		}
		restored := slices.Concat(bytes.TrimSuffix(before, []byte(",")), after)
		if body[r.contents.from] == '{' {
			restored = slices.Concat(before[:r.contents.from], bytes.TrimSuffix(before[r.contents.from+1:], []byte(",")), after[1:])
		}
		if !r.maxTokens.present() && !bytes.Equal(restored, body) {
			t.Fatalf("%q became %q", body, got)
		}
		var said []struct{ Parts []struct{ Text string } }
		if err := json.Unmarshal(slices.Concat([]byte("["), turns, []byte("]")), &said); err != nil {
			t.Fatalf("%q: %v", turns, err)
		}
		if got := said[0].Parts[0].Text; got != string(AppendUnescaped(nil, transcript)) {
			t.Fatalf("transcript %q became %q", transcript, got)
		}
		if prompt == "" {
			return // the model goes on from its own turn
		}
		if got := said[1].Parts[0].Text; got != string([]rune(prompt)) {
			t.Fatalf("prompt %q became %q", prompt, got)
		}
	})
}

// FuzzWithoutKey: a body stays one, less its key.
func FuzzWithoutKey(f *testing.F) {
	for _, s := range []string{`{"apiKey":"K","a":1,"apiKey":2}`, `{"a":{"apiKey":1},"apiKey":[]}`, ` { "\u0061piKey" : {} } `, `{"apiKey":1,"apiKey":2,"b":}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := AppendWithoutKey(nil, body)
		if moved := bytes.Clone(body); !bytes.Equal(AppendWithoutKey(moved[:0], moved), got) {
			t.Fatalf("%q becomes something else where it lies", body)
		}
		if !json.Valid(body) {
			return // what is wrong may be in the key that goes
		}
		if !json.Valid(got) {
			t.Fatalf("%q became %q", body, got)
		}
		if _, ok := ParseRequest(Native, body); !ok {
			return // no object, or nested too deep
		}
		var before, after map[string]json.RawMessage
		if err := json.Unmarshal(body, &before); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		delete(before, "apiKey")
		if err := json.Unmarshal(got, &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Fatalf("%q became %q", body, got)
		}
	})
}

// FuzzSplice: whatever comes, the client can read it, and the transcript is
// the text that it was given, once.
func FuzzSplice(f *testing.F) {
	f.Add([]byte{0, 1, 2, 255, 3, 4, 5}, []byte(say("x")))
	f.Add([]byte{6, 0, 255, 7, 8, 1, 9}, []byte(failure))
	f.Add([]byte{1, 10, 255, 11, 12, 0, 254, 13, 255, 14, 2}, []byte("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\u2028\\\n\"}]}}]}"))
	f.Fuzz(func(t *testing.T, script, payload []byte) {
		var c Chunk
		if _, ok := c.Parse(payload, nil); ok {
			if _, err := oracle(payload); err != nil || c.Kinds&Several != 0 {
				return // what the API never writes goes out as it came
			}
		}
		p := newPlayer()
		var stream []byte
		for _, op := range script {
			if op == 255 {
				p.fuzzed(t, stream)
				stream = stream[:0]
				continue
			}
			events := fuzzEvents(p.attempts)
			if i := int(op) % (len(events) + 2); i < len(events) {
				stream = append(stream, sse(events[i])...)
			} else if i == len(events) {
				stream = AppendEvent(stream, payload)
			} else {
				stream = append(stream, payload...) // raw, perhaps half
			}
		}
		p.fuzzed(t, stream)
	})
}

// fuzzed plays an attempt and checks what must always hold.
func (p *player) fuzzed(t *testing.T, stream []byte) {
	v := p.play(t, string(stream))
	if v == More {
		t.Fatal("undecided at the end of the body")
	}
	payloads := mustStrict(t, p.out)
	mustStrict(t, []byte(p.held()))
	mustStrict(t, p.s.AppendFinish(nil, "MAX_TOKENS"))
	text := []byte(`"`)
	for _, payload := range payloads {
		var c Chunk
		inside, ok := c.Parse([]byte(payload), nil)
		if !ok {
			t.Fatalf("%s: unreadable", payload)
		}
		text = append(text, inside...)
	}
	if got, want := p.transcript(), string(AppendUnescaped(nil, text[1:])); got != want {
		t.Fatalf("transcript %q, the client got %q", got, want)
	}
	if v == Complete && p.s.Delivered()&Answer == 0 && len(p.out) == 0 {
		t.Fatal("complete with nothing delivered")
	}
}

// fuzzEvents are events of an attempt.
func fuzzEvents(attempt int) []string {
	names := fmt.Sprintf(`"modelVersion": "gemini-%d","responseId": "%d"`, attempt, attempt)
	return []string{
		with(say("a"), names), with(say("b"), firstUsage+","+names), with(think("hm"), names), with(sayEnd("c", "STOP"), secondUsage),
		finish("STOP"), empty, finish("SAFETY"), sayEnd("d", "SAFETY"), finish("MAX_TOKENS"), finish("SPII"), blocked, call("f"), `{}`,
		candidate(`{"text": "hm","thought": true},{"text": "e"}`, ending("STOP")), failure, "[DONE]", "", `{"usageMetadata": {"trafficType": "ON_DEMAND"}}`,
	}
}
