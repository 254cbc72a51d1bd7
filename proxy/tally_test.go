package proxy_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// gatedLog is a log that holds the line of each request until it may be written.
type gatedLog struct {
	slog.Handler
	open chan struct{}
}

func (g *gatedLog) Handle(ctx context.Context, line slog.Record) error {
	if line.Message == "request" {
		<-g.open
	}
	return g.Handler.Handle(ctx, line)
}

func newGatedRig(t *testing.T, change func(*proxy.Config)) *rig {
	open := make(chan struct{})
	r := newRigLogging(t, nil, func(w io.Writer) slog.Handler { return &gatedLog{slog.NewJSONHandler(w, debugLevel), open} }, change)
	t.Cleanup(func() { close(open) })
	return r
}

// TestTheEndComesAfterAll: who has the end of an answer may ask for the next,
// also where only one request may run, and finds the answer in the metrics. A log
// that cannot be written does not hold the end.
func TestTheEndComesAfterAll(t *testing.T) {
	t.Parallel()
	for name, e := range answersOfTwo() {
		for _, apart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/apart=%t", name, apart), func(t *testing.T) {
				t.Parallel()
				r := newGatedRig(t, func(c *proxy.Config) { c.MaxStreams, c.MaxQueue = 1, 0 })
				kind := "heal"
				if e.kind == "application/json" && e.target != arrayPath {
					kind = "relay"
				}
				for i := range 5 {
					r.endsAtOnce(r.wire(), e, apart)
					series := fmt.Sprintf(`gemini_proxy_requests_total{code="2xx",group="default",kind=%q}`, kind)
					if n := r.series()[series]; n != fmt.Sprint(i+1) {
						t.Fatalf("%s is %q after %d answers", series, n, i+1)
					}
				}
			})
		}
	}
}

// TestHealedIsCountedByItsEnd is the same for what is known of healed answers.
func TestHealedIsCountedByItsEnd(t *testing.T) {
	t.Parallel()
	r := newGatedRig(t, nil)
	r.up.SetHandler(upstream.InTurn(upstream.Script{upstream.Text(first), upstream.Reset()}, rest))
	if _, body, err := r.post(streamPath, ask("go")); err != nil || !strings.Contains(body, "STOP") {
		t.Fatalf("%q, %v", body, err)
	}
	all := r.series()
	for series, want := range map[string]string{
		`gemini_proxy_healed_total{group="default"}`: "1",
		`gemini_proxy_stream_events_total`:           "2",
		`gemini_proxy_seam_gap_seconds_count`:        "1",
	} {
		if all[series] != want {
			t.Errorf("%s is %q, want %s", series, all[series], want)
		}
	}
	if n := r.server.Healed(); n != 1 {
		t.Errorf("%d healed", n)
	}
}

// TestDownloadIsCountedByItsEnd is the same for a body of a known size, which
// ends without anything behind it.
func TestDownloadIsCountedByItsEnd(t *testing.T) {
	t.Parallel()
	r := newGatedRig(t, func(c *proxy.Config) { c.MaxStreams, c.MaxQueue = 1, 0 })
	body := strings.Repeat("0123456789abcdef", 64<<10)
	r.up.SetHandler(upstream.Always(upstream.Script{upstream.Status(200, nil, body)}))
	for range 5 {
		w := r.wire()
		w.send("GET /v1beta/files/x:download?alt=media HTTP/1.1\r\nHost: a\r\n\r\n")
		if resp, got, err := w.reply("GET"); err != nil || resp.StatusCode != 200 || got != body {
			t.Fatalf("%v, %d bytes, %v", resp, len(got), err)
		}
	}
}

// TestWasteBeforeWhatIsPassedOn: tokens of an answer that was begun anew are counted
// also where the next attempt is answered with something that is passed on.
func TestWasteBeforeWhatIsPassedOn(t *testing.T) {
	t.Parallel()
	const usage = `"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":7,"totalTokenCount":12}`
	const nothing = `{"candidates":[{"content":{"parts":[],"role":"model"},"finishReason":"STOP"}],` + usage + `}`
	const no = `{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}`
	for _, target := range []string{streamPath, unaryPath} {
		first := steps(upstream.Head(200, upstream.Chunked, "Content-Type", "text/event-stream"), upstream.Send("data: "+nothing+"\r\n\r\n"))
		if target == unaryPath {
			first = steps(upstream.Head(200, upstream.Chunked, "Content-Type", "application/json"), upstream.Send(nothing))
		}
		for _, framing := range []upstream.Framing{upstream.Chunked, upstream.Length(int64(len(no)))} {
			for name, send := range map[string]upstream.Step{"whole": upstream.Send(no), "pieces": upstream.Sliced(1, upstream.Send(no))} {
				s := newStage(t, nil)
				s.up.SetHandler(upstream.InTurn(first, steps(upstream.Head(400, framing, "Content-Type", "application/json"), send)))
				a := s.ask(target, s.body)
				s.idle()
				wasted := s.counted(`gemini_proxy_wasted_tokens_total{group="default"}`)
				if a.err != nil || a.status != 400 || a.body != no || s.up.Count() != 2 || wasted != 7 {
					t.Errorf("%s, framing %d, %s: %d %q %v, %d attempts, %v tokens wasted, want 7", target, framing, name, a.status, a.body, a.err, s.up.Count(), wasted)
				}
			}
		}
	}
}

// TestWasteOfWhatIsGivenUp: tokens count also where no answer has begun: every
// attempt failed, the client has left, the time was over, or there is only a part
// of a document.
func TestWasteOfWhatIsGivenUp(t *testing.T) {
	t.Parallel()
	const usage = `,"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":4,"thoughtsTokenCount":3,"totalTokenCount":12}}`
	const nothing = `{"candidates":[{"content":{"parts":[],"role":"model"},"finishReason":"STOP"}]` + usage
	const part = `{"candidates":[{"content":{"parts":[{"text":"a part of it"}],"role":"model"}}]` + usage
	events := func(data string) upstream.Script {
		return steps(upstream.Head(200, upstream.Chunked, "Content-Type", "text/event-stream"), upstream.Send("data: "+data+"\r\n\r\n"))
	}
	document := steps(json200(nothing))
	for name, c := range map[string]struct {
		target        string
		via           bool
		first, second upstream.Script
		leaves        bool
		deadline      time.Duration
		status        int
	}{
		"stream fails":        {target: streamPath, first: events(nothing), second: status(503, `{}`), status: 503},
		"stream is left":      {target: streamPath, first: events(nothing), second: steps(upstream.Stall()), leaves: true, status: 499},
		"stream is late":      {target: streamPath, first: events(nothing), second: steps(upstream.Stall()), deadline: time.Second, status: 200},
		"document fails":      {target: unaryPath, first: document, second: status(503, `{}`), status: 503},
		"document is left":    {target: unaryPath, first: document, second: steps(upstream.Stall()), leaves: true, status: 499},
		"document is late":    {target: unaryPath, first: document, second: steps(upstream.Stall()), deadline: time.Second, status: 200},
		"document is a part":  {target: unaryPath, via: true, first: events(part), second: steps(upstream.Cut()), status: 502},
		"part, and it leaves": {target: unaryPath, via: true, first: events(part), second: steps(upstream.Stall()), leaves: true, status: 499},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, func(cfg *proxy.Config) {
				cfg.MaxConsecutiveFailures, cfg.UnaryViaStream = 1, c.via
				if c.deadline > 0 {
					cfg.StreamDeadline = c.deadline
				}
			})
			s.up.SetHandler(upstream.InTurn(c.first, c.second))
			w := s.dial()
			fmt.Fprintf(w, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", c.target, len(s.body), s.body)
			s.arrived(1)
			if c.leaves {
				w.Close()
			} else if _, err := reader(w).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if got := s.logged(1, "status"); got != float64(c.status) {
				t.Errorf("status %v, want %d", got, c.status)
			}
			if wasted := s.counted(`gemini_proxy_wasted_tokens_total{group="default"}`); wasted != 7 {
				t.Errorf("%v tokens wasted, want 7", wasted)
			}
		})
	}
}
