package stream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// newOpenAIPlayer returns a player of OpenAI-compatible streams.
func newOpenAIPlayer() *player {
	p := &player{}
	p.s.Reset(openAIForm, retriedReasons, 1<<20)
	return p
}

var openAIForm = Form{Framing: Lines, Dialect: OpenAI}

// lines writes payloads as an OpenAI-compatible stream has them.
func lines(payloads ...string) string {
	var b strings.Builder
	for _, p := range payloads {
		b.WriteString("data: " + p + "\n\n")
	}
	return b.String()
}

// Payloads of an OpenAI-compatible answer, in Google's style. Texts are the
// insides of JSON strings.

func choice(delta, rest string) string {
	return `{"choices":[{"delta":{` + delta + `}` + rest + `,"index":0}],"object":"chat.completion.chunk"}`
}

func tell(text string) string { return choice(`"content":"`+text+`","role":"assistant"`, "") }

func tellEnd(text, finish string) string {
	return choice(`"content":"`+text+`","role":"assistant"`, `,"finish_reason":"`+finish+`"`)
}

func muse(text string) string {
	return choice(`"content":"`+text+`","extra_content":{"google":{"thought":true}},"role":"assistant"`, "")
}

func tool(name, arguments string) string {
	return choice(`"role":"assistant","tool_calls":[{"function":{"arguments":"`+arguments+`","name":"`+name+`"},"id":"f1","type":"function"}]`, "")
}

// toolPiece is a piece of a call's arguments, as OpenAI sends them.
func toolPiece(index, arguments string) string {
	return choice(`"tool_calls":[{"index":`+index+`,"function":{"arguments":"`+arguments+`"}}]`, "")
}

func over(reason string) string {
	return choice(`"role":"assistant"`, `,"finish_reason":"`+reason+`"`)
}

// strictLines returns the payloads of an OpenAI-compatible stream as the least
// forgiving client reads it: "data: ", JSON on one line, LF LF, and nothing
// else but [DONE] once, as the last.
func strictLines(stream []byte) (payloads []string, done bool, err error) {
	s := string(stream)
	for s != "" && !done {
		event, rest, ok := strings.Cut(s, "\n\n")
		p, isData := strings.CutPrefix(event, "data: ")
		switch {
		case !ok || !isData:
			return payloads, done, fmt.Errorf("%.80q is no event", s)
		case p == openAIDone:
			done = true
		case !json.Valid([]byte(p)) || !isSafe([]byte(p)):
			return payloads, done, fmt.Errorf("%.200q is no safe JSON", p)
		default:
			payloads = append(payloads, p)
		}
		s = rest
	}
	if s != "" {
		err = fmt.Errorf("%.80q follows [DONE]", s)
	}
	return payloads, done, err
}

func mustLines(t testing.TB, stream []byte) []string {
	t.Helper()
	payloads, _, err := strictLines(stream)
	if err != nil {
		t.Fatal(err)
	}
	return payloads
}

// compact returns a stream without the white space that means nothing.
func compact(t testing.TB, stream []byte) string {
	t.Helper()
	payloads, done, err := strictLines(stream)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range payloads {
		var b bytes.Buffer
		if err := json.Compact(&b, []byte(p)); err != nil {
			t.Fatal(err)
		}
		payloads[i] = b.String()
	}
	if done {
		payloads = append(payloads, openAIDone)
	}
	return lines(payloads...)
}

// sameJSON tells whether a and b are the same value.
func sameJSON(t testing.TB, a, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		t.Fatalf("%v in %s", err, a)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return reflect.DeepEqual(x, y)
}
