package proxy_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// reference is a server of net/http. What it makes of bytes is what they mean.
type reference struct {
	addr string
	mu   sync.Mutex
	got  map[string][]message // by the client's address
}

func newReference(t testing.TB) *reference {
	t.Helper()
	ref := &reference{got: map[string][]message{}}
	srv := &http.Server{
		ReadTimeout: patience, MaxHeaderBytes: 32 << 10, ErrorLog: quietLog, DisableGeneralOptionsHandler: true,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return // it did not come whole
			}
			ref.mu.Lock()
			ref.got[r.RemoteAddr] = append(ref.got[r.RemoteAddr], message{r.Method, r.RequestURI, r.Host, r.Header, string(body)})
			ref.mu.Unlock()
		}),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ref.addr = l.Addr().String()
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return ref
}

// reads returns the requests that raw holds.
func (ref *reference) reads(t testing.TB, raw string) []message {
	t.Helper()
	c, err := net.Dial("tcp", ref.addr)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	go func() {
		io.WriteString(c, raw)
		c.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(io.Discard, c)
	name := c.LocalAddr().String()
	ref.mu.Lock()
	defer ref.mu.Unlock()
	got := ref.got[name]
	delete(ref.got, name)
	return got
}

// recorder is an upstream that keeps the bytes that it gets, one request a
// connection: whatever comes behind the first is there to be seen.
type recorder struct {
	l     net.Listener
	reply string
	mu    sync.Mutex
	raw   []*string // in the order of the connections
	live  int
	over  *sync.Cond // one of them is
}

// closing is final, so that nothing is asked for twice.
const closing = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"

func newRecorder(t testing.TB) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{l: l, reply: closing}
	rec.over = sync.NewCond(&rec.mu)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			rec.mu.Lock()
			rec.live++
			raw := new(string)
			rec.raw = append(rec.raw, raw)
			rec.mu.Unlock()
			go rec.serve(c, raw)
		}
	}()
	t.Cleanup(func() { l.Close() })
	return rec
}

// serve answers one request and leaves it in got, if it came whole.
func (rec *recorder) serve(c net.Conn, got *string) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	var raw bytes.Buffer
	br := bufio.NewReader(io.TeeReader(c, &raw))
	whole := false
	if r, err := http.ReadRequest(br); err == nil {
		_, err = io.Copy(io.Discard, r.Body)
		whole = err == nil
	}
	if whole {
		rec.mu.Lock()
		reply := rec.reply
		rec.mu.Unlock()
		io.WriteString(c, reply)
	}
	// The proxy closes a connection that it was told to close. What comes until
	// then is no part of the request.
	io.Copy(io.Discard, br)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if whole {
		*got = raw.String()
	}
	rec.live--
	rec.over.Broadcast()
}

// take returns what has come since the last call, once all connections are over.
func (rec *recorder) take() (raw []string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for rec.live > 0 {
		rec.over.Wait()
	}
	for _, r := range rec.raw {
		if *r != "" {
			raw = append(raw, *r)
		}
	}
	rec.raw = nil
	return raw
}
