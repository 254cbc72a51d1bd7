package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gemini-resilient-proxy/bench/upstream"
)

// A slow client takes so many bytes, then waits.
const (
	slowBytes = 8 << 10
	slowPause = 30 * time.Millisecond
)

// slow reads a long answer, which is cut at its middle, at a quarter of a MiB a
// second. Upstream and proxy have to wait for it.
func (c *client) slow(n int, due moment) (verdict, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := &surfaces[0]
	req, err := http.NewRequestWithContext(ctx, "POST", c.proxy+s.target(slowModel), strings.NewReader(s.ask(slowModel, "Tell all of it.")))
	if err != nil {
		return wrong, err
	}
	req.Header.Set("X-Test-Id", strconv.Itoa(n)) // attempts are counted by it
	resp, err := c.slowly.Do(req)
	if err != nil {
		return c.broken(ctx, fmt.Errorf("slow reader: %w", err))
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode}
	if err := s.read(&slowReader{r: resp.Body}, a.add); err != nil {
		a.fail(err.Error())
	}
	if ctx.Err() != nil {
		return hung, fmt.Errorf("slow reader: %d bytes in %v", a.text.Len(), patience)
	}
	v, err := a.judge(upstream.Faults[0], longAnswer)
	if err != nil {
		err = fmt.Errorf("slow reader: %w", err)
	}
	return v, err
}

// slowReader waits after every slowBytes.
type slowReader struct {
	r io.Reader
	n int
}

func (s *slowReader) Read(p []byte) (int, error) {
	if s.n >= slowBytes {
		s.n = 0
		time.Sleep(slowPause)
	}
	n, err := s.r.Read(p[:min(len(p), slowBytes)])
	s.n += n
	return n, err
}

// leave asks and goes away: before the answer, or somewhere in it, also where
// it is broken and the upstream silent.
func (c *client) leave(n int, due moment) (verdict, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	text, mark := question(n)
	defer c.scripted.faulty.Forget(mark)
	s := &surfaces[rand.IntN(len(surfaces))]
	all := faultsOf(s)
	f := all[rand.IntN(len(all))]
	events := rand.IntN(12)
	if events == 0 || !s.streams() {
		time.AfterFunc(time.Duration(rand.IntN(int(100*time.Millisecond))), cancel)
	}
	resp, err := c.post(ctx, c.through, c.proxy+s.target(f.ModelName()), strings.NewReader(s.ask(f.ModelName(), text)))
	if err != nil {
		return left, nil
	}
	defer resp.Body.Close() // in mid-answer: the connection goes with it
	s.read(resp.Body, func(*message) {
		if events--; events == 0 {
			cancel()
		}
	})
	return left, nil
}
