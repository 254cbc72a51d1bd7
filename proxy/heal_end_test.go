package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

const endOfBody = "0\r\n\r\n"

// twoPieces is an answer of two pieces, as they come in the body of an upstream.
type twoPieces struct {
	target, body  string
	kind          string // media type
	first, second string
	last          string // the last bytes that a client gets
}

func answersOfTwo() map[string]twoPieces {
	part := func(text, rest string) string {
		return fmt.Sprintf(`{"candidates":[{"content":{"role":"model","parts":[{"text":%q}]}%s,"index":0}]}`, text, rest)
	}
	a, b := part("one ", ""), part("two", `,"finishReason":"STOP"`)
	long := part(strings.Repeat("one ", 700), "")
	question := ask("count")
	return map[string]twoPieces{
		"events":  {streamPath, question, "text/event-stream", "data: " + a + "\r\n\r\n", "data: " + b + "\r\n\r\n", b + "\r\n\r\n"},
		"long":    {streamPath, question, "text/event-stream", "data: " + long + "\r\n\r\n", "data: " + b + "\r\n\r\n", b + "\r\n\r\n"},
		"array":   {arrayPath, question, "application/json", "[" + a, ",\r\n" + b + "\r\n]", "]"},
		"relayed": {"/v1beta/models/gemini-2.5-flash:countTokens", question, "application/json", `{"one ":1,`, `"two":2}`, `"two":2}`},
		"much":    {"/v1beta/models/gemini-2.5-flash:countTokens", question, "application/json", `{"one ":1,` + strings.Repeat(" ", 12<<10), `"two":2}`, `"two":2}`},
		"chat": {chatPath, `{"model":"m","stream":true,"messages":[{"role":"user","content":"count"}]}`, "text/event-stream",
			lines(chunk(0, `"content":"one "`, "")), lines(chunk(0, `"content":"two"`, `,"finish_reason":"stop"`)), "data: [DONE]\n\n"},
	}
}

// chunked frames p.
func chunked(p string) string { return strconv.FormatInt(int64(len(p)), 16) + "\r\n" + p + "\r\n" }

// TestTheEndComesWithTheLastEvent: where the upstream says both at once, the
// last event, or bytes, and the end of the body reach the client in one piece, however
// often its connection is used.
func TestTheEndComesWithTheLastEvent(t *testing.T) {
	t.Parallel()
	for name, e := range answersOfTwo() {
		for _, apart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/apart=%t", name, apart), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, nil, nil)
				w := r.wire()
				var answers []string
				for range 20 {
					answers = append(answers, r.endsAtOnce(w, e, apart))
				}
				for _, a := range answers[1:] {
					if a != answers[0] {
						t.Fatalf("answers differ:\n%q\n%q", answers[0], a)
					}
				}
			})
		}
	}
}

// endsAtOnce asks once and returns the body. apart has the second piece of the
// answer come when the client has the first.
func (r *rig) endsAtOnce(w *wire, e twoPieces, apart bool) string {
	r.t.Helper()
	head := "HTTP/1.1 200 OK\r\nContent-Type: " + e.kind + "\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
	read := make(chan struct{})
	script := upstream.Script{upstream.Wire(head + chunked(e.first+e.second) + endOfBody)}
	if apart {
		script = upstream.Script{upstream.Wire(head + chunked(e.first)), upstream.Hold(read), upstream.Wire(chunked(e.second) + endOfBody)}
	}
	r.up.SetHandler(upstream.Always(script))
	w.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", e.target, len(e.body), e.body))
	var got []byte
	for piece := make([]byte, 64<<10); ; {
		n, err := w.TCPConn.Read(piece)
		if err != nil {
			r.t.Fatalf("after %q: %v", got, err)
		}
		got = append(got, piece[:n]...)
		if apart && bytes.Contains(got, []byte("one ")) {
			apart = false
			close(read)
		}
		if bytes.Contains(got, []byte("two")) {
			if !bytes.HasSuffix(piece[:n], []byte(e.last+"\r\n"+endOfBody)) {
				r.t.Fatalf("the last piece is %q", piece[:n])
			}
			break
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(got)), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(body)
}

// TestRequestsBehindAnEnd: responses to requests that were sent together follow
// each other to the byte.
func TestRequestsBehindAnEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, nil)
	for name, e := range answersOfTwo() {
		one := r.endsAtOnce(r.wire(), e, false)
		w := r.wire()
		w.send(strings.Repeat(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", e.target, len(e.body), e.body), 5))
		for i := range 5 {
			if _, body, err := w.reply("POST"); body != one || err != nil {
				t.Errorf("%s, answer %d: %q, %v", name, i, body, err)
			}
		}
	}
}
