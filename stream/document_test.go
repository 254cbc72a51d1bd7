package stream

import (
	"strings"
	"testing"
)

var document = Expect{Anchored: true, Document: true}

func TestDocumentGoesOnWithoutFences(t *testing.T) {
	const doc = "{\n  \"name\": \"Ada\",\n  \"tags\": [\"a\", \"`b`\", \"\\\"}\\\\\"],\n  \"text\": \"Some longer words for a change, so that there is much to say.\"\n}"
	f := seamTest(t, document)
	for _, cut := range []int{1, 12, 16, 30, 45, 60, 100, len(doc) - 3, len(doc) - 1} {
		a, _ := anchorOf([]byte(doc[:cut]))
		anchor, rest := string(a), doc[cut:]
		f(SeamExact, doc[:cut], rest, anchor, rest)
		f(SeamExact, doc[:cut], rest, "```json\n", anchor, rest, "\n```\n")
		f(SeamExact, doc[:cut], rest, "```\n"+anchor+rest+"```")
		f(SeamExact, doc[:cut], rest, anchor+rest+"\n\nThat is all.")
		f(SeamExact, doc[:cut], rest, anchor+rest+"{}")
		f(SeamDirect, doc[:cut], rest, "```json\n"+rest+"\n```")
		f(SeamDirect, doc[:cut], rest, "\n``` json \r\n", rest)
		if cut >= restartLeast*2 {
			f(SeamRestart, doc[:cut], rest, "```json\n"+doc+"\n```")
			f(SeamRestart, doc[:cut], rest, "Here is the whole document:\n```json\n"+doc+"\n```")
			f(SeamOverlap, doc[:cut], rest, "```JSON\n"+doc[cut-20:]+"\n```")
		}
	}
	// It was whole already.
	f(SeamDirect, doc, "", "\n```")
	f(SeamDirect, doc, "", "I have nothing to add.")
	// Three backquotes in a string are no fence.
	f(SeamDirect, "{\"md\": \"Look:\\n", "```go\\nx\\n```\"}", "```go\\nx\\n```\"}")
	f(SeamDirect, "{\"md\": \"Look:\\n", "```\\nx\",\n \"b\": 1\n}", "```\\nx\",\n \"b\": 1\n}")
}

// A model that begins a document anew lays it out as it likes.
func TestDocumentRestartsInAnotherLayout(t *testing.T) {
	const (
		doc   = `{"name": "Ada Lovelace","tags": ["a b", "c  d"],"born": 1815,"text": "Some longer words, so that there is much to say."}`
		dense = `{"name":"Ada Lovelace","tags":["a b","c  d"],"born":1815,"text":"Some longer words, so that there is much to say."}`
		wide  = "{\n  \"name\": \"Ada Lovelace\",\n  \"tags\": [\n    \"a b\",\n    \"c  d\"\n  ],\n  \"born\": 1815,\n  \"text\": \"Some longer words, so that there is much to say.\"\n}"
	)
	// rest is what of another layout follows n characters of doc other than white
	// space.
	rest := func(other string, cut int) string {
		n := len(strings.Join(strings.Fields(doc[:cut]), ""))
		for i := range other {
			if len(strings.Join(strings.Fields(other[:i]), "")) == n {
				return other[i:]
			}
		}
		return ""
	}
	for _, x := range []Expect{document, {Prefilled: true, Document: true}} {
		f := seamTest(t, x)
		for _, cut := range []int{55, 62, strings.Index(doc, "Some") + 2, strings.Index(doc, "much") + 2, len(doc) - 3} {
			for _, other := range []string{doc, dense, wide} {
				f(SeamRestart, doc[:cut], rest(other, cut), other)
				f(SeamRestart, doc[:cut], rest(other, cut), "```json\n"+other+"\n```")
				var d documentEnd
				if d.take([]byte(doc[:cut])); x.Prefilled && d.inString {
					// Any words could be those of the string.
					continue
				}
				f(SeamRestart, doc[:cut], rest(other, cut), "Here is the whole document:\n```json\n"+other+"\n```")
			}
		}
	}
	// White space in a string is the document's, wherever it breaks off.
	f := seamTest(t, document)
	in := strings.Index(doc, "longer")
	a, _ := anchorOf([]byte(doc[:in-1]))
	f(SeamExact, doc[:in-1], doc[in-1:], string(a)+doc[in-1:])
	f(SeamLoose, doc[:in-1], doc[in-1:], strings.ReplaceAll(string(a), ": ", ":")+doc[in-1:])
	divergeTest(t, document)(doc[:60], strings.Replace(wide, "1815", "1816", 1))
}

// A model that goes on from its own turn may do so in a fence.
func TestDocumentGoesOnFromItsOwnTurn(t *testing.T) {
	const doc = `{"name": "Ada Lovelace","list": [1, 2, 345, 1, 2, 345, 1, 2, 345],"text": "Some ` + "```json" + `"}`
	f := seamTest(t, Expect{Prefilled: true, Document: true})
	for cut := 1; cut < len(doc); cut++ {
		f(SeamDirect, doc[:cut], doc[cut:], doc[cut:])
		if !strings.Contains(doc[cut:], "```") {
			continue
		}
		f(SeamDirect, doc[:cut], doc[cut:], "```json\n", doc[cut:], "\n```")
	}
}

// A long document is not gone through for each event: it is joined all the same.
func TestLongDocumentGoesOnFromItsOwnTurn(t *testing.T) {
	doc := `["` + strings.Repeat("lorem ipsum ", fitsMost/10) + `", {"a": 1, "b": [true, false]}]`
	cut := len(doc) - 20
	var pieces []string
	for _, c := range doc[cut:] {
		pieces = append(pieces, inside(string(c)))
	}
	for _, pieces := range [][]string{pieces, {inside(doc[cut:])}, {"```json\\n", inside(doc[cut:]), "\\n```"}} {
		got := playContinued(t, Expect{Prefilled: true, Document: true}, inside(doc[:cut]), pieces, true)
		if got.verdict != Complete || got.text != doc[cut:] {
			t.Errorf("%q: %+v, want %q", pieces, got, doc[cut:])
		}
	}
}

// Records say the same words again, which are no repeat where the document goes
// on with them.
func TestDocumentOfRecordsGoesOn(t *testing.T) {
	const records = `[{"id": 1,"name": "tau","tags": ["pi", "xi"],"score": 0}` + "\n" + `,{"id": 2,"name": "tau","tags": ["pi", "xi"],"score": 0}` + "\n" +
		`,{"id": 3,"name": "rho","tags": ["pi", "xi"],"score": 0}` + "\n" + `,{"id": 4,"name": "rho","tags": ["pi", "xi"],"score": 0}]`
	for cut := 45; cut < len(records)-1; cut++ {
		for _, x := range []Expect{document, {Prefilled: true, Document: true}} {
			got := playContinued(t, x, inside(records[:cut]), []string{inside(records[cut:])}, true)
			if got.verdict != Complete || got.text != records[cut:] {
				t.Errorf("%q: %+v, want %q", records[:cut], got, records[cut:])
			}
		}
	}
}

// So do records in other letters.
func TestDocumentOfRecordsInOtherLettersGoesOn(t *testing.T) {
	const records = `[{"name": "Pi","title": "The old Tau of the river","slug": "the_old_tau_of_the_river"}` + "\n" +
		`,{"name": "pi","title": "The old tau of the river","slug": "The_old_Tau_of_the_river"}` + "\n" +
		`,{"name": "Pi","title": "The Old Tau of the River","slug": "the_old_tau_of_the_river"}` + "\n" +
		`,{"name": "rho","title": "The new Xi of the river","slug": "the_new_xi_of_the_river"}]`
	f := seamTest(t, document)
	for cut := 45; cut < len(records)-1; cut++ {
		var d documentEnd
		if d.take([]byte(records[:cut])); d.inString {
			continue
		}
		f(SeamDirect, records[:cut], records[cut:], records[cut:])
	}
}

// What does not go on with a document is no part of it, whatever it looks like.
func TestDocumentWithAnotherRecordInFrontOfTheRepeat(t *testing.T) {
	f := seamTest(t, document)
	const anchor = `"unique": "0123456789 abcdefghij klmnopq rstu vwxyz",`
	f(SeamExact, `[{`+anchor, ` "b": 2}]`, `{ "k": 1, `+anchor+` "b": 2}]`)
}

func TestBeginsDocument(t *testing.T) {
	f := func(text string, want bool) {
		t.Helper()
		if got := beginsDocument([]byte(text)); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
	const doc = "{\"a\": [1, -2.5e+3, \"x\\\"\\u00e9 \u00e9\", true, null],\n \"b\": {}}"
	for n := range len(doc) + 1 {
		f(doc[:n], true)
	}
	for _, text := range []string{"x", "{]", "[1,]", "{\"a\" 1", "[\"a\n", "[\"\\q", "[01", doc + "x", doc + "{", "[1 2", "tru "} {
		f(text, false)
	}
}

func TestDocumentMayBeAScalar(t *testing.T) {
	f := seamTest(t, Expect{Document: true})
	f(SeamDirect, `"abc`, `def"`, `def"`)
	f(SeamDirect, `"abc`, `def"`, "def\"\n```")
	f(SeamDirect, `"abc\`, `"def"`, `"def"`)
	f(SeamDirect, `12`, `34.5e1`, `34.5e1`)
	f(SeamDirect, `12`, `34`, "```json\n34\n```")
	f(SeamDirect, `-1`, ``, "\n```")
	f(SeamDirect, `tr`, `ue`, "ue\n```\n")
	f(SeamDirect, `nul`, `l`, "l That is it.")
	f(SeamDirect, "\n [1", `]`, "]]")
}

func TestDocumentMustParse(t *testing.T) {
	f := func(verdict Verdict, want string, first string, streams ...string) {
		t.Helper()
		p := newPlayer()
		p.play(t, sse(say(inside(first))))
		var got Verdict
		for _, stream := range streams {
			p.expect = &Expect{Anchored: true, Document: true}
			got = p.play(t, stream)
		}
		if got != verdict || p.transcript() != want {
			t.Errorf("%q + %q: %v, transcript %q, want %v %q", first, streams, got, p.transcript(), verdict, want)
		}
		mustStrict(t, p.out)
	}
	end := func(text string) string { return sse(sayEnd(inside(text), "STOP")) }
	f(Complete, `{"a": 1}`, `{"a": `, end(`1}`))
	f(Broken, `{"a": `, `{"a": `, end(`1`))
	f(Broken, `{"a": `, `{"a": `, end(`}`))
	f(Broken, `{"a": `, `{"a": `, end(`Sure, here is the rest: 1}`))
	f(Broken, `{"a": `, `{"a": `, sse(finish("STOP")))
	f(Broken, `12`, `12`, end(`.`))
	// A line break in a string is none that JSON has, whatever else is in it.
	f(Broken, `{"a": "b`, `{"a": "b`, end("\n\"}"))
	f(Broken, `{"a": "\"b`, `{"a": "\"b`, end("\n\"}"))
	f(Broken, `{"a": "b`, `{"a": "b`, end("\t\\n\"}"))
	// Only a STOP says that it is whole.
	f(Complete, `{"a": 1`, `{"a": `, sse(sayEnd("1", "MAX_TOKENS")))
	f(Cut, `{"a": `, `{"a": `, sse(say("1")))
	// What a broken attempt said last is not delivered; another may do better.
	f(Complete, `{"a": 1}`, `{"a": `, end(`"`), end("```json\n1}\n```"))
	// Several cuts.
	long := `{"list": ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"], "of": {"greek": "letters"}}`
	f(Complete, long, long[:50], sse(say(inside(long[20:60]))), sse(say(inside(long[40:70]))), end("```json\n"+long[50:]+"\n```"))
	f(Complete, long, long[:50], sse(say(inside(long[10:]))), end("```"))
	f(Complete, long, long[:50], sse(say(inside(long)))+"data: {", end(long[60:]))
}

func TestOtherAnswersKeepTheirFences(t *testing.T) {
	f := seamTest(t, anchored)
	f(SeamDirect, "Look here:\n", "```json\n{}\n```\nDone.", "```json\n{}\n```\nDone.")
	f(SeamDirect, `{"a": `, "1}\n```", "1}\n```")
}
