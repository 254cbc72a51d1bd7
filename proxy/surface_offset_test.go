package proxy_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

// TestArrayCutAtEveryByte is TestCutAtEveryByte for arrays, bare and wrapped.
func TestArrayCutAtEveryByte(t *testing.T) {
	t.Parallel()
	kinds := []struct {
		name string
		how  upstream.How
		f    surface
		w    format
	}{
		{"FIN", upstream.FIN, nativeArray, asArray},
		{"RST", upstream.RST, nativeArray, asPretty},
		{"clean", upstream.Clean, nativeArray, asTight},
		{"wrapped", upstream.Clean, wrappedArray, asArray},
		{"wrapped events", upstream.FIN, wrappedEvents, asEvents},
	}
	step := 1
	if raceEnabled || testing.Short() {
		step = 7
	}
	for i, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := &scene{stage: newStage(t, nil), f: kind.f, w: kind.w}
			upTo := s.length(prose)
			var cut sync.Map // offsets of requests that were cut
			s.up.SetHandler(func(r *upstream.Request) upstream.Script {
				said, err := s.f.continued(s.body, string(r.Body))
				rest, ok := strings.CutPrefix(prose, said)
				if err != nil || !ok {
					return steps(upstream.ErrorBody(400, "INVALID_ARGUMENT", fmt.Sprint("not to be continued: ", err), 0))
				}
				script := s.w.script(s.f, s.events(r.ResponseID(), rest)...)
				n, err := strconv.Atoi(r.Header.Get("X-Test-Id"))
				if _, again := cut.LoadOrStore(n, true); err == nil && !again {
					script = append(steps(upstream.LimitBody(n, kind.how)), script...)
				}
				return script
			})
			s.up.SetRecord(false)
			offsets := make(chan int)
			var workers sync.WaitGroup
			for range 8 {
				workers.Go(func() {
					for n := range offsets {
						a := s.ask(s.f.target, s.f.request(s.body), "X-Test-Id", strconv.Itoa(n))
						if err := s.isProse(a); err != nil {
							t.Errorf("cut at %d of %d: %v", n, upTo, err)
						}
					}
				})
			}
			for n := i; n <= upTo && !t.Failed(); n += step {
				offsets <- n
			}
			close(offsets)
			workers.Wait()
			if asked := (upTo-i)/step + 1; s.up.Count() < asked+asked/2 {
				t.Errorf("%d answers took %d attempts: they were not cut", asked, s.up.Count())
			}
		})
	}
}

// events are the payloads of an answer.
func (s *scene) events(id, text string) (all []any) {
	for _, e := range upstream.EventsOf(id, text, prosePiece) {
		all = append(all, strings.TrimSuffix(strings.TrimPrefix(e, "data: "), "\r\n\r\n"))
	}
	return all
}

// length is the length of the whole answer's body.
func (s *scene) length(text string) int {
	s.up.SetHandler(upstream.Always(s.w.script(s.f, s.events("x", text)...)))
	return len(s.send(s.up.URL()+s.f.target, s.body).body)
}

// isProse checks that an answer is the prose.
func (s *scene) isProse(a answer) error {
	if a.err != nil || a.status != 200 {
		return fmt.Errorf("status %d, %w: %.200q", a.status, a.err, a.body)
	}
	if s.f.array && !json.Valid([]byte(a.body)) {
		return fmt.Errorf("malformed: %q", a.body)
	}
	r, err := s.f.read(a.body)
	if err == nil {
		err = r.whole(prose, "STOP")
	}
	return err
}
