package proxy_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
)

// wireAttempt is what an upstream says in one attempt: payloads, the last of
// which may be torn.
type wireAttempt struct {
	payloads []string
	torn     int  // bytes of the last payload that come, 0: all
	cut      bool // the body has no end of its own
}

// wireForm is one way of many in which an upstream can say the same. The zero
// value is the API's own.
type wireForm struct {
	eol, space string
	gateway    bool // comments, and fields beside the data
	mark       bool // a byte order mark
	array      bool
	gzip       bool
	interim    bool
	transfer   int // chunked, by length, by the end of the connection
	writes     int // bytes a write at most, 0: all in one
}

func newWireForm(r *rand.Rand) wireForm {
	return wireForm{
		eol:      []string{"\r\n", "\n", "\r"}[r.IntN(3)],
		space:    []string{" ", ""}[r.IntN(2)],
		gateway:  r.IntN(3) == 0,
		mark:     r.IntN(5) == 0,
		array:    r.IntN(4) == 0,
		gzip:     r.IntN(5) == 0,
		interim:  r.IntN(6) == 0,
		transfer: r.IntN(3),
		writes:   []int{0, 1, 20, 2000}[r.IntN(4)],
	}
}

// sometimes returns s, or nothing.
func sometimes(r *rand.Rand, s string) string {
	if r.IntN(2) == 0 {
		return ""
	}
	return s
}

// body returns the attempt without coding.
func (f *wireForm) body(r *rand.Rand, a wireAttempt) []byte {
	var b bytes.Buffer
	if f.mark {
		b.WriteString("\xef\xbb\xbf")
	}
	if f.array {
		b.WriteString("[")
	}
	for i, payload := range a.payloads {
		torn := a.torn > 0 && i == len(a.payloads)-1
		if torn {
			payload = payload[:a.torn]
		}
		if f.array {
			if i > 0 {
				b.WriteString([]string{"\n,\r\n", ",", "\n"}[r.IntN(3)])
			}
			b.WriteString(payload)
			continue
		}
		if f.gateway {
			b.WriteString(sometimes(r, ": data: {}"+f.eol+sometimes(r, f.eol)) + sometimes(r, "event: message"+f.eol+"id: 7"+f.eol))
		}
		b.WriteString("data:" + f.space + payload)
		if torn {
			break
		}
		if b.WriteString(f.eol); f.gateway {
			b.WriteString(sometimes(r, "retry: 10"+f.eol))
		}
		b.WriteString(f.eol)
	}
	if f.array && a.torn == 0 && !a.cut {
		b.WriteString("\n]")
	}
	return b.Bytes()
}

// response returns the bytes of the whole response.
func (f *wireForm) response(r *rand.Rand, a wireAttempt) []byte {
	body, head := f.body(r, a), "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	if f.array {
		head = strings.Replace(head, "text/event-stream", "application/json; charset=UTF-8", 1)
	}
	if f.gzip {
		body, head = zipped(r, body, a.cut), head+"Content-Encoding: gzip\r\n"
	}
	var out bytes.Buffer
	if f.interim {
		out.WriteString("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n")
	}
	out.WriteString(head)
	switch f.transfer {
	case 0:
		out.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for len(body) > 0 {
			n := min(len(body), 1+r.IntN(500))
			fmt.Fprintf(&out, "%x%s\r\n%s\r\n", n, sometimes(r, ";a=b"), body[:n])
			body = body[n:]
		}
		if !a.cut {
			out.WriteString("0\r\n" + sometimes(r, "X-Trailer: 1\r\n") + "\r\n")
		}
	case 1:
		length := len(body)
		if a.cut {
			length++
		}
		fmt.Fprintf(&out, "Content-Length: %d\r\n\r\n%s", length, body)
	default:
		out.WriteString("Connection: close\r\n\r\n")
		out.Write(body)
	}
	return out.Bytes()
}

// zipped codes body, flushed now and then.
func zipped(r *rand.Rand, body []byte, cut bool) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	for len(body) > 0 {
		n := min(len(body), 1+r.IntN(300))
		w.Write(body[:n])
		w.Flush()
		body = body[n:]
	}
	if !cut {
		w.Close()
	}
	return out.Bytes()
}

// write writes b in pieces.
func (f *wireForm) write(r *rand.Rand, c net.Conn, b []byte) {
	for len(b) > 0 {
		n := len(b)
		if f.writes > 0 {
			n = min(n, 1+r.IntN(f.writes))
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
		b = b[n:]
	}
}
