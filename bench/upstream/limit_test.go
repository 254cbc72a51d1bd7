package upstream

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
)

// limited is a body whose parts are of several sizes, one sliced.
var limited = Script{Send("hello"), Sliced(3, Send("abcdefgh")), Send("a chunk of 21 bytes !")}

const (
	limitedBody = "helloabcdefgha chunk of 21 bytes !"
	limitedWire = "5\r\nhello\r\n3\r\nabc\r\n3\r\ndef\r\n2\r\ngh\r\n15\r\na chunk of 21 bytes !\r\n0\r\n\r\n"
)

func TestLimitBodyAtEveryByte(t *testing.T) {
	f := func(how How, wantErr error) {
		t.Helper()
		u := start(t, nil)
		for n := range len(limitedBody) + 1 {
			u.SetHandler(Always(append(Script{LimitBody(n, how)}, limited...)))
			c := dial(t, u).send(post("{}"))
			_, body, err := c.response()
			if !errors.Is(err, wantErr) {
				t.Errorf("%d, how %d: end %v, want %v", n, how, err, wantErr)
			}
			same(t, fmt.Sprintf("%d, how %d", n, how), body, limitedBody[:n])
		}
	}
	f(FIN, io.ErrUnexpectedEOF)
	f(RST, syscall.ECONNRESET)
	f(Clean, nil)
}

func TestLimitWireAtEveryByte(t *testing.T) {
	f := func(how How, wantErr error) {
		t.Helper()
		u := start(t, nil)
		for n := range len(limitedWire) + 1 {
			u.SetHandler(Always(append(Script{LimitWire(n, how)}, limited...)))
			got, err := dial(t, u).send(post("{}")).rest()
			if !errors.Is(err, wantErr) {
				t.Errorf("%d, how %d: end %v, want %v", n, how, err, wantErr)
			}
			same(t, fmt.Sprintf("%d, how %d", n, how), got, defaultHead+limitedWire[:n])
		}
	}
	f(FIN, nil)
	f(RST, syscall.ECONNRESET)
}

func TestLimits(t *testing.T) {
	f := func(name string, s Script, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			u := start(t, Always(s))
			got, err := dial(t, u).send(post("{}", "Connection: close")).rest()
			if err != nil {
				t.Errorf("end: %v", err)
			}
			same(t, "answer", got, want)
		})
	}
	f("not reached", Script{LimitBody(9, FIN), Send("abc")}, defaultHead+"3\r\nabc\r\n0\r\n\r\n")
	f("zero with no data", Script{LimitBody(0, FIN)}, defaultHead)
	f("zero with data", Script{LimitBody(0, FIN), Send("abc")}, defaultHead)
	f("counts from its place", Script{Send("ab"), LimitBody(1, FIN), Send("cd")}, defaultHead+"2\r\nab\r\n1\r\nc\r\n")
	f("clean on the wire", Script{LimitWire(4, Clean), Send("abc")}, defaultHead+"3\r\na0\r\n\r\n")
	f("on wire bytes", Script{LimitWire(2, FIN), Wire("abc")}, "ab")
	f("on a status", Script{LimitBody(2, FIN), Status(200, nil, "abc")},
		"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: 3\r\n\r\nab")
	f("zero on a status", Script{LimitBody(0, FIN), Status(200, nil, "abc")},
		"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: 3\r\n\r\n")
	f("zero on a head", Script{LimitWire(0, FIN), Head(200, Chunked), Send("abc")},
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
}

func TestLimitCutsTheGzipCoding(t *testing.T) {
	u := start(t, Always(Script{Gzip(), LimitBody(12, Clean), Send(strings.Repeat("x", 99))}))
	res, body, err := dial(t, u).send(post("{}")).response()
	if err != nil || len(body) != 12 || res.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}
