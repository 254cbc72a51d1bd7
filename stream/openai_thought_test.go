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

// TestOpenAIThoughtEndsBeforeACall: a thought that a cut left open ends in front of
// whatever of an answer another attempt has, once.
func TestOpenAIThoughtEndsBeforeACall(t *testing.T) {
	const named = `"created":1,"id":"one","model":"m1"`
	open := with(muse("<thought>hm"), named)
	end := `{"choices":[{"delta":{"content":"</thought>"},"index":0}],` + named + `,"object":"chat.completion.chunk"}`
	call := choice(`"tool_calls":[{"function":{"arguments":"{}","name":"f"},"id":"f1","type":"function"}]`, "")
	two := choice(`"tool_calls":[{"function":{"arguments":"{}","name":"g"},"id":"g1","type":"function"}]`, "")
	over := choice("", `,"finish_reason":"tool_calls"`)
	f := func(want, stream []string, before ...string) {
		t.Helper()
		p := newOpenAIPlayer()
		for _, s := range append(before, lines(append(stream, "[DONE]")...)) {
			p.play(t, s)
		}
		if got, want := compact(t, p.out), compact(t, []byte(lines(append(want, "[DONE]")...))); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	cut := lines(open)
	f([]string{open, end, call, two, over}, []string{call, two, over}, cut)
	f([]string{open, end, call, over}, []string{muse("<thought>other"), call, over}, cut)
	f([]string{open, end, call, over}, []string{muse("<thought>other</thought>"), call, over}, cut)
	f([]string{open, end, call, plain("a"), over}, []string{call, plain("a"), over}, cut)
	// Cut twice.
	f([]string{open, end, call, over}, []string{call, over}, cut, cut)
	// It was ended, or there was none.
	whole := with(muse("<thought>hm</thought>"), named)
	f([]string{whole, call, over}, []string{call, over}, lines(whole))
	f([]string{with(choice(`"role":"assistant"`, ""), named), call, over}, []string{call, over}, lines(with(choice(`"role":"assistant"`, ""), named)))
	// What the upstream says in one piece is its own.
	f([]string{open, call, over}, []string{open, call, over})
}

func plain(text string) string { return choice(`"content":"`+text+`"`, "") }
