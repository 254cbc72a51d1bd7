package main

import (
	"io"
	"net"
	"testing"
	"testing/iotest"
)

// scripted is a connection that reads from r.
type scripted struct {
	net.Conn
	r io.Reader
}

func (s scripted) Read(p []byte) (int, error)  { return s.r.Read(p) }
func (s scripted) Write(p []byte) (int, error) { return len(p), nil }

// readAll reads the response that r delivers.
func readAll(r io.Reader) (text string, last bool, err error) {
	c := &conn{c: scripted{r: r}, buf: make([]byte, 256)}
	b, err := c.ask(nil)
	if err != nil {
		return "", false, err
	}
	for {
		piece, err := b.next()
		text += string(piece)
		if err == io.EOF {
			return text, b.last, nil
		} else if err != nil {
			return text, b.last, err
		}
	}
}

func TestBodies(t *testing.T) {
	f := func(response, want string, wantLast bool, wantErr error) {
		t.Helper()
		for name, r := range map[string]io.Reader{
			"whole": reading(response), "bytewise": iotest.OneByteReader(reading(response)),
		} {
			got, last, err := readAll(r)
			if got != want || last != wantLast || err != wantErr {
				t.Errorf("%s %q: %q %v %v", name, response, got, last, err)
			}
		}
	}
	const ok = "HTTP/1.1 200 OK\r\n"
	f(ok+"Content-Length: 3\r\n\r\nabcrest", "abc", false, nil)
	f(ok+"Content-Length: 0\r\n\r\n", "", false, nil)
	f(ok+"Content-Length: 3\r\nConnection: close\r\n\r\nabc", "abc", true, nil)
	f(ok+"\r\nabc", "abc", true, nil)
	f(ok+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n", "abcde", false, nil)
	f("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"+ok+"Content-Length: 1\r\n\r\na", "a", false, nil)
	f(ok+"Content-Length: 3\r\n\r\nab", "ab", false, io.ErrUnexpectedEOF)
	f(ok+"Transfer-Encoding: chunked\r\n\r\n3\r\nab", "ab", false, io.ErrUnexpectedEOF)
	f(ok+"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "ab", false, io.ErrUnexpectedEOF)
	f(ok+"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n", "ab", false, io.ErrUnexpectedEOF)
	f(ok+"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", "ab", false, errCode)
	f("HTTP/1.1 503 No\r\n\r\n", "", false, statusError(503))
	f("SSH-2.0\r\n", "", false, errHead)
}

func reading(s string) io.Reader { return &text{s} }

// text is a reader of a string that has no other methods.
type text struct{ s string }

func (t *text) Read(p []byte) (int, error) {
	if t.s == "" {
		return 0, io.EOF
	}
	n := copy(p, t.s)
	t.s = t.s[n:]
	return n, nil
}

func TestLinesAreWholeHoweverTheyCome(t *testing.T) {
	const all = "one\r\n\r\ntwo\nthree\r\n"
	for i := range all {
		for j := i; j < len(all); j++ {
			var l liner
			var got string
			for _, piece := range []string{all[:i], all[i:j], all[j:]} {
				rest := []byte(piece)
				for {
					line, tail, ok := l.next(rest)
					if !ok {
						break
					}
					got += string(line) + "|"
					rest = tail
				}
			}
			if got != "one||two|three|" {
				t.Fatalf("cut at %d and %d: %q", i, j, got)
			}
		}
	}
}
