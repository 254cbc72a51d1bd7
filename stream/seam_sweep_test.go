package stream

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Wherever an answer that does not repeat itself breaks off, and however much
// of it a model says again, the client gets all of it and nothing twice.
func TestSeamAtEveryCharacter(t *testing.T) {
	f := func(text string) {
		t.Helper()
		cuts := 0
		for cut := 40; cut < len(text); cut++ {
			if !utf8.RuneStart(text[cut]) || utf8.RuneCountInString(text[:cut]) <= restartLeast || !isPlain(text, cut) {
				continue
			}
			cuts++
			before, rest := text[:cut], text[cut:]
			for what := range byte(4) {
				for _, k := range []int{0, 9, 30, 90, 250, 700} {
					if k > 0 && what < 3 {
						break
					}
					repeated := repeatOf(before, k, what)
					got := playContinued(t, anchored, inside(before), []string{inside(repeated + rest)}, true)
					if got.verdict != Complete || got.text != rest {
						t.Errorf("%q | %q with %q repeated: %+v", before, rest, repeated, got)
					}
				}
			}
		}
		if cuts < 20 {
			t.Errorf("%q: only %d cuts are plain", text, cuts)
		}
	}
	f(prose)
	f(strings.ReplaceAll(code, "value", "v\u00e4lue"))
	f(cjk)
	f(rtl)
}
