package proxy_test

import (
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
)

// Whatever else happens in the middle of a seam, what is held stays held.

// seamSurfaces are requests for a stream, each on its surface, and what its
// upstream is told to speak.
var seamSurfaces = map[string]struct {
	request string
	speaks  upstream.Surface
}{
	"native":  {postTo(streamPath, ask("hi")), upstream.SSE},
	"chat":    {postTo(chatPath, `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`), upstream.OpenAI},
	"wrapped": {postTo(wrappedEvents.target, wrappedEvents.request(ask("hi"))), upstream.CodeAssist},
}

func postTo(target, body string) string {
	return "POST " + target + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n" + body
}

const (
	seamBegin = "The quick brown fox jumps over the lazy dog and runs into the "
	seamRest  = "deep dark wood."
)

// midSeam is an answer whose continuation stops in the middle of the repeat
// until it is released.
func midSeam(speaks upstream.Surface, release <-chan struct{}) upstream.Handler {
	return func(q *upstream.Request) upstream.Script {
		as := upstream.As(speaks)
		switch {
		case q.Seq == 0:
			return upstream.Script{as, upstream.Text(seamBegin), upstream.Cut()}
		case q.Seq == 1:
			return upstream.Script{as, upstream.Text("Sure: The quick brown fox jumps over the lazy dog and ru"), upstream.Hold(release), upstream.Text("ns into the deep "), upstream.TextFinish("dark wood.", "STOP")}
		}
		return upstream.Script{as, upstream.TextFinish("another", "STOP")}
	}
}

// seamText is the text of an answer on any surface.
func seamText(body string) (text string) {
	for _, line := range strings.Split(body, "\n") {
		for _, mark := range []string{`"text": "`, `"text":"`, `"content":"`, `"content": "`} {
			if _, after, ok := strings.Cut(line, mark); ok {
				said, _, _ := strings.Cut(after, `"`)
				text += said
				break
			}
		}
	}
	return text
}

// inSeams calls test on each surface, with a request that is answered as far as to
// the middle of a seam: closing release lets the answer go on.
func inSeams(t *testing.T, test func(t *testing.T, r *rig, w *wire, request string, release chan struct{})) {
	t.Parallel()
	for name, f := range seamSurfaces {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			r := newRig(t, midSeam(f.speaks, release), anchored)
			w := r.begin(f.request)
			r.arrived(1)
			test(t, r, w, f.request, release)
		})
	}
}

func TestDrainInASeam(t *testing.T) {
	inSeams(t, func(t *testing.T, r *rig, w *wire, request string, release chan struct{}) {
		done := r.drain(time.Hour)
		time.AfterFunc(100*time.Millisecond, func() { close(release) })
		_, body := w.wants("POST", 200)
		if got := seamText(body); got != seamBegin+seamRest || !w.closed() {
			t.Errorf("%q", got)
		}
		r.drained(done)
	})
}

func TestDrainIsOverInASeam(t *testing.T) {
	inSeams(t, func(t *testing.T, r *rig, w *wire, request string, release chan struct{}) {
		done := r.drain(50 * time.Millisecond)
		_, body, err := w.reply("POST")
		got := seamText(body)
		if !strings.HasPrefix(got, seamBegin) || strings.Contains(got, "Sure") || !strings.Contains(body, "shutting down") {
			t.Errorf("%v %q in %s", err, got, body)
		}
		close(release)
		r.drained(done)
	})
}

func TestNextRequestInASeam(t *testing.T) {
	inSeams(t, func(t *testing.T, r *rig, w *wire, request string, release chan struct{}) {
		half := len(request) / 2
		w.send(request[:half])
		time.AfterFunc(50*time.Millisecond, func() { w.send(request[half:]); close(release) })
		_, body := w.wants("POST", 200)
		_, next := w.wants("POST", 200)
		if got, then := seamText(body), seamText(next); got != seamBegin+seamRest || then != "another" {
			t.Errorf("%q, then %q", got, then)
		}
	})
}
