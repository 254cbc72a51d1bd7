package upstream

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

const fable = "The fox said: „grapes <b>are</b> sour“ & left. 🦊🍇👨‍👩‍👧 Ende\n\n```go\nx := \"y\"\\n\n```\tdone."

// ask is a request body of turns that alternate between the given roles.
func ask(turns ...string) string {
	var b strings.Builder
	for i, text := range turns {
		role := "user"
		if i%2 == 1 {
			role = "model"
		}
		quoted, _ := json.Marshal(text)
		fmt.Fprintf(&b, `,{"role":%q,"parts":[{"text":%s}]}`, role, quoted)
	}
	return `{"contents":[` + strings.TrimPrefix(b.String(), ",") + `]}`
}

// text joins the text and the thoughts of a stream, and returns its last reason.
func text(t *testing.T, body string) (said, thought, reason string) {
	t.Helper()
	for event := range strings.SplitSeq(strings.TrimSuffix(body, "\r\n\r\n"), "\r\n\r\n") {
		var e struct {
			Candidates []struct {
				Content struct {
					Parts []struct {
						Text    string
						Thought bool
					}
				}
				FinishReason string
			}
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(event, "data: ")), &e); err != nil {
			continue // cut
		}
		for _, c := range e.Candidates {
			reason = c.FinishReason
			for _, p := range c.Content.Parts {
				if p.Thought {
					thought += p.Text
				} else {
					said += p.Text
				}
			}
		}
	}
	return said, thought, reason
}

func TestModelSendsTheEvents(t *testing.T) {
	for _, piece := range []int{0, 1, 7, 10_000} {
		u := start(t, (&Model{Answer: fable, Piece: piece}).Handle)
		c := dial(t, u)
		_, body, _ := c.send(post(ask("tell"))).response()
		same(t, "first", body, strings.Join(Events(fable, piece), ""))
		_, body, _ = c.send(post(ask("tell"))).response()
		same(t, "second", body, strings.Join(EventsOf(u.Requests()[1].ResponseID(), fable, piece), ""))
		if said, _, reason := text(t, body); said != fable || reason != "STOP" {
			t.Errorf("said %q, %s", said, reason)
		}
	}
	if got := Events("", 0); len(got) != 1 || !strings.Contains(got[0], `"finishReason": "STOP"`) {
		t.Errorf("events of nothing: %q", got)
	}
}

func TestModelContinues(t *testing.T) {
	f := func(name string, m *Model, body string, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			m.Answer = fable
			u := start(t, m.Handle)
			res, got, err := dial(t, u).send(post(body)).response()
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode == 400 {
				if !strings.Contains(got, want) || !strings.Contains(got, "INVALID_ARGUMENT") {
					t.Errorf("refused with %s, want %s", got, want)
				}
				return
			}
			if said, _, _ := text(t, got); said != want {
				t.Errorf("said %q, want %q", said, want)
			}
		})
	}
	f("begins", &Model{}, ask("tell"), fable)
	f("an empty request", &Model{}, `{}`, fable)
	f("continues", &Model{}, ask("tell", fable[:7], "go on"), fable[7:])
	f("continues after a history", &Model{}, ask("hi", "hello", "tell", fable[:7], "go on"), fable[7:])
	f("has nothing left", &Model{}, ask("tell", fable, "go on"), "")
	f("repeats", &Model{Repeat: 3}, ask("tell", fable[:7], "go on"), fable[4:])
	f("repeats no more than was said", &Model{Repeat: 30}, ask("tell", fable[:7], "go on"), fable)
	f("does not repeat at the start", &Model{Repeat: 3}, ask("tell"), fable)
	f("no prefix", &Model{}, ask("tell", "Das", "go on"), "not a prefix of the answer")
	f("longer than the answer", &Model{}, ask("tell", fable+" ", "go on"), "not a prefix of the answer")
	f("empty model turn", &Model{}, ask("tell", "", "go on"), "empty model turn")
	f("model turn last", &Model{}, ask("tell", fable[:7]), "ending with a model turn")
	f("no JSON", &Model{}, `{"contents":`, "Invalid JSON")
	history := func(turns []Turn) (string, bool) { return turns[1].Text, turns[len(turns)-1].Text == "go on" }
	f("own rule says new", &Model{Prefixed: history}, ask("a", "b", "c"), fable)
	f("own rule says continue", &Model{Prefixed: history}, ask("a", fable[:7], "go on"), fable[7:])
}

func TestModelContinuesFromEveryRune(t *testing.T) {
	u := start(t, (&Model{Answer: fable, Piece: 5}).Handle)
	c := dial(t, u)
	for i := range fable {
		if i == 0 {
			continue
		}
		_, body, _ := c.send(post(ask("tell", fable[:i], "go on"))).response()
		if said, _, _ := text(t, body); fable[:i]+said != fable {
			t.Fatalf("from %d: %q", i, said)
		}
	}
}

func TestModelExtras(t *testing.T) {
	m := &Model{Answer: "abc", Thoughts: "hmm", Finish: "MAX_TOKENS", Wait: time.Microsecond, Piece: 1}
	u := start(t, m.Handle)
	_, body, _ := dial(t, u).send(post(ask("tell", "a", "go on"))).response()
	if said, thought, reason := text(t, body); said != "bc" || thought != "hmm" || reason != "MAX_TOKENS" {
		t.Errorf("said %q, thought %q, %s", said, thought, reason)
	}
	if !strings.Contains(body, `"promptTokenCount": 8,`) {
		t.Errorf("the prompt of a continuation is not longer: %s", excerpt(body))
	}
}

func TestModelFaults(t *testing.T) {
	var attempts []string
	m := &Model{
		Answer:   fable,
		Thoughts: "hmm",
		Wait:     time.Hour, // an answer that is over does not wait
		Fault: func(n int, r *Request) []Step {
			attempts = append(attempts, fmt.Sprint(n, r.Header.Get("X-Test-Id")))
			return []Step{ErrorBody(503, "UNAVAILABLE", "busy", 0)}
		},
	}
	u := start(t, m.Handle)
	c := dial(t, u)
	for _, request := range []string{
		post(ask("x")), post(ask("x")), post(ask("y")), post(ask("x", fable[:3], "go on")),
		post(ask("x"), "X-Test-Id: t"), post(ask("y"), "X-Test-Id: t"),
	} {
		if res, _, err := c.send(request).response(); err != nil || res.StatusCode != 503 {
			t.Errorf("%d, %v", res.StatusCode, err)
		}
	}
	same(t, "attempts", strings.Join(attempts, " "), "0 1 0 2 0t 1t")
	if m.Attempts("x") != 3 || m.Attempts("t") != 2 || m.Attempts("z") != 0 {
		t.Errorf("attempts of x %d, t %d, z %d", m.Attempts("x"), m.Attempts("t"), m.Attempts("z"))
	}
}

// Each stream is cut three times at a byte of its own and continued.
func TestModelServesManyStreams(t *testing.T) {
	answer := strings.Repeat(fable, 5)
	m := &Model{Answer: answer, Fault: func(n int, r *Request) []Step {
		if n == 3 {
			return nil
		}
		return []Step{LimitBody(600+(r.Seq*37)%1500, How(n))}
	}}
	u := start(t, m.Handle)
	u.SetRecord(false)
	const streams = 500
	var wg sync.WaitGroup
	for i := range streams {
		wg.Go(func() {
			said := ""
			for range 4 {
				turns := []string{fmt.Sprint("stream ", i)}
				if said != "" {
					turns = append(turns, said, "go on")
				}
				more, err := fetch(u, post(ask(turns...), "Connection: close"))
				if err != nil {
					t.Error(err)
					return
				}
				now, _, _ := text(t, more)
				said += now
			}
			if said != answer {
				t.Errorf("stream %d: %s", i, excerpt(said))
			}
		})
	}
	wg.Wait()
	if u.Count() != 4*streams || len(u.Requests()) != 0 {
		t.Errorf("%d requests, %d recorded", u.Count(), len(u.Requests()))
	}
}

// fetch returns the body of one answer as far as it came.
func fetch(u *Upstream, request string) (string, error) {
	c, err := net.Dial("tcp", u.Addr())
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * patience))
	if _, err := io.WriteString(c, request); err != nil {
		return "", err
	}
	return chunks(c), nil
}
