package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/coder/websocket"

	"gemini-resilient-proxy/bench/upstream"
)

// resident returns the memory that a process holds, as memory does.
func resident(pid int) int64 { return memory(pid, "VmRSS:") }

// echo sends every message of a WebSocket back.
func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		kind, b, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, b) != nil {
			return
		}
	}
}

// TestThousandTunnels opens a thousand WebSockets through the program, speaks
// on all of them also while it drains, and sees all of them closed when the
// drain is over.
func TestThousandTunnels(t *testing.T) {
	const many = 1000
	far := httptest.NewServer(http.HandlerFunc(echo))
	defer far.Close()
	s := serving(t, upstream.Always(nil), "UPSTREAM_URL_BASE="+far.URL, "DRAIN_TIMEOUT=2s", "ADMIN_ADDR=")
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.public)
		},
	}}
	ctx, cancel := context.WithTimeout(t.Context(), lifetime)
	defer cancel()
	before := resident(s.cmd.Process.Pid)
	conns := make([]*websocket.Conn, many)
	each := func(what string, f func(i int) error) {
		t.Helper()
		var wg sync.WaitGroup
		gate := make(chan struct{}, 50)
		for i := range conns {
			gate <- struct{}{}
			wg.Go(func() {
				defer func() { <-gate }()
				if err := f(i); err != nil {
					t.Errorf("%s: tunnel %d: %v", what, i, err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	speak := func(i int) error {
		want := fmt.Sprintf("tunnel %d says %s", i, strings.Repeat("x", i))
		if err := conns[i].Write(ctx, websocket.MessageText, []byte(want)); err != nil {
			return err
		}
		_, got, err := conns[i].Read(ctx)
		if err == nil && string(got) != want {
			err = fmt.Errorf("got %q", got)
		}
		return err
	}
	each("open", func(i int) (err error) {
		conns[i], _, err = websocket.Dial(ctx, "ws://proxy/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent?key=k",
			&websocket.DialOptions{HTTPClient: client})
		return err
	})
	defer func() {
		for _, c := range conns {
			c.CloseNow()
		}
	}()
	each("speak", speak)
	if after := resident(s.cmd.Process.Pid); after > 0 && before > 0 {
		t.Logf("%d tunnels: %d KiB each", many, (after-before)>>10/many)
		if after > before+many*(64<<10) && !raceEnabled {
			t.Errorf("memory %d -> %d MiB", before>>20, after>>20)
		}
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.told("STOPPING=1")
	speak(0) // may come too late on a slow machine
	each("end", func(i int) error {
		_, _, err := conns[i].Read(ctx)
		if err == nil || ctx.Err() != nil {
			return fmt.Errorf("it was not closed: %v", err)
		}
		return nil
	})
	s.ends(0)
	if n := strings.Count(s.stderr.String(), "kind=tunnel"); n != many {
		t.Errorf("%d tunnels in the log", n)
	}
	if strings.Contains(s.stderr.String(), "panic") {
		t.Error(tail(s.stderr.String()))
	}
}

func tail(s string) string { return s[max(0, len(s)-4000):] }
