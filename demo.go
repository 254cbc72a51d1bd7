package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// demoAnswer is what the model of the demonstration has to say, always.
const demoAnswer = `The sky is blue because air scatters short waves of light far more than long ones. ` +
	`Sunlight is a mix of all colours; on its way through the atmosphere its blue part is thrown about by the molecules, ` +
	`so that it reaches your eye from every direction, while the red part passes almost straight on. ` +
	`In the evening the light comes a longer way: the blue is gone before it gets to you, and what is left is the red of the sunset. ` +
	`Violet is scattered even more, but the sun sends less of it, the upper air keeps some, and our eyes care little for it. ` +
	`That is all there is to it: no paint, no mirror, no ocean, just very small things in the way of light.`

const demoQuestion = "Why is the sky blue?"

const demoPath = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"

// demoPace is the time between two events of an answer.
const demoPace = 10 * time.Millisecond

// demoBreak is one way for an answer to break.
type demoBreak struct {
	what string
	// steps play the break; piece is the part of the answer that comes next.
	steps func(piece string) upstream.Script
}

// demoBreaks are all the ways that the proxy heals. The first come before
// anything of the answer has; the order is that of the demonstration.
var demoBreaks = []demoBreak{
	{"503, overloaded", func(string) upstream.Script {
		return upstream.Script{upstream.ErrorBody(503, "UNAVAILABLE", "The model is overloaded.", 0)}
	}},
	{"429 with a delay", func(string) upstream.Script {
		return upstream.Script{upstream.ErrorBody(429, "RESOURCE_EXHAUSTED", "Please retry in 0.1s.", 100*time.Millisecond)}
	}},
	{"no answer at all", func(string) upstream.Script { return upstream.Script{upstream.Reset()} }},
	{"STOP without text", func(string) upstream.Script { return upstream.Script{upstream.Finish("STOP")} }},
	{"connection closed", after(upstream.Cut())},
	{"connection reset", after(upstream.Reset())},
	{"end without a finish", after(upstream.End())},
	{"silence", after(upstream.Stall())},
	{"SAFETY in mid-sentence", after(upstream.Finish("SAFETY"))},
	{"RECITATION", after(upstream.Finish("RECITATION"))},
	{"error as an event", after(upstream.ErrorEvent(503, "UNAVAILABLE", "The service is currently unavailable."))},
	{"error as bare JSON", after(upstream.ErrorRaw(500, "INTERNAL", "An internal error has occurred."))},
	{"half an event", after(upstream.Send(`data: {"candidates": [{"content": {"par`), upstream.Cut())},
	{"broken chunk", after(upstream.Wire("this is no chunk\r\n"), upstream.Cut())},
}

// after plays steps after a piece of the answer.
func after(steps ...upstream.Step) func(string) upstream.Script {
	return func(piece string) upstream.Script {
		return append(upstream.Script{upstream.Say(piece, 24, demoPace, "")}, steps...)
	}
}

// demonstration is the upstream that breaks, the proxy in front of it, and
// the terminal.
type demonstration struct {
	out    io.Writer
	up     *upstream.Upstream
	proxy  string // host:port
	page   string // host:port of the admin listener
	server *proxy.Server
	admin  *http.Server
	next   atomic.Int32 // which break comes next, for requests that name none
	played int          // how many breaks the request that is shown has had
	shown  int          // bytes of the answer that were printed
	broken sync.Map     // the runs of the table whose break was played
}

// runDemo shows an answer that survives every kind of break, and serves until
// it is interrupted.
func runDemo(stdout, stderr io.Writer) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	d := &demonstration{out: stdout}
	if err := d.start(); err != nil {
		fmt.Fprintln(stderr, "gemini-resilient-proxy:", err)
		return 1
	}
	defer d.stop()
	whole := d.oneRequest()
	whole = d.table() && whole
	if !whole {
		fmt.Fprintln(stderr, "gemini-resilient-proxy: an answer did not come whole")
		return 1
	}
	d.invite()
	ctx, cancel := context.WithCancel(context.Background())
	quiet := make(chan struct{})
	go func() { defer close(quiet); d.traffic(ctx) }()
	<-signals
	cancel()
	<-quiet
	return 0
}

func (d *demonstration) start() (err error) {
	if d.up, err = upstream.New(d.answer); err != nil {
		return err
	}
	cfg := proxy.DefaultConfig()
	cfg.UpstreamURLBase = d.up.URL()
	cfg.StallTimeout = 600 * time.Millisecond
	cfg.RetryBaseDelay = 50 * time.Millisecond
	// The model of the demonstration refuses to go on from its own turn, as
	// newer ones do.
	cfg.ContinueMode = "prompt"
	if d.server, err = proxy.New(cfg, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	d.server.ShowVersion(buildVersion())
	public, err := listenNear("127.0.0.1:8080")
	if err != nil {
		return err
	}
	admin, err := listenNear("127.0.0.1:9090")
	if err != nil {
		return err
	}
	d.proxy, d.page = public.Addr().String(), admin.Addr().String()
	d.admin = &http.Server{Handler: d.server.Admin(), ReadHeaderTimeout: 10 * time.Second}
	go d.server.Serve(public)
	go d.admin.Serve(admin)
	return nil
}

// listenNear listens on addr, or on another port when somebody else has it:
// any is as good.
func listenNear(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	return l, err
}

func (d *demonstration) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	d.server.Drain(ctx)
	d.admin.Close()
	d.up.Close()
}

// answer is the model: it repeats the words that it is asked to, goes on from
// the model turn it is sent, and breaks off in the way that is next. A request can ask for one break by name.
func (d *demonstration) answer(r *upstream.Request) upstream.Script {
	said, repeat := delivered(r)
	rest := demoAnswer[len(said):]
	if name := r.Header.Get("X-Demo-Break"); name != "" {
		return d.oneBreak(r, name, repeat, rest)
	}
	var n int
	if r.Header.Get("X-Demo-Show") != "" {
		n = min(d.played, len(demoBreaks))
		d.played++
		d.print(len(said), n)
	} else {
		n = int(d.next.Add(1)-1) % (len(demoBreaks) + 1)
	}
	if n == len(demoBreaks) {
		return upstream.Script{upstream.Say(repeat+rest, 24, demoPace, "STOP")}
	}
	return demoBreaks[n].steps(repeat + pieceOf(rest, n))
}

// delivered returns what a request says the client has got, and the last words
// of it that the model is asked to repeat.
func delivered(r *upstream.Request) (said, repeat string) {
	turns, err := r.Contents()
	if err != nil || len(turns) < 3 || !strings.HasPrefix(demoAnswer, turns[len(turns)-2].Text) {
		return "", ""
	}
	_, repeat, _ = strings.Cut(turns[len(turns)-1].Text, "<<<")
	repeat, _, _ = strings.Cut(repeat, ">>>")
	return turns[len(turns)-2].Text, repeat
}

// pieceOf is the part of the rest that comes before break n.
func pieceOf(rest string, n int) string {
	piece := len(rest) / (len(demoBreaks) + 1 - n)
	return rest[:piece]
}

// oneBreak breaks the first attempt of a request in the named way, and goes on
// to the end in the others.
func (d *demonstration) oneBreak(r *upstream.Request, name, repeat, rest string) upstream.Script {
	if _, again := d.broken.LoadOrStore(r.Header.Get("X-Demo-Run"), true); !again {
		for _, b := range demoBreaks {
			if b.what == name {
				return b.steps(rest[:len(rest)/2])
			}
		}
	}
	return upstream.Script{upstream.Say(repeat+rest, 24, demoPace, "STOP")}
}

// print shows what the client has got when attempt n begins, and what broke
// the one before.
func (d *demonstration) print(said, n int) {
	if n == 0 {
		return
	}
	d.segment(demoAnswer[d.shown:said], "✂ "+demoBreaks[n-1].what)
	d.shown = said
}

func (d *demonstration) segment(text, mark string) {
	const width = 66
	for len(text) > width {
		cut := strings.LastIndexByte(text[:width], ' ') + 1
		if cut == 0 {
			cut = width
		}
		fmt.Fprintf(d.out, "  │ %s\n", text[:cut])
		text = text[cut:]
	}
	fmt.Fprintf(d.out, "  │ %-*s %s\n", width, text, mark)
}
