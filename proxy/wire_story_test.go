package proxy_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gemini-resilient-proxy/proxy"
)

var (
	wireSeed    = flag.Uint64("wire.seed", 0, "seed of TestWireForms; 0 takes one from the clock")
	wireStories = flag.Int("wire.stories", 100, "stories of TestWireForms")
)

func oneOf(r *rand.Rand, all []string) string { return all[r.IntN(len(all))] }

// newWireStory makes the attempts of one answer. Continuations go on, repeat,
// start over, or say something first.
func newWireStory(r *rand.Rand, t *wireTongue) (story []wireAttempt) {
	var answer []string
	for range 5 + r.IntN(60) {
		answer = append(answer, oneOf(r, wirePieces))
	}
	at := 0
	for k := range 1 + r.IntN(4) {
		var a wireAttempt
		if k > 0 && r.IntN(6) == 0 {
			a.payloads = append(a.payloads, t.payload(r, t.plain[0], oneOf(r, []string{`Here is the rest:\n\n`, "```json\\n", " ", `\n`, "Sure. "}), k))
		}
		usual, from := oneOf(r, t.plain[:3]), []int{at, at, 0, max(0, at-5), max(0, at-r.IntN(20))}[r.IntN(5)]
		for at = min(len(answer), at+r.IntN(len(answer))); from < at; {
			to := min(at, from+1+r.IntN(4))
			shape := usual
			switch r.IntN(60) {
			case 0:
				shape = oneOf(r, t.last)
			case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12:
				shape = oneOf(r, t.plain)
			}
			a.payloads = append(a.payloads, t.payload(r, shape, strings.Join(answer[from:to], ""), k))
			from = to
		}
		switch n := len(a.payloads); r.IntN(7) {
		case 0, 1:
			a.payloads = append(a.payloads, t.payload(r, oneOf(r, t.last), oneOf(r, wirePieces), k))
		case 2:
			if n > 0 {
				a.torn = 1 + r.IntN(len(a.payloads[n-1])-1)
			}
		}
		if t.chat && a.torn == 0 {
			switch r.IntN(8) {
			case 0, 1, 2, 3:
				a.payloads = append(a.payloads, "[DONE]")
			case 4:
				a.payloads = slices.Insert(a.payloads, r.IntN(len(a.payloads)+1), "[DONE]")
			}
		}
		a.cut = r.IntN(2) == 0
		story = append(story, a)
	}
	return append(story, wireAttempt{payloads: []string{t.payload(r, t.plain[0], " and", 9), t.payload(r, t.last[0], " end.", 9)}})
}

// wireTeller is an upstream that tells stories, known by their X-Test-Id, in any
// form.
type wireTeller struct {
	l   net.Listener
	mu  sync.Mutex
	all map[string]*wireTelling
}

type wireTelling struct {
	story []wireAttempt
	form  func(attempt int) (wireForm, *rand.Rand)
	asked []string // the bodies of the requests
}

func newWireTeller(t testing.TB) *wireTeller {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wireTeller{l: l, all: map[string]*wireTelling{}}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { w.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); open.Wait() })
	return w
}

// serve tells one attempt.
func (w *wireTeller) serve(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	told := w.all[r.Header.Get("X-Test-Id")]
	n := len(told.asked)
	told.asked = append(told.asked, string(body))
	w.mu.Unlock()
	form, rnd := told.form(n)
	form.write(rnd, c, form.response(rnd, told.story[min(n, len(told.story)-1)]))
}

// apart hides what a connection is, so that no loop carries its streams.
type apart struct{ net.Listener }

func (l apart) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return struct{ net.Conn }{c}, err
}

// front starts a proxy before the teller.
func (w *wireTeller) front(t testing.TB, wrap func(net.Listener) net.Listener) (addr string) {
	cfg := proxy.DefaultConfig()
	cfg.UpstreamURLBase = "http://" + w.l.Addr().String()
	cfg.RetryBaseDelay, cfg.RetryMaxDelay = time.Microsecond, time.Microsecond
	cfg.ContinueMode = "prompt"
	s, err := proxy.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(wrap(l)) }()
	t.Cleanup(func() {
		s.Drain(t.Context())
		<-served
	})
	return l.Addr().String()
}

// TestWireForms: what a client gets of a story, and what is asked of the
// upstream, does not depend on the form that it is told in, nor on who carries
// the stream.
func TestWireForms(t *testing.T) {
	seed := *wireSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test ./proxy -run TestWireForms -wire.seed %d", seed)
	w := newWireTeller(t)
	fronts := []string{w.front(t, func(l net.Listener) net.Listener { return l }), w.front(t, func(l net.Listener) net.Listener { return apart{l} })}
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	s := &stage{rig: &rig{t: t}, client: tr}
	healed := 0
	for n := range *wireStories {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		tongue := wireTongues[r.IntN(len(wireTongues))]
		story := newWireStory(r, tongue)
		target, question := oneOf(r, tongue.targets), oneOf(r, tongue.questions)
		var first answer
		var asked []string
		for k := range 6 {
			id := fmt.Sprint(n, "-", k)
			told := &wireTelling{story: story, form: func(attempt int) (wireForm, *rand.Rand) {
				r := rand.New(rand.NewPCG(seed+uint64(k), uint64(n<<8+attempt)))
				if k < 2 {
					return wireForm{eol: "\r\n", space: " "}, r
				}
				f := newWireForm(r)
				f.array = f.array && !tongue.chat
				return f, r
			}}
			w.mu.Lock()
			w.all[id] = told
			w.mu.Unlock()
			began := time.Now()
			a := s.send("http://"+fronts[k%2]+target, question, "X-Test-Id", id)
			switch {
			case time.Since(began) > 900*time.Millisecond:
				// Text that was held for so long may join in another way.
			case k == 0:
				if err := tongue.sound(a); err != nil {
					t.Fatalf("story %d: %v\n%s\n%+v", n, err, a.body, story)
				}
				if first, asked = a, told.asked; a.status == 200 && len(asked) > 1 {
					healed++
				}
			case asked == nil:
			case a.status != first.status || fmt.Sprint(a.err) != fmt.Sprint(first.err) || a.body != first.body || !slices.Equal(told.asked, asked):
				t.Fatalf("story %d, form %d: %d %v, %d attempts\n%s\nin the API's form: %d %v, %d attempts\n%s\n%+v",
					n, k, a.status, a.err, len(told.asked), a.body, first.status, first.err, len(asked), first.body, story)
			}
		}
	}
	if healed < *wireStories/2 {
		t.Errorf("%d of %d stories took more than one attempt", healed, *wireStories)
	}
}
