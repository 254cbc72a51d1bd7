package stream

import (
	"strings"
	"testing"
)

var anchored = Expect{Anchored: true}

// Texts that do not repeat themselves.
const (
	prose = "The harbour was quiet when the first ferry of the year came in, and nobody on the pier had thought of bringing flags. " +
		"Marta counted eleven passengers, two bicycles and a crate of lemons before the ramp went up again; the captain waved, " +
		"turned his boat towards the islands and was gone behind the breakwater within a minute or so. She wrote it all down."
	code = "func sum(values []int) (total int) {\n\tfor i, v := range values {\n\t\tif v < 0 {\n\t\t\tlog.Printf(\"value %d is negative\", i)\n\t\t\tcontinue\n\t\t}\n\t\ttotal += v\n\t}\n\treturn total\n}\n"
	cjk  = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所でニャーニャー泣いていた事だけは記憶している。吾輩はここで始めて人間というものを見た。"
	rtl  = "في البدء كان المرفأ هادئا عندما وصلت العبارة الأولى من السنة، ولم يفكر أحد على الرصيف في إحضار الأعلام أو الزهور أو أي شيء آخر."
)

func TestSeamRepeatsTheAnchor(t *testing.T) {
	f := seamTest(t, anchored)
	// at cuts text after n bytes and lets the anchor be repeated.
	at := func(text string, n int) {
		t.Helper()
		a, _ := anchorOf([]byte(text[:n]))
		f(SeamExact, text[:n], text[n:], string(a), text[n:])
		f(SeamExact, text[:n], text[n:], string(a)+text[n:])
		f(SeamExact, text[:n], "", string(a))
	}
	at(prose, 100)                                      // inside a word
	at(prose, strings.Index(prose, "quiet"))            // after a space
	at(prose, strings.Index(prose, " bicycles"))        // before one
	at(prose, len(prose)-1)                             // before the last character
	at(prose, 5)                                        // very early
	at(prose, 1)                                        // earlier still
	at(code, strings.Index(code, "log"))                // after tabs
	at(code, strings.Index(code, "\t\tif"))             // after a line break
	at(code, strings.Index(code, "\ttotal"))            // inside of tabs
	at(code, strings.Index(code, "%d")+1)               // inside a verb
	at(cjk, strings.Index(cjk, "記憶"))                   // without spaces
	at(cjk, len("吾輩"))                                  // short
	at(rtl, strings.Index(rtl, "الرصيف")+len("ال"))     // from right to left
	at("The total is 1234567", len("The total is 123")) // inside a number
	at("One\n\nTwo, a paragraph of some more words.\n\nThree", len("One\n\nTwo, a paragraph of some more words.\n\n"))
	at("Emoji 👩‍👩‍👧 without end 😀😃😄😁😆😅🤣😂🙂🙃🫠😉😊😇🥰😍🤩😘😗☺", len("Emoji 👩‍👩‍"))
	at("cafe\u0301 au lait", len("cafe"))
	at("नमस्ते दुनिया, यह एक छोटा वाक्य है।", len("नमस"))
	at("| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n", len("| a | b |\n|---|---|\n| 1 |"))
	at("1. eggs\n2. milk\n3. bread\n4. butter\n5. cheese\n6. apples\n7. pears\n", len("1. eggs\n2. milk\n3. bread\n4. butter\n5. cheese\n6."))
	at("```go\nfmt.Println(1)\n```\nand so on, as ever.", len("```go\nfmt.Println(1)\n``"))
}

func TestSeamRepeatsTheAnchorLoosely(t *testing.T) {
	f := seamTest(t, anchored)
	const cut = "Late in the evening of the very last day he said “it’s late” – and left the room…  Nobody\u00a0spoke for a wh"
	f(SeamLoose, cut, "ile.", `"it's late" - and left the room... Nobody spoke for a while.`)
	f(SeamLoose, cut, "ile.", `"it's late" -`+"\n", "and left the room...\nNobody spoke for a wh", "ile.")
	f(SeamLoose, `He said "it's late" - and went...`, " Well.", "He said “it’s late” — and went… Well.")
	// White space that was delivered at the end is neither lost nor doubled.
	f(SeamExact, "Once upon a time ", "there was", "Once upon a time", " there was")
	f(SeamLoose, "Once upon a  time ", "there was", "Once upon a time", " there was")
	f(SeamExact, "Once upon a time ", "there", "Once upon a time", "there")
	f(SeamExact, "Once upon a time\n", "there", "Once upon a time", " there")
	f(SeamExact, "Once upon a time ", "\n\nthere", "Once upon a time\n\nthere")
	f(SeamExact, "Once upon a time\n", "\n- a", "Once upon a time\n\n- a")
	f(SeamExact, "Once upon a time\n\n", "- a", "Once upon a time\n- a")
	f(SeamExact, "Once upon a time\n", "    a", "Once upon a time\n    a")
	f(SeamExact, "Once upon a time\n  ", "  a", "Once upon a time\n    a")
	f(SeamExact, "Once upon a time", "\n\na", "Once upon a time\n\na")
	f(SeamExact, "Once upon a time:\r\n", "a", "Once upon a time:\na")
	f(SeamExact, "Once upon a time ", "a", "Once upon a time\u00a0a")
	// An ellipsis is not cut in two.
	f(SeamLoose, "Wait for the very last train..", " Now", "Wait for the very last train… Now")
	// The same letter, written in two ways, is another.
	f(SeamDirect, "cafe\u0301 au lait", "caf\u00e9 au lait", "caf\u00e9 au lait")
}

func TestSeamAfterAPreamble(t *testing.T) {
	f := seamTest(t, anchored)
	a, _ := anchorOf([]byte(prose[:150]))
	anchor, rest := string(a), prose[150:]
	for _, preamble := range []string{
		"Sure, here is the continuation:\n\n", "Sure! Continuing from where I stopped.\n", "…", "... ", "Continuation: ", "\n", " ",
		"Continuing,\n\n---\n\n", "```\n", "> ", "好的，以下是后续内容：\n", "**", "Of course — ", "Here it is:\n\n> …",
	} {
		f(SeamExact, prose[:150], rest, preamble, anchor, rest)
		f(SeamExact, prose[:150], rest, preamble+prose[60:150]+rest)
	}
	// Quotes around the anchor go with it.
	f(SeamExact, prose[:150], rest, `"`+anchor+`"`+rest)
	f(SeamExact, prose[:150], rest, "Right after “", anchor, "”", rest)
	f(SeamExact, prose[:150], rest, `"...`, anchor+`"`, rest)
	f(SeamExact, prose[:150], rest, "「"+anchor+"」"+rest)
	f(SeamExact, prose[:150], rest, "**"+anchor+"**"+rest)
	f(SeamExact, prose[:150], rest, "Here it is: **", anchor, "**"+rest)
	f(SeamExact, "**"+prose[:150], "**"+rest, "**"+anchor+"**"+rest)
	f(SeamExact, prose[:150]+" ", "**bold** words", "**"+anchor+" **bold** words")
	f(SeamExact, prose[:150], rest, `"`+anchor, rest)
	// So do the marks around it in the prompt, and white space that was delivered.
	for _, cut := range []int{150, strings.Index(prose, "had"), strings.Index(prose, "ferry") - 1, 20, 11} {
		a, _ := anchorOf([]byte(prose[:cut]))
		anchor, rest := string(a), prose[cut:]
		f(SeamExact, prose[:cut], rest, "<<<"+anchor+">>>"+rest)
		f(SeamExact, prose[:cut], rest, "<<<"+strings.TrimRight(anchor, " ")+">>>"+anchor[len(strings.TrimRight(anchor, " ")):]+rest)
		f(SeamExact, prose[:cut], rest, "<<<", anchor, ">>", ">", rest)
		f(SeamExact, prose[:cut], rest, "Sure: <<<"+anchor+">>>"+rest)
		f(SeamExact, prose[:cut], rest, "<<<"+anchor+rest)
		f(SeamExact, prose[:cut], rest, `"`+strings.TrimRight(anchor, " ")+`"`+anchor[len(strings.TrimRight(anchor, " ")):]+rest)
		f(SeamExact, prose[:cut], rest, "..."+anchor+rest)
	}
	f(SeamExact, "The sky", " is blue.", "<<<The sky>>>\n is blue.")
	f(SeamExact, "The sky", "\nis blue.", "<<<The sky>>>\nis blue.")
	f(SeamExact, "The sky ", "is blue.", "<<<The sky>>>\nis blue.")
	f(SeamExact, "The sky:\n", "\nis blue.", "<<<The sky:\n>>>\nis blue.")
	f(SeamExact, "The sky.", "\n\n * It is blue.", "<<<The sky.>>>\n\n * It is blue.")
	f(SeamExact, "The sky ", "", "<<<The sky >>>")
	f(SeamExact, "The sky ", "", "<<<The sky >")
	f(SeamExact, "The", " sky", "<<<The>>> sky")
	f(SeamExact, "The sky ", ">> is blue.", "<<<The sky >> is blue.")
	f(SeamOverlap, "a <<<b and some more words", ">>> c", "b and some more words>>> c")
	f(SeamExact, "Ruby", " is.", `"Ruby" is.`)
	f(SeamExact, "Ruby", " is.", "<<<Ruby>>> is.")
	f(SeamDirect, "No.", `"No."`, `"No."`)
	f(SeamDirect, "Ruby", `. "Ruby" is.`, `. "Ruby" is.`)
	// Loosely.
	f(SeamLoose, prose[:150], rest, "Sure:\n\n"+strings.Replace(anchor, " ", "\n", 1)+rest)
	f(SeamExact, prose[:150]+" ", rest[1:], "Sure:\n\n"+anchor+rest)
	// What was said before the anchor may be repeated with it.
	for _, from := range []int{100, 90, 61, 33, 2} {
		f(SeamExact, prose[:150], rest, prose[from:150]+rest)
	}
	// The same words in a new sentence are no repeat, nor are they after a speech.
	again := "\n\tif err := check(second, options, deadline); err != nil {\n\t\treturn fmt.Errorf(\"check the input: %w\", err)\n\t}\n"
	first := strings.Replace(again, "second", "first", 1)
	n := strings.LastIndex(first, ", err)")
	f(SeamDirect, "func run() error {"+first[:n], first[n:]+again+"}", first[n:]+again+"}")
	speech := strings.Repeat("I will now go on with the text. ", 7) + "\n"
	f(SeamDirect, prose[:150], speech+anchor+rest, speech+anchor+rest)
	// Short anchors are believed where they are announced, or where a remark of
	// a few words is all that stands before them.
	f(SeamExact, "Hello", "", "Sure:\nHello")
	f(SeamDirect, "Hello", "Sure. Hello", "Sure. Hello")
	f(SeamExact, "Hello there", " again", "Certainly! Hello there again")
	f(SeamDirect, "Hello there", " again. Hello there", " again. Hello there")
}

func TestSeamOverlaps(t *testing.T) {
	f := seamTest(t, anchored)
	for _, cut := range []int{100, 150, 200, 290, len(prose) - 1} {
		for _, n := range []int{16, 17, 25, 39} {
			f(SeamOverlap, prose[:cut], prose[cut:], prose[cut-n:cut], prose[cut:])
		}
		f(SeamDirect, prose[:cut], prose[cut-10:cut]+prose[cut:], prose[cut-10:])
	}
	// Without an anchor any length.
	g := seamTest(t, Expect{})
	for _, n := range []int{16, 40, 100, 199} {
		g(SeamOverlap, prose[:200], prose[200:], prose[200-n:200], prose[200:])
	}
	// From one end of what is held to the other, and beyond.
	long := numbered(60)
	for _, n := range []int{400, 511, 512, 600} {
		kind := SeamOverlap
		if n > MaxHeldRunes {
			kind = SeamRestart
		}
		g(kind, long, "and then an end.", long[len(long)-n:]+"and then an end.")
	}
	// In characters, not bytes.
	runes := []rune(cjk)
	for _, n := range []int{16, 20, 30} {
		f(SeamOverlap, string(runes[:70]), string(runes[70:]), string(runes[70-n:]))
	}
	f(SeamDirect, string(runes[:70]), string(runes[60:]), string(runes[60:]))
	f(SeamOverlap, code[:len(code)-2], "}\n", "}\n\treturn total\n}\n")
	// A whole line that stands once was repeated.
	f(SeamOverlap, prose+"\n\nThis line stands here alone.\n", "So does this.", "This line stands here alone.\nSo does this.")
}

// numbered is a list of n items.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(string(rune('a'+i%26)), 2+i/26) + " is item " + string(rune('A'+i%26)) + string(rune('A'+i/26)) + ",\n")
	}
	return b.String()
}
