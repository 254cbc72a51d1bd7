package stream

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestSeamRepeatsTheAnchorInOtherLetters(t *testing.T) {
	f := seamTest(t, anchored)
	const (
		accents = "Mañana el señor Peña irá a la estación de Córdoba, y después al café de la esquina con su hermana."
		bold    = "There are two of them:\n\n* **Location:** in the *east* of the country, on the `Vistula`, and **big**.\n* **People:** about"
	)
	// As upper or lower case, with the accents in other code points, and without
	// the marks of Markdown, or with all of these escaped.
	plain := strings.NewReplacer("*", "", "`", "")
	escaped := strings.NewReplacer("*", `\*`, "`", "\\`")
	ways := map[string]func(string) string{
		"upper": strings.ToUpper, "lower": strings.ToLower, "NFD": norm.NFD.String, "NFC": norm.NFC.String, "plain": plain.Replace, "escaped": escaped.Replace,
		"title": func(s string) string { return strings.ToUpper(s[:1]) + s[1:] },
	}
	for _, text := range []string{prose, accents, norm.NFD.String(accents), bold} {
		for name, way := range ways {
			for cut := 45; cut < len(text)-1; cut += 3 {
				for !utf8.RuneStart(text[cut]) || !isPlain(text, cut) || text[cut-1] == '*' || text[cut] == '*' {
					cut++
				}
				a, _ := anchorOf([]byte(text[:cut]))
				again := way(string(a))
				if end := len(bytes.TrimRight(a, " \n")); again == string(a) || utf8.RuneCount(a[:end]) < 20 {
					continue
				}
				for _, said := range []string{"", "Sure, continuing:\n\n", "<<<"} {
					got := playContinued(t, anchored, inside(text[:cut]), []string{inside(said + again + text[cut:])}, true)
					if got != (joined{Complete, SeamLoose, text[cut:]}) {
						t.Errorf("%s: %q + %q%q: %+v, want %q", name, text[:cut], said, again, got, text[cut:])
					}
				}
			}
		}
	}
	// In whatever pieces it comes.
	const cut = "Once upon a time there lived, in the **old town** of Málaga, a man who had"
	low := func(delivered string) string {
		a, _ := anchorOf([]byte(delivered))
		return strings.ToLower(strings.TrimSpace(string(a)))
	}
	for _, c := range [][3]string{
		{"", low(cut), " a dog."},
		{" ", low(cut + " "), "a dog."},
		{" a **", plain.Replace(low(cut + " a **")), "dog**."},
		{" a **dog**", plain.Replace(low(cut + " a **dog**")), " of size."},
		{" a **dog**", escaped.Replace(low(cut + " a **dog**")), " of size."},
		{" a **dog**", "**" + low(cut+" a **dog**"), " of size."},
		{" a dog", low(cut + " a dog"), "** of size."},
		{" a caf\u00e9", norm.NFD.String(low(cut + " a caf\u00e9")), " at home."},
		{" a caf\u00e9", plain.Replace(low(cut + " a cafe")), " at home."},
		{" a cafe", low(cut + " a cafe"), "\u0301 at home."},
		{"", low(cut)[:25], ""},
	} {
		between := ""
		if strings.HasSuffix(c[0], " ") || strings.HasSuffix(c[0], " **") {
			between = " "
		}
		f(SeamLoose, cut+c[0], c[2], c[1]+between+c[2])
	}
	// Fewer words, other words, words in the middle, and words that stand there
	// twice are none of it.
	f(SeamDirect, cut, "In The Old Town", "In The Old Town")
	f(SeamDirect, cut, " in The Old House of Málaga, a man who had", " in The Old House of Málaga, a man who had")
	f(SeamDirect, cut, " not seen The Old Town of Málaga, a man who had", " not seen The Old Town of Málaga, a man who had")
	f(SeamDirect, "ONCE A MAN WHO HAD SEEN THE OLD TOWN, AND once a man who had seen the old town, and", " Once a man who had seen the old town, and", " Once a man who had seen the old town, and")
	f(SeamDirect, "A cafe au lait", "A CAFE AU LAIT", "A CAFE AU LAIT")
}

// A title is taken up by the sentence below it, in small letters and without the
// marks of a title: that is no repeat.
func TestTitleIsTakenUpByTheText(t *testing.T) {
	f := seamTest(t, anchored)
	const (
		title = "Photosynthesis in Green Plants"
		line  = "Photosynthesis in green plants is how light becomes sugar."
		begun = "Some words that stand in front of a line.\n\n"
	)
	for _, c := range [][2]string{
		{"# " + title, "\n\n" + line}, {"# " + title + "\n\n", line}, {"# " + title + "\n", "\n" + line},
		{"# " + title + "\n\n", "**Photosynthesis in green plants** is how light becomes sugar."},
		{"**" + title + "**", "\n\n" + line}, {"**" + title + "**\n\n", line}, {title + "\n\n", line}, {title, "\n\n" + line},
		{"# " + title + "\n\n", "The photosynthesis in green plants is how light becomes sugar."},
		{begun + "## The Photosynthesis in All of the Green Plants\n\n", "The photosynthesis in all of the green plants is it."},
		{"There was " + title + " and all of that", " in it.\n\nthere was photosynthesis in green plants and all of that, too."},
	} {
		f(SeamDirect, c[0], c[1], c[1])
	}
	// A title is repeated as one, and a sentence as one.
	for _, again := range []string{"# photosynthesis in green plants\n\n", "PHOTOSYNTHESIS IN GREEN PLANTS\n\n", "**Photosynthesis in green plants**\n\n"} {
		f(SeamLoose, "# "+title+"\n\n", line, again+line)
		f(SeamLoose, "# "+title+"\n\n", line, "Sure:\n\n"+again+line)
	}
	f(SeamLoose, title, " are it.", "**PHOTOSYNTHESIS IN GREEN PLANTS** are it.")
	f(SeamLoose, title, " are it.", "PHOTOSYNTHESIS IN GREEN PLANTS are it.")
	f(SeamLoose, title, " are it.", "Sure, continuing:\n\nPHOTOSYNTHESIS IN GREEN PLANTS are it.")
}

// Of words that break off it is not known whether they are the answer's.
func TestRetoldAnchorThatBreaksOff(t *testing.T) {
	for n := 1; n < 40; n++ {
		again := strings.ToUpper(string(prose[152-40 : 150]))
		p := goOn(t, anchored, say(inside(prose[:150])))
		a, _ := anchorOf([]byte(prose[:150]))
		again = strings.ToUpper(string(a))
		p.take(t, More, "", say(inside(again[:n])))
		if out, v := p.s.End(nil, Event{}, false); len(out) > 0 || v != Cut {
			t.Errorf("%q: %q %v", again[:n], out, v)
		}
	}
}

func TestRetoldKnowsWhereItsRunesAre(t *testing.T) {
	for _, text := range []string{"", "a", prose, code, cjk, rtl, "e\u0301e\u0301", "\u0301", "각 \u1100\u1161\u11a8", "**É**\n\n_\xffx_", "…“ﬁ”ẞǄ", strings.Repeat("\u0301", 40) + "x"} {
		var r retold
		r.of([]byte(text))
		if want := appendRetold(nil, []byte(text)); !bytes.Equal(r.text, want) || len(r.from) != len(want) || len(r.to) != len(want) {
			t.Errorf("%q: %q, want %q, %d and %d offsets", text, r.text, want, len(r.from), len(r.to))
		}
		for i := range r.text {
			if r.from[i] >= r.to[i] || r.to[i] > len(text) || i > 0 && (r.from[i] < r.from[i-1] || r.to[i] < r.to[i-1]) {
				t.Errorf("%q: byte %d of %q is %d to %d", text, i, r.text, r.from[i], r.to[i])
			}
		}
		for _, form := range []norm.Form{norm.NFC, norm.NFD} {
			if got := appendRetold(nil, []byte(form.String(text))); utf8.ValidString(text) && !bytes.Equal(got, r.text) {
				t.Errorf("%q: %q in form %v, %q", text, got, form, r.text)
			}
		}
	}
}
