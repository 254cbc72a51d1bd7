package proxy_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"gemini-resilient-proxy/bench/upstream"
)

// prose is a text of 3 KiB that is hard to cut in pieces and join again. Its
// paragraphs differ in their numbers: where a text begins once more as it began
// before, going on and beginning anew look the same.
var prose = func() string {
	var b strings.Builder
	for i := range 12 {
		fmt.Fprintf(&b, "%d. He said: \"go on\\\\ahead\", C:\\temp\\new\\u0041 </p>\t&\r\n"+
			"data: x%d\n\ndata: {\"candidates\": []}\r\n\r\n: comment\n\nid: %d\r\rdata: [DONE]\n\n"+
			"The field `\"finishReason\": \"SAFETY\"`, then \"error\": {\"code\": 50%d}. {[}]\" \\\" \\\\\" \x00\x1f\x7f "+
			"😀👩\u200d👩\u200d👧 e\u0301a\u0308\u20dd \u2028\u2029\u0085\ufeff שלום \u202eعليكم\u202c 你好，世界。 \U0010ffff\ufffd ", i, i, i, i)
	}
	return strings.ToValidUTF8(b.String()[:3072], "!")
}()

// prosePiece is the number of characters in an event: events of some 500
// bytes, so that there are many seams.
const prosePiece = 240

func TestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	body := len(strings.Join(upstream.Events(prose, prosePiece), ""))
	frames := 10 * len(upstream.Events(prose, prosePiece))
	limit := func(how upstream.How) func(int) upstream.Step {
		return func(n int) upstream.Step { return upstream.LimitBody(n, how) }
	}
	kinds := []struct {
		name string
		cut  func(n int) upstream.Step
		upTo int
	}{
		{"FIN", limit(upstream.FIN), body},
		{"RST", limit(upstream.RST), body},
		{"clean", limit(upstream.Clean), body},
		{"chunks", func(n int) upstream.Step { return upstream.LimitWire(n, upstream.FIN) }, body + frames},
	}
	step := 1
	if raceEnabled || testing.Short() {
		step = 7
	}
	for i, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			m := &upstream.Model{Answer: prose, Piece: prosePiece, Fault: func(attempt int, r *upstream.Request) []upstream.Step {
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
						if err := s.cutAt(n); err != nil {
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

// cutAt asks for the answer that is cut at offset n.
func (s *stage) cutAt(n int) error {
	a := s.ask(streamPath, s.body, "X-Test-Id", strconv.Itoa(n))
	if a.err != nil || a.status != 200 {
		return fmt.Errorf("status %d, %w", a.status, a.err)
	}
	r, err := read(a.body)
	if err == nil {
		err = r.whole(prose, "STOP")
	}
	if err != nil {
		return err
	}
	// Each attempt rounds its tokens up.
	u, tokens := r.usage, (utf8.RuneCountInString(prose)+3)/4
	if u.PromptTokenCount != upstream.PromptTokens || u.CandidatesTokenCount < tokens || u.CandidatesTokenCount > tokens+1 ||
		u.TotalTokenCount != u.PromptTokenCount+u.CandidatesTokenCount || len(r.ids) != 1 || len(r.versions) != 1 {
		return fmt.Errorf("usage %+v, ids %q, versions %q", u, r.ids, r.versions)
	}
	return nil
}
