package upstream

import (
	"net/http"
	"strconv"
	"strings"
)

// Framing says how the client can tell the end of a body: Chunked, UntilClose,
// or the Length in bytes.
type Framing int64

const (
	Chunked    Framing = -1 // Transfer-Encoding: chunked
	UntilClose Framing = -2 // neither length nor chunks: the close is the end
)

// Length frames a body by a Content-Length of n bytes. The body that the steps
// send may be shorter or longer; the connection is then closed after it.
func Length(n int64) Framing { return Framing(n) }

// streamHeader is the header of a Gemini stream, as name, value pairs.
var streamHeader = []string{
	"Content-Type", "text/event-stream",
	"Content-Disposition", "attachment",
	"Vary", "Origin, X-Origin, Referer",
}

// Head writes a head at once, in a write of its own. header is alternating
// names and values and is sent as it is, with only what framing needs added.
// Nothing is inferred from it: a script that sends "Connection: close" has to
// close. A code of 100 to 199 makes an interim answer without any body, which
// leaves the real head to come.
func Head(code int, framing Framing, header ...string) Step {
	return act(func(a *answer) error {
		if code < 200 {
			a.out = append(appendHead(a.out, code, header), "\r\n"...)
			_, err := a.conn.tcp.Write(a.out)
			a.out = a.out[:0]
			return a.wrote(err)
		}
		a.head(code, framing, header)
		return a.flush(len(a.out))
	})
}

// Header sets one field of the head that the first data step writes, in place
// of the standard one of that name if there is one.
func Header(name, value string) Step {
	return act(func(a *answer) error {
		header := make([]string, 0, len(a.header)+2)
		for i := 0; i+1 < len(a.header); i += 2 {
			if !strings.EqualFold(a.header[i], name) {
				header = append(header, a.header[i], a.header[i+1])
			}
		}
		a.header = append(header, name, value)
		return nil
	})
}

// head puts a head into the write buffer, where the first data joins it.
func (a *answer) head(code int, framing Framing, header []string) {
	if a.begun {
		panic("BUG: upstream: a head after the answer began")
	}
	a.begun = true
	a.framing, a.left = framing, int64(framing)
	a.out = appendHead(a.out, code, header)
	if a.zip != nil {
		a.out = append(a.out, "Content-Encoding: gzip\r\n"...)
	}
	switch {
	case framing == Chunked:
		a.out = append(a.out, "Transfer-Encoding: chunked\r\n"...)
	case framing >= 0:
		a.out = append(a.out, "Content-Length: "...)
		a.out = strconv.AppendInt(a.out, int64(framing), 10)
		a.out = append(a.out, "\r\n"...)
	}
	a.out = append(a.out, "\r\n"...)
}

// appendHead appends the status line and the header, without the empty line.
func appendHead(dst []byte, code int, header []string) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, ' ')
	dst = append(dst, http.StatusText(code)...)
	dst = append(dst, "\r\n"...)
	for i := 0; i+1 < len(header); i += 2 {
		dst = append(dst, header[i]...)
		dst = append(dst, ": "...)
		dst = append(dst, header[i+1]...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}
