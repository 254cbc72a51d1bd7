package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// strictPayloads reads a stream as the least forgiving of all clients does:
// "data: ", JSON on one line without any character at which some line
// splitter breaks, CR LF CR LF, and nothing else.
func strictPayloads(stream []byte) ([]string, error) {
	var payloads []string
	for len(stream) > 0 {
		event, rest, ok := bytes.Cut(stream, []byte("\r\n\r\n"))
		if !ok {
			return payloads, fmt.Errorf("no CR LF CR LF after %q", stream)
		}
		payload, ok := bytes.CutPrefix(event, []byte("data: "))
		if !ok {
			return payloads, fmt.Errorf("no data field in front of %q", event)
		}
		if err := strictPayload(payload); err != nil {
			return payloads, fmt.Errorf("%w in %q", err, payload)
		}
		payloads = append(payloads, string(payload))
		stream = rest
	}
	return payloads, nil
}

func strictPayload(payload []byte) error {
	if bytes.HasPrefix(payload, []byte("\ufeff")) {
		return errors.New("a byte order mark")
	}
	for _, r := range string(payload) {
		if r < ' ' || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return fmt.Errorf("a raw %U", r)
		}
	}
	if !json.Valid(payload) {
		return errors.New("malformed JSON")
	}
	return nil
}

// mustStrict returns the payloads of a stream that every client can read.
func mustStrict(t testing.TB, stream []byte) []string {
	t.Helper()
	payloads, err := strictPayloads(stream)
	if err != nil {
		t.Fatalf("a strict client fails: %v", err)
	}
	return payloads
}

// sse writes payloads as the API does.
func sse(payloads ...string) string {
	var b strings.Builder
	for _, p := range payloads {
		b.WriteString("data: " + p + "\r\n\r\n")
	}
	return b.String()
}

func TestStrictReaderIsStrict(t *testing.T) {
	f := func(stream string, want int, fails bool) {
		t.Helper()
		payloads, err := strictPayloads([]byte(stream))
		if len(payloads) != want || (err != nil) != fails {
			t.Errorf("%q: %q, %v", stream, payloads, err)
		}
	}
	f("", 0, false)
	f(sse(`{}`), 1, false)
	f(sse(`{"a": 1}`, `{"b":"\u2028 é 😀"}`), 2, false)
	// Framing.
	f("data: {}\n\n", 0, true)
	f("data: {}\r\n", 0, true)
	f("data:{}\r\n\r\n", 0, true)
	f(": x\r\n\r\n"+sse(`{}`), 0, true)
	f("id: 1\r\n"+sse(`{}`), 0, true)
	f("\r\n"+sse(`{}`), 0, true)
	f(sse(`{}`)+"\r\n\r\n", 1, true)
	f("\ufeff"+sse(`{}`), 0, true)
	f("data: \ufeff{}\r\n\r\n", 0, true)
	f(sse(`{}`)+`{"error": {}}`, 1, true)
	// Payloads.
	f(sse(""), 0, true)
	f(sse("[DONE]"), 0, true)
	f(sse(`{"a":1`), 0, true)
	f(sse("{\n}"), 0, true)
	f(sse("{\t}"), 0, true)
	f(sse("{\"a\":\"\u0085\"}"), 0, true)
	f(sse("{\"a\":\"\u2028\"}"), 0, true)
	f(sse("{\"a\":\"\u2029\"}"), 0, true)
	f(sse("{\"a\":\"\x1e\"}"), 0, true)
	f(sse("{}\r"), 0, true)
}
