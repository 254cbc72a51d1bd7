package stream

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestHeldEventsKeepTheirUsage: events that are held back until a seam is found
// say what had been used when they came, on top of the attempts before, not what
// was used by the last of them.
func TestHeldEventsKeepTheirUsage(t *testing.T) {
	const begin = "The quick brown fox jumps over the lazy dog and runs into the "
	pieces := []string{"deep ", "dark wood ", "of oaks ", "and birches ", "by the ", "river."}
	forms := map[string]struct {
		p     *player
		tell  func(text string) string
		usage string
		bad   string
		count *regexp.Regexp
	}{
		"native": {newPlayer(), say, `"usageMetadata": {"promptTokenCount": 5,"candidatesTokenCount": %d}`, `"finishReason": "SAFETY","index"`, regexp.MustCompile(`"candidatesTokenCount": (\d+)`)},
		"chat":   {newOpenAIPlayer(), tell, `"usage":{"prompt_tokens":5,"completion_tokens":%d}`, `"finish_reason":"content_filter","index"`, regexp.MustCompile(`"completion_tokens": (\d+)`)},
	}
	for name, f := range forms {
		for _, middle := range []string{"", f.tell("")} {
			f.p.attempts, f.p.out = 0, nil
			f.p.s.Reset(f.p.s.form, retriedReasons, 1<<20)
			f.p.play(t, sse(with(f.tell(begin), fmt.Sprintf(f.usage, 10))))
			f.p.expect, f.p.out = &Expect{Anchored: true}, nil
			var events, want []string
			for i, piece := range pieces {
				if events = append(events, with(f.tell(piece), fmt.Sprintf(f.usage, i+1))); i == 3 && middle != "" {
					events = append(events, middle) // of which nothing is known
				}
				want = append(want, fmt.Sprint(10+i+1))
			}
			// It ends in what is retried, whose own text is held apart.
			events = append(events, with(strings.Replace(f.tell(""), `"index"`, f.bad, 1), fmt.Sprintf(f.usage, 7)))
			if f.p.play(t, sse(events...)); f.p.transcript() != begin+strings.Join(pieces, "") {
				t.Fatalf("%s: %q", name, f.p.transcript())
			}
			var got []string
			for _, m := range f.count.FindAllSubmatch(f.p.out, -1) {
				got = append(got, string(m[1]))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: counts %q, want %q in\n%s", name, got, want, f.p.out)
			}
			if f.p.s.NextAttempt(); f.p.s.tally.candidates != 17 {
				t.Errorf("%s: %d tokens in all, want 17", name, f.p.s.tally.candidates)
			}
		}
	}
}
