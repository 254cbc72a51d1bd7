package stream

import (
	"strings"
	"testing"
)

// retriedReasons are finishes as a proxy is usually told to retry them.
var retriedReasons = NewReasons([]string{
	"SAFETY", "RECITATION", "LANGUAGE", "OTHER", "MALFORMED_FUNCTION_CALL",
	"MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "FINISH_REASON_UNSPECIFIED",
})

// player feeds streams to a Splice, as a proxy does, and keeps what the
// client gets.
type player struct {
	s        Splice
	out      []byte
	attempts int
	expect   *Expect // of the next attempt, none by default
}

func newPlayer() *player {
	p := &player{}
	p.s.Reset(Form{}, retriedReasons, 1<<20)
	return p
}

// play plays one attempt to its end.
func (p *player) play(t testing.TB, stream string) Verdict {
	t.Helper()
	if p.attempts++; p.attempts > 1 {
		p.s.NextAttempt()
	}
	if p.expect != nil {
		p.s.Continue(*p.expect)
		p.expect = nil
	}
	var sc Reader
	b := []byte(stream)
	for {
		ev, n, ok := sc.Next(b)
		if !ok {
			b = b[n:]
			break
		}
		var v Verdict
		if p.out, v = p.s.Take(p.out, ev); v != More {
			return p.over(v)
		}
		b = b[n:]
	}
	rest, some := sc.Rest(b)
	var v Verdict
	p.out, v = p.s.End(p.out, rest, some)
	return p.over(v)
}

// over ends the answer if v does and its framing has an end.
func (p *player) over(v Verdict) Verdict {
	if p.s.form.Framing == Lines && (v == Complete || v == Policy) {
		p.out = p.s.AppendEnd(p.out)
	}
	return v
}

// held returns what is held, as AppendHeld gives it.
func (p *player) held() string {
	out, _ := p.s.AppendHeld(nil)
	return string(out)
}

func (p *player) transcript() string { return string(p.s.Transcript().AppendText(nil)) }

// Payloads of an answer, in the API's style. Texts are the insides of JSON
// strings.

func candidate(parts, rest string) string {
	return `{"candidates": [{"content": {"parts": [` + parts + `],"role": "model"}` + rest + `,"index": 0}]}`
}

func say(text string) string            { return candidate(`{"text": "`+text+`"}`, "") }
func sayEnd(text, finish string) string { return candidate(`{"text": "`+text+`"}`, ending(finish)) }
func think(text string) string          { return candidate(`{"text": "`+text+`","thought": true}`, "") }
func call(name string) string {
	return candidate(`{"functionCall": {"name": "`+name+`","args": {}}}`, "")
}
func finish(reason string) string {
	return `{"candidates": [{"finishReason": "` + reason + `","index": 0}]}`
}
func ending(finish string) string { return `,"finishReason": "` + finish + `"` }

// with adds members to a payload.
func with(payload, members string) string {
	return strings.TrimSuffix(payload, "}") + "," + members + "}"
}
