package stream

import (
	"strings"
	"testing"
)

func TestSeamRestarts(t *testing.T) {
	f := seamTest(t, anchored)
	for _, cut := range []int{90, 120, 200, len(prose) - 1} {
		f(SeamRestart, prose[:cut], prose[cut:], prose)
		f(SeamRestart, prose[:cut], prose[cut:], prose[:30], prose[30:])
	}
	f(SeamRestart, prose[:200], prose[200:], "\n\n"+prose)
	f(SeamRestart, prose[:200], prose[200:], "Here is the whole answer:\n\n"+prose)
	f(SeamRestart, prose[:200], "", prose[:200])
	f(SeamRestart, cjk[:180], cjk[180:], cjk)
	f(SeamRestart, rtl[:len(rtl)-8], rtl[len(rtl)-8:], rtl)
	f(SeamRestart, code[:len(code)-5], code[len(code)-5:], code)
	// With other white space, quotes and dashes.
	loose := strings.NewReplacer(";", "…", ", and", "\n– and", " ", "  ").Replace(prose)
	f(SeamRestart, loose[:260], loose[260:], strings.NewReplacer("…", "...", "–", "-", "  ", " ").Replace(loose[:260])+loose[260:])
	f(SeamRestart, prose[:200]+"\n", "\nThe end.", prose[:200]+"\n\nThe end.")
	f(SeamRestart, prose[:200]+" ", "\nThe end.", prose[:200]+"\nThe end.")
	f(SeamRestart, prose[:200]+" ", "The end.", prose[:200], "The end.")
	f(SeamRestart, prose[:200]+"..", " The end.", prose[:200], "… The end.")
	// From somewhere in the middle.
	long := numbered(200)
	f(SeamRestart, long, "and then an end.", long[1000:]+"and then an end.")
	f(SeamRestart, long[:2500], long[2500:], long[700:])
	// Far too long to be held.
	far := numbered(600)
	f(SeamRestart, far[:9000], far[9000:], far)
	// Fewer characters make no restart.
	f(SeamDirect, prose[:200], prose[:35], prose[:35])
	f(SeamDirect, prose[:200], prose[:35]+"is another story.", prose[:35], "is another story.")
	// What ends is rather a refrain than a restart.
	f(SeamDirect, prose[:200], prose[20:90], prose[20:90])
	// A passage that is written for the second time goes on as the first did.
	body := long[:1500]
	f(SeamDirect, "First:\n"+body+"Second:\n"+body[:200], body[200:]+"Third.", body[200:]+"Third.")
	// It is the answer in other words.
	g := divergeTest(t, anchored)
	g(prose[:200], prose[:60]+"another story, of which nothing was ever told before.")
	g(prose[:200], prose[:199]+"X"+prose[200:])
	g(prose[:200], prose[:100])
	g(prose[:200], prose[:100]+" "+prose[100:])
	g(prose[:200], "Here it is:\n\n"+prose[:100]+"!")
	g(long, long[1000:2000]+"but now for something completely different.")
	g(far, far[:9000]+"!")
}

func TestSeamGoesOnDirectly(t *testing.T) {
	f := seamTest(t, anchored)
	d := func(transcript string, text ...string) {
		t.Helper()
		f(SeamDirect, transcript, strings.Join(text, ""), text...)
	}
	d(prose[:100], prose[100:])
	d(prose[:100], prose[100:101], prose[101:])
	d(prose[:100], "\n\n"+prose[100:])
	d(prose[:100], " ")
	d("The total is 123", "4567")
	d("A", " B")
	d("Hello,", " world")
	d(code[:90], code[90:])
	d(cjk[:60], cjk[60:])
	d(rtl[:60], rtl[60:])
	d("| a | b |\n|---|---|\n", "| 1 | 2 |\n")
	d("Let us see:\n\n", "```go\nfmt.Println()\n```\n")
	d("```go\n", "fmt.Println()\n```\n")
	d("if x {\n    ", "    return\n")
	d("He said: ", "\"No.\"")
	d("Once \\", "n is no line break")
	d("\n\n", "\n\nText.")
	d(" ", " Text.")
	// A few characters that begin as the anchor does, and the end.
	d(`func main() { fmt.Println("a"`, "f")
	d(`} and a few more words, so that it is`, "}")
	// A space between words is not doubled; elsewhere two are two.
	f(SeamDirect, "Once upon a time ", "there was", " there was")
	f(SeamDirect, "Once upon a time, ", "there was", " there was")
	d("Once upon a time. ", " There was")
	d("|  a ", " |")
	d("type T struct {\n\tA      int8\n\tIndex ", " uint16\n}")
}

func TestSeamOfRepetitiveTextLosesNothing(t *testing.T) {
	f := seamTest(t, anchored)
	// same says that the text goes on as it has so far, and then ends.
	same := func(before, unit string, units int, within int) {
		t.Helper()
		all := before + strings.Repeat(unit, units+3) + "And that was that."
		cut := len(before) + len(unit)*units - within
		f(SeamDirect, all[:cut], all[cut:], all[cut:])
		f(SeamDirect, all[:cut], all[cut:], all[cut:cut+len(unit)], all[cut+len(unit):])
	}
	for _, unit := range []string{
		"ha ", "ha", "!", "=", "-", " ", "\n", "0", "あ", "🙂", "1, ", "<br>\n", "| a | b |\n", "|-----", "- an apple\n", "\t\t\treturn nil, err\n",
		"* * * ", "na na na na na na na na, hey hey hey, goodbye\n", "لا ", "This sentence is one that this text is made of. ", prose,
	} {
		for _, units := range []int{2, 3, 7, 20} {
			same("", unit, units, 0)
			if len(unit) > 3 && unit[1] < 0x80 {
				same("", unit, units, 2)
			}
			if units*len(unit) >= repetitive {
				same("Something else comes first, as is right and proper here: ", unit, units, 0)
				same(prose+"\n", unit, units, 0)
			}
		}
	}
	// Rows of which the next is the same.
	f(SeamDirect, "- a first row of words\n- second\n- a first row of words\n", "- a first row of words\n- third\n", "- a first row of words\n- third\n")
	row := "| some words | in a row |\n"
	f(SeamDirect, row+prose+"\n"+row, row+"| other |\n", row+"| other |\n")
	f(SeamDirect, row+prose+"\n"+row[:len(row)-1], "\n"+row+"| other |\n", "\n"+row+"| other |\n")
	// A passage that has begun for the second time, and might for the third.
	passage := prose[20:280]
	f(SeamDirect, passage+passage[:100], passage[100:]+passage[:100]+"!", passage[100:]+passage[:100]+"!")
	// Far more of it than is looked at.
	same("", "ab", 5000, 0)
	same(prose, prose, 40, 0)
	// The anchor begins before the repetition, and is then good.
	lead := prose[:120] + strings.Repeat("=", 30)
	a, _ := anchorOf([]byte(lead))
	f(SeamExact, lead, "====\nDone.", string(a)+"====\nDone.")
	seamTest(t, Expect{})(SeamOverlap, lead, "====\nDone.", prose[100:120]+strings.Repeat("=", 30)+"====\nDone.")
}

func TestSeamInsideACharacter(t *testing.T) {
	f := func(kind SeamKind, transcript, want string, pieces ...string) {
		t.Helper()
		if got := everyPiecing(t, anchored, transcript, pieces); got != (joined{Complete, kind, want}) {
			t.Errorf("%q + %q: %+v, want %v %q", transcript, pieces, got, kind, want)
		}
	}
	// Half a surrogate pair is no part of the anchor, and does no harm.
	f(SeamExact, `A smile says more than words: \ud83d`, "😀!", `A smile says more than words: 😀!`)
	f(SeamExact, `A smile says more than words: \ud83d`, "😀!", `A smile says more than words: \ud83d`, `\ude00!`)
	f(SeamExact, `A smile says more than words: \ud83d`, "\ufffd!", `A smile says more than words: \ude00!`)
	f(SeamExact, `A smile says more than words: \ud83d\ude00`, "!", `A smile says more than words: \ud83d`, `\ude00!`)
	f(SeamExact, `A smile says more than words: 😀`, "!", `A smile says more than words: \ud83d`, `\ude00!`)
	f(SeamDirect, `A smile says more than words: \ud83d`, "😀!", `\ud83d`, `\ude00!`)
	// In what is swallowed, too.
	smiles := strings.Repeat(`Many words and a smile \ud83d\ude00, then `, 3) + inside(prose)
	f(SeamRestart, smiles, "the end", smiles+"the end")
	// The same character, written in another way.
	f(SeamExact, `Le caf\u00e9 est tr\u00E8s chaud ce matin`, "!", "Le café est ", "très chaud ce matin!")
	f(SeamExact, `a \u003cb\u003e tag and a \"quote\" \/ slash`, "!", `a <b> tag and a \u0022quote\u0022 / slash!`)
	f(SeamDirect, `A lone half \udc00 in the middle`, "\ufffd.", `\ud800.`)
}
