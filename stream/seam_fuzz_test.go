package stream

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzSeamSplit: how a continuation joins does not depend on its pieces, all
// that is delivered is its end, and not more is held than is allowed.
func FuzzSeamSplit(f *testing.F) {
	f.Add("Once upon a time ", "Sure:\n\nOnce upon a time there was", []byte{1, 3}, byte(1))
	f.Add(prose[:100], prose[80:], []byte{7}, byte(1))
	f.Add(prose[:200], prose, []byte{}, byte(0))
	f.Add(code[:150], "“"+code[105:150]+"”"+code[150:], []byte{2}, byte(1))
	f.Add(`{"a": [1, "b`, "```json\n{\"a\": [1, \"b\"]}\n```\n", []byte{1}, byte(2))
	f.Add("one two EN", "one two ENDED", []byte{9, 1}, byte(5))
	f.Add(strings.Repeat("ha ", 30), strings.Repeat("ha ", 200), []byte{200}, byte(1))
	f.Add("smile 😀 and 😃", "… smile 😀 and 😃😃", []byte{1}, byte(1))
	f.Fuzz(func(t *testing.T, transcript, text string, sizes []byte, how byte) {
		transcript, text = strings.ToValidUTF8(transcript, "?"), strings.ToValidUTF8(text, "?")
		if transcript == "" || text == "" || len(transcript)+len(text) > 20_000 {
			return
		}
		x := Expect{Anchored: how&1 != 0, Document: how&2 != 0, Resumed: how&24 == 24, From: 0}
		if how&4 != 0 {
			x.Stops = [][]byte{[]byte("ENDED"), []byte("\n\n---"), []byte("😀😃")}
		}
		sameInPieces(t, x, transcript, text, sizes, how)
	})
}

// sameInPieces checks that a continuation joins alike in one event and in
// pieces of the given sizes.
func sameInPieces(t *testing.T, x Expect, transcript, text string, sizes []byte, how byte) {
	t.Helper()
	whole := playContinued(t, x, inside(transcript), []string{inside(text)}, true)
	write := inside
	if how&32 != 0 {
		write = escapedInside
	}
	pieces := cutBy(letters(write(text)), sizes)
	got := playContinued(t, x, inside(transcript), pieces, how&64 != 0)
	if whole.verdict == Broken {
		got.text = whole.text // which is of no use, more or less of it
	}
	if got != whole {
		t.Fatalf("%q + %q in pieces %q: %+v, whole: %+v", transcript, text, pieces, got, whole)
	}
	if !x.Document && !strings.HasSuffix(text, whole.text) {
		t.Fatalf("%q + %q: delivered %q", transcript, text, whole.text)
	}
	heldLittle(t, x, transcript, pieces)
}

// cutBy joins letters to pieces of the given sizes.
func cutBy(letters []string, sizes []byte) (pieces []string) {
	for i := 0; len(letters) > 0; i++ {
		n := 1
		if len(sizes) > 0 {
			n = min(len(letters), 1+int(sizes[i%len(sizes)]))
		}
		pieces, letters = append(pieces, strings.Join(letters[:n], "")), letters[n:]
	}
	return pieces
}

// heldLittle checks the bound of what is held back.
func heldLittle(t *testing.T, x Expect, transcript string, pieces []string) {
	t.Helper()
	p := newPlayer()
	p.play(t, sse(say(inside(transcript))))
	p.s.NextAttempt()
	p.s.Continue(x)
	for _, piece := range pieces {
		before := utf8.RuneCount(p.s.join.plain)
		var v Verdict
		if p.out, v = p.s.Take(p.out, Event{Data: []byte(say(piece))}); v != More {
			return
		}
		if p.s.Holding() && before >= MaxHeldRunes+1 {
			t.Fatalf("%d characters were held, and still are", before)
		}
	}
}

// FuzzSeamWords is FuzzSeamSplit with texts that are made of what seams are
// made of.
func FuzzSeamWords(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05"), []byte("\x20\x05\x06"), []byte{1}, byte(1))
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x00\x01\x02\x03\x04\x05"), []byte("\x0a\x21\x05\x06"), []byte{3}, byte(3))
	f.Fuzz(func(t *testing.T, first, second, sizes []byte, how byte) {
		if len(first) > 300 || len(second) > 300 {
			return
		}
		transcript := madeOf(first, "")
		text := madeOf(second, transcript)
		if transcript == "" || text == "" {
			return
		}
		x := Expect{Anchored: how&1 != 0, Document: how&2 != 0, Stops: [][]byte{[]byte("is isn't"), []byte("\n\n—")}}
		if how&4 != 0 {
			x.Stops = nil
		}
		sameInPieces(t, x, transcript, text, sizes, how)
	})
}

// madeOf makes a text; what is asked for of before is repeated.
func madeOf(script []byte, before string) string {
	words := []string{"the ", "quick ", "brown fox ", "is", "n't ", "\n", "\n\n", " ", "“", "\"", "…", "...", "—", "-", "é", "e\u0301", "世界", "😀", "`", "```json\n", "{\"a\": ", "[", "}", "Sure:\n\n", "\u00a0", "12", ". ", ", ", "\t", "lorem ipsum dolor sit amet consectetur ", "\u200b", "':"}
	a, _ := anchorOf([]byte(before))
	var b strings.Builder
	for _, c := range script {
		switch {
		case c < 0x80:
			b.WriteString(words[int(c)%len(words)])
		case c < 0x90:
			b.Write(a)
		case c < 0xa0:
			b.WriteString(before)
		case c < 0xb0:
			b.Write(appendFolded(nil, a, false))
		case c < 0xc0:
			b.Write(appendFolded(nil, []byte(before), false))
		default:
			b.WriteString(before[len(before)-runesBack([]byte(before), int(c-0xc0)*3):])
		}
	}
	return b.String()
}

// FuzzSeamRepeat: of an ideal answer that breaks off, and of which a model
// repeats the last words or all before it goes on, the client gets all and
// nothing twice. Where the answer repeats itself nothing is lost.
func FuzzSeamRepeat(f *testing.F) {
	for _, text := range []string{prose, code, cjk, rtl, numbered(120), strings.Repeat("na ", 50) + "end", "- a\n- a\n- a\n- b\n"} {
		f.Add(text, uint16(len(text)/2), uint16(0), byte(1))
		f.Add(text, uint16(len(text)/3*2), uint16(20), byte(3))
		f.Add(text, uint16(len(text)-2), uint16(600), byte(1))
	}
	f.Fuzz(func(t *testing.T, ideal string, at, k uint16, how byte) {
		ideal = strings.ToValidUTF8(ideal, "?")
		if len(ideal) < 2 || len(ideal) > 20_000 {
			return
		}
		cut := 1 + int(at)%(len(ideal)-1)
		for cut < len(ideal) && !utf8.RuneStart(ideal[cut]) {
			cut++
		}
		before, rest := ideal[:cut], ideal[cut:]
		if rest == "" {
			return
		}
		repeated := repeatOf(before, int(k), how>>1&3)
		text := repeated + rest
		x := Expect{Anchored: how&1 != 0}
		got := everyPiecing(t, x, inside(before), []string{inside(text)})
		if isPlain(ideal, cut) {
			if got.verdict != Complete || got.text != rest {
				t.Fatalf("%q | %q with %q repeated: %+v", before, rest, repeated, got)
			}
			return
		}
		if repetitionOf([]byte(before), repetitive).length == len(before) && got.verdict == Complete && repeated == "" && len(got.text) < len(rest) {
			t.Fatalf("%q | %q: lost, %+v", before, rest, got)
		}
	})
}

// repeatOf returns what a model repeats of text: nothing, the anchor, all, or
// the last k characters of which there are at least 16.
func repeatOf(text string, k int, what byte) string {
	a, _ := anchorOf([]byte(text))
	switch what {
	case 1:
		return string(a)
	case 2:
		if utf8.RuneCountInString(text) >= restartLeast || len(a) == len(text) {
			return text
		}
	case 3:
		n := utf8.RuneCountInString(text)
		if n >= overlapLeast {
			return text[len(text)-runesBack([]byte(text), overlapLeast+k%(n-overlapLeast+1)):]
		}
	}
	return ""
}

// isPlain tells whether no 16 characters stand in the text twice, white space
// and forms of characters aside, and nothing at the cut is ambiguous.
func isPlain(text string, cut int) bool {
	folds := []rune(string(appendFolded(nil, []byte(text), false)))
	seen := map[string]bool{}
	for i := range folds[:max(0, len(folds)-11)] {
		if key := string(folds[i : i+12]); seen[key] {
			return false
		} else {
			seen[key] = true
		}
	}
	last, _ := utf8.DecodeLastRuneInString(text[:cut])
	first, _ := utf8.DecodeRuneInString(text[cut:])
	words := bytes.TrimSpace(appendFolded(nil, []byte(text[:cut]), false))
	return utf8.RuneCount(words) > 2*overlapLeast && !isBlank(last) && !isBlank(first) &&
		repetitionOf([]byte(text[:cut]), repetitive).length == 0
}
