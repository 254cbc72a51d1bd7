package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

var (
	answers = flag.Int("answers", 300, "number of answers that the simulated models give")
	seed    = flag.Uint64("seed", 1, "seed of the simulation, 0 takes one from the clock")
	table   = flag.String("table", "", "file to write the table of the simulation to")
)

// habit is what a model does when it is asked to go on.
type habit struct {
	name  string
	share int // percent
	say   func(r *rand.Rand, anchor, said, rest string) string
}

var habits = []habit{
	{"repeats the anchor exactly", 40, func(_ *rand.Rand, anchor, _, rest string) string { return anchor + rest }},
	{"repeats it loosely", 20, func(_ *rand.Rand, anchor, _, rest string) string { return loosely(anchor) + rest }},
	{"says something first", 10, func(r *rand.Rand, anchor, _, rest string) string {
		return preambles[r.IntN(len(preambles))] + anchor + rest
	}},
	{"goes on directly", 10, func(_ *rand.Rand, _, _, rest string) string { return rest }},
	{"repeats some other end", 10, func(r *rand.Rand, _, said, rest string) string {
		return lastRunes(said, 24+r.IntN(300)) + rest
	}},
	{"starts over", 5, func(_ *rand.Rand, _, said, rest string) string { return said + rest }},
	{"thinks first", 5, func(_ *rand.Rand, anchor, _, rest string) string { return anchor + rest }},
}

var preambles = []string{
	"Sure, here is the continuation:\n\n", "Certainly! ", "Of course. Continuing from where I stopped:\n\n",
	"Here is the rest of the message:\n", "\n\n", "… ",
}

// loosely is text as a model retypes it. White space at its end is kept: a
// space more there could as well be the next character of the answer.
func loosely(text string) string {
	words := strings.TrimRight(text, " \n")
	return strings.NewReplacer(`"`, "”", "'", "’", " - ", " – ", ", ", ",  ").Replace(words) + text[len(words):]
}

func lastRunes(s string, n int) string {
	r := []rune(s)
	return string(r[max(0, len(r)-n):])
}

// conversation is one answer of the simulation.
type conversation struct {
	mu     sync.Mutex
	r      *rand.Rand
	answer string
	habit  int
	cuts   int // still to come
}

// respond is the model: it goes on from the turn it is sent, in its manner,
// and is cut at a random byte.
func (c *conversation) respond(q *upstream.Request) upstream.Script {
	c.mu.Lock()
	defer c.mu.Unlock()
	var script upstream.Script
	text := c.answer
	turns, err := q.Contents()
	if err != nil {
		return upstream.Script{upstream.ErrorBody(400, "INVALID_ARGUMENT", err.Error(), 0)}
	}
	if n := len(turns); n >= 3 && turns[n-2].Role == "model" {
		said := turns[n-2].Text
		if !strings.HasPrefix(c.answer, said) {
			return upstream.Script{upstream.ErrorBody(400, "INVALID_ARGUMENT", "that is not what I said", 0)}
		}
		_, anchor, _ := strings.Cut(turns[n-1].Text, "<<<")
		anchor = anchor[:max(0, strings.LastIndex(anchor, ">>>"))]
		h := habits[c.habit]
		text = h.say(c.r, anchor, said, c.answer[len(said):])
		if h.name == "thinks first" {
			script = append(script, upstream.Thought("Let me see where I was."))
		}
	}
	if c.cuts > 0 {
		c.cuts--
		bytes := len(text) * 6 // about what the events around it add
		how := []upstream.How{upstream.FIN, upstream.RST, upstream.Clean}[c.r.IntN(3)]
		script = append(upstream.Script{upstream.LimitBody(1+c.r.IntN(bytes), how)}, script...)
	}
	return append(script, upstream.Say(text, 8+c.r.IntN(60), 0, "STOP"))
}

var words = strings.Fields(`the light of a small thing that nobody saw in time because it was there all along and then went on to
 become water under bridges which people cross without looking while birds count clouds “quoted” it's e.g. 3.14 42 naïve Zürich 東京 emoji🙂 x=y+1 foo() [link](url)
 – however, moreover; finally: perhaps (maybe) "yes" 'no' half-life`)

// prose writes an answer that does not repeat itself.
func prose(r *rand.Rand) string {
	var b strings.Builder
	for n := 600 + r.IntN(2400); b.Len() < n; {
		switch k := r.IntN(40); k {
		case 0:
			fmt.Fprintf(&b, "\n\n%d. ", r.IntN(1000))
		case 1:
			fmt.Fprintf(&b, ".\n\n    if n%d > %d {\n        return %d\n    }\n", r.IntN(100), r.IntN(1000), r.IntN(10000))
		case 2:
			b.WriteString(".  ")
		case 3:
			fmt.Fprintf(&b, " | %d | %d |\n", r.IntN(1000), r.IntN(1000))
		default:
			b.WriteString(words[r.IntN(len(words))])
			b.WriteByte(' ')
		}
	}
	return strings.TrimSpace(b.String())
}

// heard is what the client ended up with.
type heard struct {
	text     string
	finishes int
	failed   bool
}

func listen(addr, id string) (h heard, err error) {
	body := `{"contents":[{"role":"user","parts":[{"text":"Tell me."}]}]}`
	req, err := http.NewRequest("POST", "http://"+addr+"/v1beta/models/simulated:streamGenerateContent?alt=sse", strings.NewReader(body))
	if err != nil {
		return h, err
	}
	req.Header.Set("X-Test-Id", id)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return h, err
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if payload, ok := bytes.CutPrefix(line, dataPrefix); ok {
			h.event(payload)
		}
		if err == io.EOF {
			return h, nil
		}
		if err != nil {
			return h, err
		}
	}
}

func (h *heard) event(payload []byte) {
	var ev struct {
		Candidates []struct {
			Content struct {
				Parts []struct {
					Text    string
					Thought bool
				}
			}
			FinishReason string
		}
		Error *struct{ Code int }
	}
	if json.Unmarshal(payload, &ev) != nil || ev.Error != nil {
		h.failed = true
		return
	}
	for _, c := range ev.Candidates {
		for _, p := range c.Content.Parts {
			if !p.Thought {
				h.text += p.Text
			}
		}
		if c.FinishReason != "" {
			h.finishes++
		}
	}
}

// tally counts how answers of one habit ended.
type tally struct{ answers, exact, gaveUp, wrong int }

// A population of models of all habits, each answer cut one to four times: it
// is delivered exactly, or given up in a way that the client sees. Never
// anything else.
func TestPopulation(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", *seed)
	var conversations sync.Map
	up, err := upstream.New(func(q *upstream.Request) upstream.Script {
		c, _ := conversations.Load(q.Header.Get("X-Test-Id"))
		return c.(*conversation).respond(q)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.Close)
	up.SetRecord(false)
	addr := startProxyWith(t, up.Addr(), func(cfg *proxy.Config) { cfg.RetryBaseDelay = time.Millisecond })

	tallies := make([]tally, len(habits))
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range *answers {
		r := rand.New(rand.NewPCG(*seed, uint64(i)))
		c := &conversation{r: r, answer: prose(r), habit: pick(r), cuts: 1 + r.IntN(4)}
		id := fmt.Sprint(i)
		conversations.Store(id, c)
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			h, err := listen(addr, id)
			if err != nil {
				t.Errorf("answer %s: %v", id, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			tallies[c.habit].count(t, id, c, h)
		})
	}
	wg.Wait()
	report(t, tallies)
}

func pick(r *rand.Rand) int {
	n := r.IntN(100)
	for i, h := range habits {
		if n -= h.share; n < 0 {
			return i
		}
	}
	return 0
}

func (tl *tally) count(t *testing.T, id string, c *conversation, h heard) {
	tl.answers++
	switch {
	case h.failed && strings.HasPrefix(c.answer, h.text):
		tl.gaveUp++
	case !h.failed && h.text == c.answer && h.finishes == 1:
		tl.exact++
	default:
		tl.wrong++
		n := 0
		for n < len(h.text) && n < len(c.answer) && h.text[n] == c.answer[n] {
			n++
		}
		t.Errorf("answer %s, a model that %s: differs at %d of %d: got %q, want %q", id, habits[c.habit].name, n, len(c.answer),
			h.text[max(0, n-60):min(len(h.text), n+60)], c.answer[max(0, n-60):min(len(c.answer), n+60)])
	}
}

func report(t *testing.T, tallies []tally) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-28s %8s %8s %10s %8s\n", "a model that", "answers", "exact", "given up", "wrong")
	var all tally
	for i, tl := range tallies {
		fmt.Fprintf(&b, "%-28s %8d %8d %10d %8d\n", habits[i].name, tl.answers, tl.exact, tl.gaveUp, tl.wrong)
		all = tally{all.answers + tl.answers, all.exact + tl.exact, all.gaveUp + tl.gaveUp, all.wrong + tl.wrong}
	}
	fmt.Fprintf(&b, "%-28s %8d %8d %10d %8d\n", "all", all.answers, all.exact, all.gaveUp, all.wrong)
	t.Log("\n" + b.String())
	if *table != "" {
		if err := os.WriteFile(*table, []byte(fmt.Sprintf("seed %d\n\n", *seed)+b.String()), 0o644); err != nil {
			t.Error(err)
		}
	}
}
