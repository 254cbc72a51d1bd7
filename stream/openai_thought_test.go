package stream

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestOpenAIThoughtsAreWhole: wherever attempts break off, what a client makes of
// the content by its tags is thoughts in front and the answer behind them.
func TestOpenAIThoughtsAreWhole(t *testing.T) {
	words := []string{"One ", "two ", "three ", "four ", "five."}
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := newOpenAIPlayer()
		for said, n := 0, 0; ; n++ {
			var events []string
			thinks := r.IntN(3) > 0
			end, tag := "", [...]string{"</thought>", `\u003c/thought\u003e`}[r.IntN(2)]
			if r.IntN(2) == 0 {
				events = append(events, choice(`"content":"","role":"assistant"`, ""))
			}
			if thinks {
				events, end = append(events, muse("<thought>hm ")), tag
				for range r.IntN(3) {
					events = append(events, muse("and "))
				}
				switch r.IntN(4) {
				case 0:
					events, end = append(events, muse("so"+tag)), ""
				case 1:
					events, end = append(events, choice(`"content":"`+tag+`"`, "")), ""
				}
			}
			for i, w := range words[said:] {
				if i == 0 && end != "" && r.IntN(3) == 0 {
					events = append(events, muse("so"+end+w)) // all in one
				} else if i == 0 {
					events = append(events, tell(end+w))
				} else {
					events = append(events, tell(w))
				}
			}
			whole := n > 5 || r.IntN(4) == 0
			if events = append(events, over("stop")); !whole {
				events = events[:r.IntN(len(events))]
			}
			if said > 0 {
				p.expect = &Expect{Prefilled: true}
			}
			if v := p.play(t, lines(events...)); whole != (v == Complete) {
				t.Fatalf("seed %d: %s of %q", seed, v, events)
			}
			if said = len(strings.Fields(p.transcript())); whole {
				break
			}
		}
		content := ""
		for _, payload := range mustLines(t, p.out) {
			var c struct {
				Choices []struct{ Delta struct{ Content string } }
			}
			if err := json.Unmarshal([]byte(payload), &c); err != nil {
				t.Fatal(err)
			}
			content += c.Choices[0].Delta.Content
		}
		thought, text, tagged := strings.Cut(content, "</thought>")
		if !tagged {
			thought, text = "", content
		}
		if text != strings.Join(words, "") || tagged && !strings.HasPrefix(thought, "<thought>hm ") || strings.Count(content, "<thought>") > 1 {
			t.Fatalf("seed %d: the client got %q\n%s", seed, content, p.out)
		}
	}
}
