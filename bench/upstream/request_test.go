package upstream

import (
	"errors"
	"hash/crc32"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestRequestIsRecorded(t *testing.T) {
	head := "POST /v1/a?b=c HTTP/1.1\r\nHost:  up \r\nx-weIRD:a\r\nX-Weird: b\r\nContent-Length: 2\r\n\r\n"
	u := start(t, Always(nil))
	dial(t, u).send(head + "{}").response()
	r := u.Requests()[0]
	same(t, "raw", string(r.Raw), head)
	if r.Method != "POST" || r.Target != "/v1/a?b=c" || r.Host != "up" || r.Proto != "HTTP/1.1" ||
		!reflect.DeepEqual(r.Header["X-Weird"], []string{"a", "b"}) {
		t.Errorf("parsed as %+v", r)
	}
}

func TestRequestBody(t *testing.T) {
	f := func(name, request, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			u := start(t, Always(Script{Send("ok")}))
			c := dial(t, u)
			for range 2 { // the second proves that the first was read to its end
				if _, body, err := c.send(request).response(); err != nil || body != "ok" {
					t.Fatalf("answer %q, %v", body, err)
				}
			}
			for _, r := range u.Requests() {
				if r.BodyErr != nil || r.BodyLen != int64(len(want)) || r.BodySum != crc32.ChecksumIEEE([]byte(want)) {
					t.Errorf("length %d, sum %x, error %v", r.BodyLen, r.BodySum, r.BodyErr)
				}
				if len(want) > MaxBody {
					if r.Body != nil {
						t.Error("the body was kept")
					}
					continue
				}
				same(t, "body", string(r.Body), want)
			}
		})
	}
	f("none", "GET / HTTP/1.1\r\nHost: up\r\n\r\n", "")
	f("length", post("hello"), "hello")
	f("chunked", "POST / HTTP/1.1\r\nHost: up\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", "abc")
	f("trailer", "POST / HTTP/1.1\r\nHost: up\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX: y\r\nZ: z\r\n\r\n", "ab")
	full := strings.Repeat("y", MaxBody)
	f("as long as is kept", post(full), full)
	f("longer than is kept", post(full+"y"), full+"y")
}

func TestBodyThatBreaksOffIsRecordedAndNotAnswered(t *testing.T) {
	f := func(name, request string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			u := start(t, func(*Request) Script {
				t.Error("the handler was called")
				return nil
			})
			c := dial(t, u).send(request)
			c.CloseWrite()
			if got, _ := c.rest(); got != "" {
				t.Errorf("answer %q", got)
			}
			r := u.Requests()[0]
			await(t, "Gone", r.Gone)
			await(t, "Done", r.Done)
			if r.BodyErr == nil || r.BodyLen != 2 {
				t.Errorf("%d bytes, %v", r.BodyLen, r.BodyErr)
			}
		})
	}
	f("length", "POST / HTTP/1.1\r\nHost: up\r\nContent-Length: 9\r\n\r\nab")
	f("chunked", "POST / HTTP/1.1\r\nHost: up\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
	f("trailer", "POST / HTTP/1.1\r\nHost: up\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX: y\r\n")
	f("trailer without end", "POST / HTTP/1.1\r\nHost: up\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"+strings.Repeat("X: y\r\n", 99))
}

func TestMalformedHeads(t *testing.T) {
	f := func(name, head string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			u := start(t, Always(nil))
			c := dial(t, u).send(head)
			c.CloseWrite()
			got, _ := c.rest()
			if !strings.HasPrefix(got, "HTTP/1.1 400 ") || u.Malformed() != 1 || u.Count() != 0 {
				t.Errorf("answer %q, malformed %d, count %d", got, u.Malformed(), u.Count())
			}
		})
	}
	f("no request line", "hello\r\n\r\n")
	f("empty line first", "\r\n"+post("{}"))
	f("bad coding", "POST / HTTP/1.1\r\nHost: up\r\nTransfer-Encoding: gzip\r\n\r\n")
	f("broken off", "POST / HTTP/1.1\r\nHost")
}

func TestHeadMayBeLongerThanTheBuffer(t *testing.T) {
	u := start(t, Always(nil))
	long := strings.Repeat("x", 3*readBuffer)
	dial(t, u).send(post("{}", "X-Long: "+long)).response()
	if got := u.Requests()[0].Header.Get("X-Long"); got != long {
		t.Errorf("header of %d bytes, want %d", len(got), len(long))
	}
}

func TestExpectContinue(t *testing.T) {
	u := start(t, Always(Script{Send("ok"), Close()}))
	c := dial(t, u).send("POST / HTTP/1.1\r\nHost: up\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
	want := "HTTP/1.1 100 Continue\r\n\r\n"
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c.br, b); err != nil {
		t.Fatal(err)
	}
	same(t, "interim", string(b), want)
	got, _ := c.send("{}").rest()
	same(t, "answer", got, defaultHead+"2\r\nok\r\n0\r\n\r\n")
	same(t, "body", string(u.Requests()[0].Body), "{}")
}

func TestContents(t *testing.T) {
	f := func(body string, want []Turn, fails bool) {
		t.Helper()
		got, err := (&Request{Body: []byte(body)}).Contents()
		if !reflect.DeepEqual(got, want) || (err != nil) != fails {
			t.Errorf("%s: %v, %v", body, got, err)
		}
	}
	f(`{"contents":[{"role":"user","parts":[{"text":"a"},{"text":"\u00fc\n"},{"inlineData":{}}]},{"role":"model","parts":[{"text":"c"}]}]}`,
		[]Turn{{Role: "user", Text: "aü\n"}, {Role: "model", Text: "c"}}, false)
	f(`{"contents":[{"parts":[]}],"tools":[{}]}`, []Turn{{}}, false)
	f(`{}`, nil, false)
	f(`{"contents":"a"}`, nil, true)
	f(`{"contents":[`, nil, true)
	f(``, nil, true)
}

func TestStreamerSeesTheBodyAsItComes(t *testing.T) {
	u := start(t, nil)
	first := make(chan string, 1)
	u.SetStreamer(func(r *Request, body io.Reader) Script {
		b := make([]byte, 3)
		io.ReadFull(body, b)
		first <- string(b)
		n, err := io.Copy(io.Discard, body)
		if n != 3 || err != nil {
			t.Errorf("rest of %d bytes, %v", n, err)
		}
		return Script{Send("ok")}
	})
	c := dial(t, u)
	for range 2 {
		c.send("POST / HTTP/1.1\r\nHost: up\r\nContent-Length: 6\r\n\r\nabc")
		same(t, "first part", <-first, "abc")
		if _, body, err := c.send("def").response(); err != nil || body != "ok" {
			t.Errorf("answer %q, %v", body, err)
		}
	}
	r := u.Requests()[1]
	await(t, "Done", r.Done)
	if r.Body != nil || r.BodyLen != 6 || r.BodySum != crc32.ChecksumIEEE([]byte("abcdef")) || r.Conn != 0 {
		t.Errorf("recorded %+v", r)
	}
}

func TestStreamerMayAnswerBeforeTheBody(t *testing.T) {
	u := start(t, nil)
	u.SetStreamer(func(*Request, io.Reader) Script { return Script{Status(413, nil, "too long")} })
	c := dial(t, u).send("POST / HTTP/1.1\r\nHost: up\r\nContent-Length: 99999999\r\n\r\n" + strings.Repeat("x", 100_000))
	res, body, err := c.response()
	if err != nil || res.StatusCode != 413 || body != "too long" {
		t.Errorf("%v %q %v", res.StatusCode, body, err)
	}
	if rest, err := c.rest(); rest != "" || err != nil {
		t.Errorf("then %q, %v", rest, err)
	}
}

func TestStreamerMayPassTheRequestOn(t *testing.T) {
	u := start(t, func(r *Request) Script { return Script{Send(r.Body)} })
	u.SetStreamer(func(*Request, io.Reader) Script { return nil })
	if _, body, err := dial(t, u).send(post("abc")).response(); err != nil || body != "abc" {
		t.Errorf("answer %q, %v", body, err)
	}
	u.SetStreamer(nil)
	if _, body, err := dial(t, u).send(post("def")).response(); err != nil || body != "def" {
		t.Errorf("answer %q, %v", body, err)
	}
}

func TestStreamerSeesThatTheClientLeft(t *testing.T) {
	u := start(t, nil)
	end := make(chan error, 1)
	u.SetStreamer(func(_ *Request, body io.Reader) Script {
		_, err := io.Copy(io.Discard, body)
		end <- err
		return Script{Stall()}
	})
	dial(t, u).send("POST / HTTP/1.1\r\nHost: up\r\nContent-Length: 9\r\n\r\nabc").Close()
	if err := <-end; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("end: %v", err)
	}
	await(t, "Gone", u.Requests()[0].Gone)
}
