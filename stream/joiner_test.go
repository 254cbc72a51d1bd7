package stream

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// joined is what became of a continuation.
type joined struct {
	verdict Verdict
	kind    SeamKind
	text    string // delivered after the transcript
}

// playContinued plays an answer that breaks off after transcript and goes on with
// pieces, both the insides of JSON strings. The finish comes with the last
// piece, or after it.
func playContinued(t testing.TB, x Expect, transcript string, pieces []string, together bool) joined {
	t.Helper()
	p := newPlayer()
	if v := p.play(t, sse(say(transcript))); v != Cut {
		t.Fatalf("%q: %v", transcript, v)
	}
	p.expect = &x
	first := len(p.out)
	var payloads []string
	for _, piece := range pieces {
		payloads = append(payloads, say(piece))
	}
	if together && len(pieces) > 0 {
		payloads[len(pieces)-1] = sayEnd(pieces[len(pieces)-1], "STOP")
	} else {
		payloads = append(payloads, finish("STOP"))
	}
	j := joined{verdict: p.play(t, sse(payloads...))}
	j.kind, _ = p.s.Seam()
	var raw []byte
	for _, payload := range mustStrict(t, p.out[first:]) {
		var c Chunk
		raw, _ = c.Parse([]byte(payload), raw)
	}
	j.text = string(AppendUnescaped(nil, raw))
	return j
}

// everyPiecing checks that a continuation joins alike in whatever pieces it
// comes, and returns how.
func everyPiecing(t testing.TB, x Expect, transcript string, pieces []string) joined {
	t.Helper()
	whole := strings.Join(pieces, "")
	want := playContinued(t, x, transcript, []string{whole}, true)
	check := func(how string, pieces []string, together bool) {
		t.Helper()
		if got := playContinued(t, x, transcript, pieces, together); got != want {
			t.Errorf("%q + %q %s: %+v, in one event: %+v", transcript, whole, how, got, want)
		}
	}
	check("as given", pieces, false)
	check("before the finish", []string{whole}, false)
	check("by the letter", letters(whole), true)
	check("by the letter, before the finish", letters(whole), false)
	return want
}

// letters cuts the inside of a JSON string into the smallest pieces that are
// such: characters, and each half of an escaped surrogate pair.
func letters(inside string) (pieces []string) {
	for len(inside) > 0 {
		_, n := utf8.DecodeRuneInString(inside)
		if inside[0] == '\\' {
			if _, n = unescape([]byte(inside)); n == 12 {
				n = 6
			}
		}
		pieces, inside = append(pieces, inside[:n]), inside[n:]
	}
	return pieces
}

// inside writes text as the inside of a JSON string.
func inside(text string) string {
	quoted := string(AppendJSONString(nil, []byte(text)))
	return quoted[1 : len(quoted)-1]
}

// escapedInside is inside with every character escaped that is not ASCII.
func escapedInside(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < utf8.RuneSelf {
			b.WriteString(inside(string(r)))
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04X`, u)
		}
	}
	return b.String()
}

// seamTest returns a check of one continuation: how it joins, and what is
// delivered after the transcript. It must not depend on pieces, nor on how
// characters are written.
func seamTest(t *testing.T, x Expect) func(kind SeamKind, transcript, want string, pieces ...string) {
	return func(kind SeamKind, transcript, want string, pieces ...string) {
		t.Helper()
		check := func(write, rewrite func(string) string) {
			t.Helper()
			var raw []string
			for _, piece := range pieces {
				raw = append(raw, rewrite(piece))
			}
			got := everyPiecing(t, x, write(transcript), raw)
			if got != (joined{Complete, kind, want}) {
				t.Errorf("%q + %q:\n got %v %v %q\nwant %v %q", transcript, pieces, got.verdict, got.kind, got.text, kind, want)
			}
		}
		check(inside, inside)
		check(inside, escapedInside)
		check(escapedInside, inside)
	}
}

// divergeTest returns a check of a continuation that is not the same answer.
func divergeTest(t *testing.T, x Expect) func(transcript string, pieces ...string) {
	return func(transcript string, pieces ...string) {
		t.Helper()
		var raw []string
		for _, piece := range pieces {
			raw = append(raw, inside(piece))
		}
		if got := everyPiecing(t, x, inside(transcript), raw); got.verdict != Diverged || got.text != "" {
			t.Errorf("%q + %q: %+v", transcript, pieces, got)
		}
	}
}
