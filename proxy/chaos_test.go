package proxy_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

var chaosSeed = flag.Uint64("chaos.seed", 0, "seed of TestChaos; 0 takes one from the clock")

// chaos breaks each conversation, known by its X-Test-Id, up to ten times in
// ways that follow from the seed.
type chaos struct {
	seed uint64
	mu   sync.Mutex
	byID map[string]*trouble
	m    upstream.Model
}

// trouble is what one conversation still has before it.
type trouble struct {
	mu   sync.Mutex
	rnd  *rand.Rand
	left int
}

func newChaos(seed uint64) *chaos {
	return &chaos{seed: seed, byID: map[string]*trouble{}, m: upstream.Model{Answer: prose, Piece: 100, Thoughts: "hm"}}
}

// answer is the handler.
func (c *chaos) answer(r *upstream.Request) upstream.Script {
	id := r.Header.Get("X-Test-Id")
	c.mu.Lock()
	t := c.byID[id]
	if t == nil {
		n, _ := strconv.ParseUint(id, 10, 64)
		t = &trouble{rnd: rand.New(rand.NewPCG(c.seed, n))}
		t.left = 1 + t.rnd.IntN(10)
		c.byID[id] = t
	}
	c.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left == 0 {
		return c.m.Handle(r)
	}
	t.left--
	return t.breaks(c.m.Handle(r), r)
}

// breaks returns script, broken.
func (t *trouble) breaks(script upstream.Script, r *upstream.Request) upstream.Script {
	bytes := t.rnd.IntN(7000)
	if t.rnd.IntN(3) == 0 {
		bytes /= 10
	}
	limit := func(how upstream.How) upstream.Script {
		return append(steps(upstream.LimitBody(bytes, how)), script...)
	}
	then := func(end ...upstream.Step) upstream.Script {
		text := strings.TrimPrefix(prose, said(r))
		for n := t.rnd.IntN(1 + min(1500, len(text))); n < len(text); n++ {
			if c := text[n]; c < 0x80 || c >= 0xc0 { // the start of a character
				return append(steps(upstream.Say(text[:n], 100, 0, "")), end...)
			}
		}
		return end
	}
	switch t.rnd.IntN(16) {
	case 0, 1:
		return limit(upstream.FIN)
	case 2, 3:
		return limit(upstream.RST)
	case 4, 5:
		return limit(upstream.Clean)
	case 6:
		return append(steps(upstream.LimitWire(bytes, upstream.FIN)), script...)
	case 7:
		return then(upstream.ErrorEvent(503, "UNAVAILABLE", "overloaded"))
	case 8:
		return then(upstream.ErrorRaw(500, "INTERNAL", "overloaded"))
	case 9:
		return then(upstream.TextFinish("never seen", "SAFETY"))
	case 10:
		return then(upstream.FinishBare("RECITATION"), upstream.Reset())
	case 11:
		return steps(upstream.ErrorBody(503, "UNAVAILABLE", "overloaded", 0))
	case 12:
		return steps(upstream.ErrorBody(429, "RESOURCE_EXHAUSTED", "slow down", 10*time.Millisecond))
	case 13:
		return steps(upstream.Cut())
	case 14:
		return append(steps(upstream.Gzip(), upstream.LF(), upstream.LimitBody(bytes/3, upstream.FIN)), script...)
	default:
		return then(upstream.Stall())
	}
}

// said is the text that a request asks to continue.
func said(r *upstream.Request) string {
	if turns, err := r.Contents(); err == nil && len(turns) > 2 {
		return turns[len(turns)-2].Text
	}
	return ""
}

// TestChaos runs many streams at once that all break, again and again. It does
// not run side by side with others: at its end it looks for what is left over.
func TestChaos(t *testing.T) {
	seed, streams := *chaosSeed, 500
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	if testing.Short() {
		streams = 50
	}
	t.Logf("go test -run TestChaos -chaos.seed %d", seed)
	before := leftovers()
	c := newChaos(seed)
	s := newStage(t, func(cfg *proxy.Config) {
		cfg.StallTimeout, cfg.FirstEventTimeout = 500*time.Millisecond, 2*time.Second
		cfg.MaxConsecutiveFailures, cfg.MaxAttempts = 30, 100
		cfg.DebugMode = false
	})
	s.up.SetHandler(c.answer)
	s.up.SetRecord(false)
	var all sync.WaitGroup
	for id := range streams {
		all.Go(func() {
			a := s.ask(streamPath, s.body, "X-Test-Id", strconv.Itoa(id))
			r, err := read(a.body)
			if err == nil {
				err = r.whole(prose, "STOP")
			}
			if err == nil && r.thoughts != "" && r.thoughts != "hm" {
				err = fmt.Errorf("thoughts %q", r.thoughts)
			}
			if a.err != nil || a.status != 200 || err != nil {
				t.Errorf("stream %d: %d, %v, %v", id, a.status, a.err, err)
			}
		})
	}
	all.Wait()
	if n := s.up.Count(); n < 2*streams {
		t.Errorf("%d attempts for %d streams: nothing was broken", n, streams)
	}
	t.Logf("%d streams, %d attempts", streams, s.up.Count())

	s.client.CloseIdleConnections()
	s.idle()
	s.once.Do(func() {
		s.server.Drain(context.Background())
		if err := <-s.served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if !s.up.Await(patience, func() bool { return s.up.OpenConns() == 0 && s.up.Live() == 0 }) {
			t.Errorf("%d upstream connections are left", s.up.OpenConns())
		}
		s.up.Close()
	})
	var after left
	if !eventually(func() bool {
		after = leftovers()
		return after.fds <= before.fds && after.goroutines <= before.goroutines
	}) {
		t.Errorf("%d descriptors and %d goroutines, before %d and %d\n%s", after.fds, after.goroutines, before.fds, before.goroutines, after.stacks)
	}
}

// left is what a server that has ended may leave behind.
type left struct {
	fds        int // open descriptors, 0 where they cannot be counted
	goroutines int // of the proxy, its libraries and the upstream
	stacks     string
}

func leftovers() (l left) {
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		l.fds = len(fds)
	}
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if sleeps(stack) {
			continue
		}
		for _, of := range []string{"gemini-resilient-proxy/proxy.", "bench/upstream.", "fasthttp.", "net/http."} {
			if strings.Contains(stack, of) {
				l.goroutines++
				l.stacks += stack + "\n\n"
				break
			}
		}
	}
	return l
}

// sleeps tells whether a goroutine is one of fasthttp's that look up from their
// sleep now and then, and only then see that their work is over.
func sleeps(stack string) bool {
	for _, f := range []string{"updateServerDate", "(*HostClient).connsCleaner", "(*workerPool).Start"} {
		if strings.Contains(stack, "time.Sleep(") && strings.Contains(stack, "fasthttp."+f) {
			return true
		}
	}
	return false
}
