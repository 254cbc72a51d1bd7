package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"
)

// parking is a server of fasthttp's whose handler takes its reader's memory away
// once the body was read, as a stream on a loop does, and calls meanwhile.
type parking struct {
	t    *testing.T
	s    *Server
	l    *fasthttputil.InmemoryListener
	took chan bool
}

func newParking(t *testing.T, size int, meanwhile func()) *parking {
	p := &parking{t: t, s: &Server{}, l: fasthttputil.NewInmemoryListener(), took: make(chan bool, 10)}
	s := &fasthttp.Server{StreamRequestBody: true, MaxRequestBodySize: 1, ReadBufferSize: size}
	p.s.readers.find(s)
	s.Handler = func(ctx *fasthttp.RequestCtx) {
		e := &exchange{s: p.s, client: newClientConn(ctx.Conn(), ctx.Conn(), time.Minute)}
		body := ctx.RequestBodyStream()
		if e.reader = p.s.readers.of(body); e.reader == nil {
			t.Error("fasthttp keeps its reader where it is not looked for")
		}
		io.Copy(io.Discard, body)
		e.park()
		p.took <- e.parked
		if e.parked && e.reader.Size() != 0 {
			t.Errorf("a reader of %d bytes is left", e.reader.Size())
		}
		meanwhile()
		e.unpark()
		ctx.WriteString(string(ctx.Request.Header.Peek("Echo")))
	}
	go s.Serve(p.l)
	t.Cleanup(func() { p.l.Close() })
	return p
}

// ask sends requests in one write each and returns the answers.
func (p *parking) ask(requests ...string) (answers []string) {
	p.t.Helper()
	c, err := p.l.Dial()
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, raw := range requests {
		go io.WriteString(c, raw)
		for range strings.Count(raw, "POST") {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				p.t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			answers = append(answers, string(b))
		}
	}
	return answers
}

func echoing(s string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nEcho: %s\r\n\r\nhello", s)
}

// TestParkedReader: what is read after a reader was without memory is read as
// before, up to the same bound.
func TestParkedReader(t *testing.T) {
	p := newParking(t, 8<<10, func() {})
	long := strings.Repeat("x", 7<<10)
	got := p.ask(echoing("1"), echoing(long), echoing("3"))
	if len(got) != 3 || got[0] != "1" || got[1] != long || got[2] != "3" {
		t.Errorf("%.50q", got)
	}
	for range 3 {
		if !<-p.took {
			t.Error("the reader kept its memory")
		}
	}
}

// TestReaderWithBytesIsNotParked: the beginning of the next request stays.
func TestReaderWithBytesIsNotParked(t *testing.T) {
	p := newParking(t, 8<<10, func() {})
	got := p.ask(echoing("1") + echoing("2"))
	if len(got) != 2 || got[0] != "1" || got[1] != "2" {
		t.Errorf("%q", got)
	}
	if first, second := <-p.took, <-p.took; first || !second {
		t.Errorf("taken: %v with bytes in it, %v without", first, second)
	}
}

// TestParkedMemoryIsUsed: a hundred clients that wait need the memory of a few.
func TestParkedMemoryIsUsed(t *testing.T) {
	const clients = 100
	all := make(chan struct{})
	p := newParking(t, 1<<20, func() { <-all })
	answers := make(chan []string)
	for i := range clients {
		go func() { answers <- p.ask(echoing(fmt.Sprint(i))) }()
		<-p.took
	}
	made := 0
	for p.s.readers.pool.Get() != nil {
		made++
	}
	close(all)
	for range clients {
		if got := <-answers; len(got) != 1 {
			t.Error(got)
		}
	}
	if made > clients/4 {
		t.Errorf("%d readers for %d clients that came one by one", made, clients)
	}
}

// A pointer that is not where it is looked for leaves all as it is.
func TestUnknownReader(t *testing.T) {
	var p readers
	p.find(&fasthttp.Server{ReadBufferSize: 100})
	for _, body := range []io.Reader{strings.NewReader(""), struct{ io.Reader }{}, &struct {
		io.Reader
		reader io.Reader
	}{}} {
		if p.of(body) != nil {
			t.Errorf("%T has a reader", body)
		}
	}
	e := &exchange{s: &Server{}}
	e.park()
	e.unpark()
	if e.parked {
		t.Error("nothing was parked")
	}
}
