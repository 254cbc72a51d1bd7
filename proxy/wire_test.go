package proxy_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
)

// patience is how long a test waits for what must come. Reaching it means that
// something hangs.
const patience = 20 * time.Second

// wire is a connection to the proxy on which a test writes its own bytes.
type wire struct {
	t testing.TB
	*net.TCPConn
	r *bufio.Reader
}

// wire opens one.
func (r *rig) wire() *wire {
	r.t.Helper()
	c := r.dial().(*net.TCPConn)
	c.SetDeadline(time.Now().Add(patience))
	return &wire{r.t, c, bufio.NewReader(c)}
}

// send writes s. That the peer has closed already is for the reader to see.
func (w *wire) send(s string) { io.WriteString(w.TCPConn, s) }

// reply reads one response to a request of the given method, its body
// included. Interim responses are skipped.
func (w *wire) reply(method string) (*http.Response, string, error) {
	for {
		resp, err := http.ReadResponse(w.r, &http.Request{Method: method})
		if err != nil {
			return nil, "", err
		}
		if resp.StatusCode < 200 {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		return resp, string(body), err
	}
}

// wants is reply for a test that has no use for an error.
func (w *wire) wants(method string, status int) (*http.Response, string) {
	w.t.Helper()
	resp, body, err := w.reply(method)
	if err != nil {
		w.t.Fatalf("no whole response: %v (%q)", err, tail(body, 200))
	}
	if resp.StatusCode != status {
		w.t.Fatalf("status %d, want %d: %s", resp.StatusCode, status, tail(body, 300))
	}
	return resp, body
}

// closed tells whether the proxy has closed the connection and nothing else
// came before that.
func (w *wire) closed() bool {
	w.t.Helper()
	b, err := w.r.ReadByte()
	if err == nil {
		w.t.Errorf("a byte %q came where the end was expected", b)
		return false
	}
	return !isHang(err)
}

// isHang tells whether a test has reached its patience.
func isHang(err error) bool {
	t, ok := err.(net.Error)
	return ok && t.Timeout()
}

// await fails the test when c is not closed in time.
func (r *rig) await(what string, c <-chan struct{}) {
	r.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		r.t.Fatalf("waited in vain: %s", what)
	}
}

// arrived waits for the n-th request, counted from 0, to arrive upstream.
func (r *rig) arrived(n int) *upstream.Request {
	r.t.Helper()
	if !r.up.Await(patience, func() bool { return len(r.up.Requests()) > n }) {
		r.t.Fatalf("the upstream saw %d requests, want more than %d", r.up.Count(), n)
	}
	return r.up.Requests()[n]
}

// idle waits until the proxy serves no request any more.
func (r *rig) idle() {
	r.t.Helper()
	if !eventually(func() bool { return r.server.Running() == 0 }) {
		r.t.Fatalf("%d requests still run", r.server.Running())
	}
}

// eventually asks again and again whether ok is true, for as long as patience
// lasts.
func eventually(ok func() bool) bool {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// plain answers every request with a small JSON object.
var plain = upstream.Always(upstream.Script{upstream.Status(200, nil, `{"ok":true}`)})

// headLines returns the lines of a request head, without the empty one.
func headLines(raw []byte) []string {
	return strings.Split(string(bytes.TrimSuffix(raw, []byte("\r\n\r\n"))), "\r\n")
}

// countLines counts the header lines of a raw head that have the name.
func countLines(raw []byte, name string) (n int) {
	for _, line := range headLines(raw)[1:] {
		if got, _, _ := strings.Cut(line, ":"); strings.EqualFold(got, name) {
			n++
		}
	}
	return n
}

var itoa = strconv.Itoa
