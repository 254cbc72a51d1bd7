package upstream

import (
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"
)

const defaultHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Disposition: attachment\r\n" +
	"Vary: Origin, X-Origin, Referer\r\nTransfer-Encoding: chunked\r\n\r\n"

// Every script here closes the connection, so that the client sees all bytes of
// the answer and nothing else.
func TestAnswerBytes(t *testing.T) {
	f := func(name string, s Script, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			u := start(t, Always(s))
			got, err := dial(t, u).send(post("{}")).rest()
			if err != nil {
				t.Errorf("end: %v", err)
			}
			same(t, "answer", got, want)
		})
	}
	f("send", Script{Send("hello"), Send([]byte(" you")), Close()},
		defaultHead+"5\r\nhello\r\n4\r\n you\r\n0\r\n\r\n")
	f("an empty send is no chunk", Script{Send(""), Send("x"), Close()}, defaultHead+"1\r\nx\r\n0\r\n\r\n")
	f("nothing", Script{Close()}, defaultHead+"0\r\n\r\n")
	f("steps after the end", Script{Send("x"), Close(), Send("y")}, defaultHead+"1\r\nx\r\n0\r\n\r\n")
	f("cut", Script{Send("hello"), Cut()}, defaultHead+"5\r\nhello\r\n")
	f("cut at once", Script{Cut()}, "")
	f("wire", Script{Send("a"), Wire("zz\r\n"), Cut()}, defaultHead+"1\r\na\r\nzz\r\n")
	f("wire takes over", Script{Wire("HTTP/9 what"), Wire("?"), End()}, "HTTP/9 what?")
	f("wire as length body", Script{Head(200, Length(3)), Wire("abc"), Close()}, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
	f("head chunked", Script{Head(503, Chunked, "A", "b", "C", "d"), Send("x"), Close()},
		"HTTP/1.1 503 Service Unavailable\r\nA: b\r\nC: d\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
	f("head length", Script{Head(200, Length(4)), Send("ab"), Send("cd"), Close()},
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd")
	f("a short body closes", Script{Head(200, Length(9)), Send("abcd"), End()},
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd")
	f("a long body closes", Script{Head(200, Length(1)), Send("abcd"), End()},
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabcd")
	f("head until close", Script{Head(200, UntilClose), Send("abcd")}, "HTTP/1.1 200 OK\r\n\r\nabcd")
	f("interim head", Script{Head(103, Chunked, "Link", "x"), Send("a"), Close()},
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"+defaultHead+"1\r\na\r\n0\r\n\r\n")
	f("header", Script{Header("vary", "*"), Header("X-A", "b"), Send("a"), Close()},
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Disposition: attachment\r\nvary: *\r\nX-A: b\r\n"+
			"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
	f("status", Script{Status(404, map[string]string{"X-B": "2", "X-A": "1"}, "no"), Send("ignored"), Wire("too"), Close()},
		"HTTP/1.1 404 Not Found\r\nContent-Type: application/json; charset=UTF-8\r\nX-A: 1\r\nX-B: 2\r\nContent-Length: 2\r\n\r\nno")
	f("status without a body", Script{Status(200, map[string]string{"content-type": "text/plain"}, ""), Close()},
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n")
	f("sliced", Script{Sliced(2, Send("abcde"), Send("f")), Send("ghi"), Close()},
		defaultHead+"2\r\nab\r\n2\r\ncd\r\n1\r\ne\r\n1\r\nf\r\n3\r\nghi\r\n0\r\n\r\n")
	f("sliced status", Script{Sliced(2, Status(200, nil, "abc")), Close()},
		"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: 3\r\n\r\nabc")
	f("pause", Script{Pause(0), Send("a"), Pause(time.Millisecond), Send("b"), Close()}, defaultHead+"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
	f("chunk sizes are hexadecimal", Script{Send(strings.Repeat("x", 26)), Close()},
		defaultHead+"1a\r\n"+strings.Repeat("x", 26)+"\r\n0\r\n\r\n")
}

func TestHeadComesWithFirstData(t *testing.T) {
	release := make(chan struct{})
	u := start(t, Always(Script{Send("hello"), Hold(release), Close()}))
	c := dial(t, u).send(post("{}"))
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "first read", string(b[:n]), defaultHead+"5\r\nhello\r\n")
	close(release)
	got, _ := c.rest()
	same(t, "rest", got, "0\r\n\r\n")
}

func TestHeadAloneIsSentAtOnce(t *testing.T) {
	u := start(t, Always(Script{Head(200, Chunked), Stall()}))
	c := dial(t, u).send(post("{}"))
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "first read", string(b[:n]), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
}

func TestConnectionIsKept(t *testing.T) {
	f := func(name string, s Script) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			u := start(t, Always(s))
			c := dial(t, u)
			for range 3 {
				c.send(post("{}"))
				if _, _, err := c.response(); err != nil {
					t.Fatal(err)
				}
			}
			for i, r := range u.Requests() {
				if r.Seq != i || r.Conn != 0 {
					t.Errorf("request %d: seq %d on connection %d", i, r.Seq, r.Conn)
				}
			}
		})
	}
	f("end", Script{Send("a"), End()})
	f("nil script", nil)
	f("status", Script{Status(200, nil, "{}")})
	f("length", Script{Head(200, Length(2)), Send("ab")})
	f("clean limit", Script{LimitBody(1, Clean), Send("abc")})
}

func TestConnectionIsClosedWhenTheClientAsks(t *testing.T) {
	u := start(t, Always(Script{Send("a")}))
	got, err := dial(t, u).send(post("{}", "Connection: close")).rest()
	if err != nil {
		t.Error(err)
	}
	same(t, "answer", got, defaultHead+"1\r\na\r\n0\r\n\r\n")
}

func TestBodylessAnswers(t *testing.T) {
	f := func(name, request string, code int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			u := start(t, Always(Script{Status(code, nil, "body"), Close()}))
			got, _ := dial(t, u).send(request).rest()
			if !strings.HasSuffix(got, "\r\n\r\n") {
				t.Errorf("a body was sent: %s", excerpt(got))
			}
		})
	}
	f("head", "HEAD / HTTP/1.1\r\nHost: up\r\n\r\n", 200)
	f("no content", post("{}"), 204)
	f("not modified", post("{}"), 304)
}

func TestReset(t *testing.T) {
	f := func(name string, s Script, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			u := start(t, Always(s))
			got, err := dial(t, u).send(post("{}")).rest()
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("end: %v, want a reset", err)
			}
			same(t, "before it", got, want)
		})
	}
	f("at once", Script{Reset()}, "")
	f("after data", Script{Send("hello"), Reset()}, defaultHead+"5\r\nhello\r\n")
	big := strings.Repeat("x", 3<<20)
	f("after more than the buffers hold", Script{Head(200, UntilClose), Send(big), Reset()}, "HTTP/1.1 200 OK\r\n\r\n"+big)
}

func TestDoAndHoldStandBetweenSteps(t *testing.T) {
	reached, release := make(chan struct{}), make(chan struct{})
	u := start(t, Always(Script{
		Send("a"),
		Do(func(r *Request) { close(reached) }),
		Hold(release),
		Send("b"),
	}))
	c := dial(t, u).send(post("{}"))
	await(t, "the Do step", reached)
	close(release)
	if _, body, err := c.response(); err != nil || body != "ab" {
		t.Errorf("body %q, %v", body, err)
	}
}

func TestGzip(t *testing.T) {
	f := func(name string, s Script, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			u := start(t, Always(s))
			res, body, err := dial(t, u).send(post("{}")).response()
			if err != nil || res.Header.Get("Content-Encoding") != "gzip" {
				t.Fatalf("header %v, %v", res.Header, err)
			}
			z, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "body", string(plain), want)
		})
	}
	f("stream", Script{Gzip(), Send("hello "), Send("you")}, "hello you")
	f("own head", Script{Gzip(), Head(200, Chunked), Send("hello")}, "hello")
	f("sliced", Script{Gzip(), Sliced(1, Send("hello"))}, "hello")
	f("status", Script{Gzip(), Status(200, nil, "{}")}, "{}")
	f("empty", Script{Gzip()}, "")
}

func TestGzipIsFlushedWithEachSend(t *testing.T) {
	u := start(t, Always(Script{Gzip(), Send("hello"), Stall()}))
	c := dial(t, u).send(post("{}"))
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	_, chunk, _ := strings.Cut(string(b[:n]), "\r\n\r\n")
	_, chunk, _ = strings.Cut(chunk, "\r\n")
	z, err := gzip.NewReader(strings.NewReader(chunk))
	if err != nil {
		t.Fatal(err)
	}
	plain := make([]byte, 5)
	if _, err := io.ReadFull(z, plain); err != nil || string(plain) != "hello" {
		t.Errorf("got %q, %v", plain, err)
	}
}
