package proxy_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// tale is what the model of these tests says: escapes of all kinds, characters
// of all lengths, and what looks like the end of a document.
const tale = "Once \"upon\" a tïme 😀 there <was> a \\ fox,\n\tand \"finishReason\": \"STOP\"}]} he\u2028said é€𝄞 to all who came by the old mill that day."

// storyteller answers with a document of the rest of tale, in the form that
// frame gives it. The first attempt gets the fault of its X-Test-Id.
func storyteller(frame func(doc string) []upstream.Step, fault func(n int) upstream.Step) upstream.Handler {
	var seen sync.Map
	return func(r *upstream.Request) upstream.Script {
		turns, err := r.Contents()
		n, numErr := strconv.Atoi(r.Header.Get("X-Test-Id"))
		if err != nil || numErr != nil {
			return upstream.Script{upstream.ErrorBody(400, "INVALID_ARGUMENT", fmt.Sprint(err, numErr), 0)}
		}
		if len(turns) == 1 {
			var script upstream.Script
			if _, again := seen.LoadOrStore(n, true); !again {
				script = steps(fault(n))
			}
			return append(script, frame(docOf(tale, "STOP"))...)
		}
		if len(turns) != 3 || turns[1].Role != "model" || turns[1].Text == "" || !strings.HasPrefix(tale, turns[1].Text) {
			return upstream.Script{upstream.ErrorBody(400, "INVALID_ARGUMENT", fmt.Sprintf("turns %+v", turns), 0)}
		}
		return frame(docOf(tale[len(turns[1].Text):], "STOP"))
	}
}

func TestUnaryCutAtEveryByte(t *testing.T) {
	t.Parallel()
	body := len(docOf(tale, "STOP"))
	length := func(doc string) []upstream.Step { return steps(json200(doc)) }
	chunks := func(doc string) []upstream.Step { return chunked200(doc, 40) }
	kinds := []struct {
		name  string
		frame func(string) []upstream.Step
		cut   func(n int) upstream.Step
		upTo  int
	}{
		{"length, FIN", length, func(n int) upstream.Step { return upstream.LimitBody(n, upstream.FIN) }, body},
		{"length, RST", length, func(n int) upstream.Step { return upstream.LimitBody(n, upstream.RST) }, body},
		{"chunks, on the wire", chunks, func(n int) upstream.Step { return upstream.LimitWire(n, upstream.FIN) }, body + 8*(body/40+1)},
		{"chunks, a clean end", chunks, func(n int) upstream.Step { return upstream.LimitBody(n, upstream.Clean) }, body},
	}
	step := 1
	if raceEnabled || testing.Short() {
		step = 5
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			s.up.SetHandler(storyteller(kind.frame, kind.cut))
			for n := 0; n < kind.upTo; n += step {
				a := s.ask(unaryPath, s.body, "X-Test-Id", strconv.Itoa(n))
				r, err := parsed(a.body)
				if a.err != nil || err != nil || a.status != 200 || r.text() != tale || strings.Count(a.body, `"finishReason":`) != 1 || len(r.Candidates[0].Content.Parts) != 1 {
					t.Fatalf("cut after %d: %d %v %v\n%s", n, a.status, a.err, err, a.body)
				}
			}
		})
	}
}

// Every attempt is cut, a few characters on. The model repeats what it is asked
// to repeat, or goes on from its own words.
func TestUnaryCutAgainAndAgain(t *testing.T) {
	t.Parallel()
	for mode, sizes := range map[string][]int{"prompt": {200, 230, 260}, "prefill": {160, 170, 200, 260}} {
		for _, size := range sizes {
			s := newStage(t, func(c *proxy.Config) {
				c.ContinueMode, c.ContinuePrompt = mode, proxy.DefaultConfig().ContinuePrompt
			})
			s.up.SetHandler(func(r *upstream.Request) upstream.Script {
				turns, _ := r.Contents()
				left := tale
				if len(turns) > 1 {
					from := len(turns[1].Text)
					if !strings.HasPrefix(tale, turns[1].Text) {
						return upstream.Script{upstream.ErrorBody(400, "INVALID_ARGUMENT", turns[1].Text, 0)}
					}
					if _, anchor, ok := strings.Cut(turns[len(turns)-1].Text, "<<<"); ok {
						anchor, _, _ = strings.Cut(anchor, ">>>")
						from -= len(anchor)
					}
					left = tale[from:]
				}
				return append(steps(upstream.LimitBody(size, upstream.FIN)), json200(docOf(left, "STOP")))
			})
			r, err := parsed(s.ask(unaryPath, s.body).body)
			if err != nil || r.text() != tale || r.Candidates[0].FinishReason != "STOP" || s.up.Count() < 2 {
				t.Errorf("%s, %d bytes: %d attempts, %v %+v", mode, size, s.up.Count(), err, r)
			}
		}
	}
}

func TestUnaryViaStreamCutInEveryEvent(t *testing.T) {
	t.Parallel()
	events := upstream.Events(tale, 10)
	body := len(strings.Join(events, ""))
	for _, how := range []upstream.How{upstream.FIN, upstream.RST, upstream.Clean} {
		s := newStage(t, func(c *proxy.Config) { c.UnaryViaStream = true })
		m := &upstream.Model{Answer: tale, Piece: 10, Fault: func(attempt int, r *upstream.Request) []upstream.Step {
			if n, err := strconv.Atoi(r.Header.Get("X-Test-Id")); err == nil && attempt == 0 {
				return steps(upstream.LimitBody(n, how))
			}
			return nil
		}}
		s.up.SetHandler(m.Handle)
		step := 7 // no divisor of an event's length
		if raceEnabled || testing.Short() {
			step = 61
		}
		for n := 0; n < body; n += step {
			a := s.ask(unaryPath, s.body, "X-Test-Id", strconv.Itoa(n))
			r, err := parsed(a.body)
			if a.err != nil || err != nil || a.status != 200 || r.text() != tale || strings.Count(a.body, `"finishReason":`) != 1 || len(r.Candidates[0].Content.Parts) != 1 {
				t.Fatalf("cut after %d: %d %v %v\n%s", n, a.status, a.err, err, a.body)
			}
			if got := r.UsageMetadata; got.PromptTokenCount != upstream.PromptTokens || got.TotalTokenCount != got.PromptTokenCount+got.CandidatesTokenCount {
				t.Fatalf("cut after %d: usage %+v", n, got)
			}
		}
	}
}
