package proxy_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

// TestChatCutAtEveryByte cuts an OpenAI-compatible answer at every byte of its
// body, and of its chunked framing.
func TestChatCutAtEveryByte(t *testing.T) {
	t.Parallel()
	text := prose[:1024]
	for !strings.HasPrefix(prose, strings.ToValidUTF8(text, "")) || strings.ToValidUTF8(text, "") != text {
		text = text[:len(text)-1]
	}
	const piece = 120
	s := newChatStage(t, nil)
	m := &upstream.Model{Answer: text, Piece: piece}
	s.up.SetHandler(m.Handle)
	body := len(s.ask(chatPath, s.body, "X-Test-Id", "whole").body)
	step := 1
	if raceEnabled || testing.Short() {
		step = 7
	}
	for i, kind := range []struct {
		name string
		cut  func(n int) upstream.Step
		upTo int
	}{
		{"FIN", func(n int) upstream.Step { return upstream.LimitBody(n, upstream.FIN) }, body},
		{"RST", func(n int) upstream.Step { return upstream.LimitBody(n, upstream.RST) }, body},
		{"clean", func(n int) upstream.Step { return upstream.LimitBody(n, upstream.Clean) }, body},
		{"chunks", func(n int) upstream.Step { return upstream.LimitWire(n, upstream.FIN) }, body + 100},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := newChatStage(t, nil)
			m := &upstream.Model{Answer: text, Piece: piece, Fault: func(attempt int, r *upstream.Request) []upstream.Step {
				if n, err := strconv.Atoi(r.Header.Get("X-Test-Id")); err == nil && attempt == 0 {
					return []upstream.Step{kind.cut(n)}
				}
				return nil
			}}
			s.up.SetHandler(m.Handle)
			s.up.SetRecord(false)
			offsets := make(chan int)
			var workers sync.WaitGroup
			for range 8 {
				workers.Go(func() {
					for n := range offsets {
						if err := s.chatCutAt(n, text); err != nil {
							t.Errorf("cut at %d of %d: %v", n, kind.upTo, err)
						}
					}
				})
			}
			for n := i; n <= kind.upTo && !t.Failed(); n += step {
				offsets <- n
			}
			close(offsets)
			workers.Wait()
		})
	}
}

// chatCutAt asks for the answer that is cut at offset n.
func (s *stage) chatCutAt(n int, text string) error {
	a := s.ask(chatPath, s.body, "X-Test-Id", strconv.Itoa(n))
	if a.err != nil || a.status != 200 {
		return fmt.Errorf("status %d, %w", a.status, a.err)
	}
	r, err := readChat(a.body)
	if err == nil {
		err = r.whole(text, "stop")
	}
	if err != nil {
		return err
	}
	tokens := (len([]rune(text)) + 3) / 4
	if u := r.usage; u.Prompt != upstream.PromptTokens || u.Completion < tokens || u.Completion > tokens+1 || u.Total != u.Prompt+u.Completion {
		return fmt.Errorf("usage %+v", u)
	}
	return nil
}
