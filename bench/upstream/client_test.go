package upstream

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

const patience = 20 * time.Second // for what should take no time at all

// TestMain fails the run if a goroutine of this package outlives the tests.
func TestMain(m *testing.M) {
	code := m.Run()
	end := time.Now().Add(5 * time.Second)
	for code == 0 {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		leaked := bytes.Count(stacks, []byte("upstream.(*"))
		if leaked == 0 {
			break
		}
		if time.Now().After(end) {
			fmt.Fprintf(os.Stderr, "goroutines left:\n%s\n", stacks)
			code = 1
		}
		runtime.Gosched()
	}
	os.Exit(code)
}

func start(t *testing.T, h Handler) *Upstream {
	t.Helper()
	u, err := New(h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

// client is a raw connection to an Upstream.
type client struct {
	*net.TCPConn
	t  *testing.T
	br *bufio.Reader
}

func dial(t *testing.T, u *Upstream) *client {
	t.Helper()
	c, err := net.Dial("tcp", u.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &client{TCPConn: c.(*net.TCPConn), t: t, br: bufio.NewReader(c)}
}

// post is a whole request.
func post(body string, header ...string) string {
	var h strings.Builder
	for _, line := range header {
		h.WriteString(line + "\r\n")
	}
	return fmt.Sprintf("POST /v1beta/models/m:streamGenerateContent?alt=sse HTTP/1.1\r\nHost: up\r\n%sContent-Length: %d\r\n\r\n%s",
		h.String(), len(body), body)
}

func (c *client) send(s string) *client {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
	return c
}

// rest reads up to the end of the connection.
func (c *client) rest() (string, error) {
	b, err := io.ReadAll(c.br)
	return string(b), err
}

// response reads one answer, and how its body ended.
func (c *client) response() (*http.Response, string, error) {
	c.t.Helper()
	res, err := http.ReadResponse(c.br, &http.Request{Method: "POST"})
	if err != nil {
		c.t.Fatalf("read response: %v", err)
	}
	b, err := io.ReadAll(res.Body)
	return res, string(b), err
}

// await fails the test unless c is closed soon.
func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("still waiting: %s", what)
	}
}

func excerpt(s string) string {
	if len(s) > 200 {
		return fmt.Sprintf("%q... (%d bytes)", s[:200], len(s))
	}
	return fmt.Sprintf("%q", s)
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, excerpt(got), excerpt(want))
	}
}

// chunks reads a chunked answer and returns as much of its body as came.
func chunks(r io.Reader) string {
	res, err := http.ReadResponse(bufio.NewReader(r), nil)
	if err != nil {
		return ""
	}
	b, _ := io.ReadAll(res.Body)
	return string(b)
}
