package upstream

import (
	"bufio"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
)

// MaxBody is the size in bytes up to which a request body is kept. A longer one
// is read to its end, counted and summed, and Request.Body is nil.
const MaxBody = 8 << 20

// Streamer sees a request before its body is read and reads as much of it from
// body as it likes. The script it returns answers the request, also when the
// body was not read to its end: then the connection is closed afterwards. If it
// returns nil, the rest of the body is read and the Handler asked as usual.
//
// body is valid until the Streamer returns. BodyLen and BodySum count what was
// read. A client that leaves shows as an error of body; Request.Gone is watched
// from the moment the Streamer returns.
type Streamer func(req *Request, body io.Reader) Script

var errTrailer = errors.New("malformed trailer")

// bodyReader reads one request body out of its framing, counts and sums it.
type bodyReader struct {
	src     *bufio.Reader
	chunks  io.Reader // nil if the length is known
	left    int64     // bytes still to come, if the length is known
	proceed func()    // asks the client to send, nil if it does not wait for that
	length  int64
	sum     uint32
	err     error // sticky; io.EOF after a whole body
}

func newBodyReader(src *bufio.Reader, head *http.Request, proceed func()) *bodyReader {
	b := &bodyReader{src: src, left: head.ContentLength}
	if head.ContentLength < 0 {
		b.chunks = httputil.NewChunkedReader(src)
	} else if b.left == 0 {
		b.err = io.EOF
	}
	if strings.EqualFold(head.Header.Get("Expect"), "100-continue") {
		b.proceed = proceed
	}
	return b
}

// Read reads from the body. The client that waits for "100 Continue" gets it
// with the first call.
func (b *bodyReader) Read(p []byte) (n int, err error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if b.proceed != nil {
		b.proceed()
		b.proceed = nil
	}
	if b.chunks != nil {
		n, b.err = b.chunks.Read(p)
		if b.err == io.EOF {
			b.err = b.trailer()
		}
	} else {
		n, b.err = b.src.Read(p[:min(int64(len(p)), b.left)])
		b.left -= int64(n)
		if b.left == 0 {
			b.err = io.EOF
		} else if b.err == io.EOF {
			b.err = io.ErrUnexpectedEOF
		}
	}
	b.length += int64(n)
	b.sum = crc32.Update(b.sum, crc32.IEEETable, p[:n])
	return n, b.err
}

// trailer skips what follows the last chunk, up to the empty line.
func (b *bodyReader) trailer() error {
	for range 64 {
		line, err := b.src.ReadSlice('\n')
		switch {
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case string(line) == "\r\n":
			return io.EOF
		}
	}
	return errTrailer
}

// whole reports whether the body was read to its end, so that the next bytes of
// the connection are those of the next request.
func (b *bodyReader) whole() bool { return b.err == io.EOF }

// readInto reads what is left of the body into r.
func (b *bodyReader) readInto(r *Request) {
	kept, err := io.ReadAll(io.LimitReader(b, MaxBody+1))
	if len(kept) > MaxBody {
		kept = nil
		_, err = io.Copy(io.Discard, b)
	}
	r.Body, r.BodyErr = kept, err
	b.settle(r)
}

// settle notes the count and the sum in r.
func (b *bodyReader) settle(r *Request) { r.BodyLen, r.BodySum = b.length, b.sum }
