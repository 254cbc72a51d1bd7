package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/stream"
)

// A request body is read by the exchange, not by fasthttp, so that each byte
// that comes moves the deadline and nothing is buffered that need not be.

// keyBody is the size in bytes up to which the JSON body of a relayed request
// is read before it is sent on: only so can an apiKey in it be found.
const keyBody = 1 << 20

// poolBody is the same where groups have keys or other names for models: only
// so can a request be sent again with another key, and its models be renamed.
const poolBody = 8 << 20

// wholeBody is the size up to which any other body is.
const wholeBody = 64 << 10

// isJSON tells whether a content type is JSON's.
func isJSON(contentType []byte) bool {
	t, _, _ := bytes.Cut(contentType, []byte(";"))
	return bytes.EqualFold(bytes.TrimSpace(t), []byte("application/json"))
}

// asksJSON tells whether the body is what the API is asked, in JSON: it may hold
// a key, and the names of models. A file that is uploaded is none of the proxy's
// business, also one of JSON.
func (e *exchange) asksJSON() bool { return !e.file && isJSON(e.head.contentType) }

// readBody appends the request body to buf, at most limit bytes of it. more
// tells that there is more than that.
func (e *exchange) readBody(buf *buffer, body io.Reader, length int, limit int64) (more bool, err error) {
	if body == nil || length == 0 {
		return false, nil
	}
	e.client.beginBody()
	defer e.client.endBody()
	if err := e.err(); err != nil {
		return false, err
	}
	start := len(buf.B)
	most := min(int64(length), limit) + 1 // the last one for the read that finds the end
	if length > 0 {
		buf.reach(start + min(length, wholeBody))
	}
	for {
		if int64(len(buf.B)-start) > limit {
			return true, nil
		}
		buf.growBody(start + int(most) - len(buf.B))
		n, err := body.Read(buf.B[len(buf.B):cap(buf.B)])
		err = e.client.bodyError(err)
		buf.B = buf.B[:len(buf.B)+n]
		if err == io.EOF {
			if length > 0 && len(buf.B)-start < length {
				return false, errGone
			}
			return int64(len(buf.B)-start) > limit, nil
		}
		if err != nil {
			return false, e.clientReadError(err)
		}
	}
}

// growBody makes room in a body of which left bytes are to come, none or fewer when
// that is not known. It doubles, so that nobody has memory set aside for what he only
// announces. Once a ninth is there it makes room for all of the rest: images and
// recordings of many MiB would else take up to twice their size, and leave as much
// for the collector.
func (b *buffer) growBody(left int) {
	have := len(b.B)
	switch {
	case cap(b.B) > have:
	case left <= 0 || left/8 > have:
		b.reach(have + max(have, 4<<10))
	default:
		b.reach(have + left)
	}
}

// clientReadError says why reading the request body failed.
func (e *exchange) clientReadError(err error) error {
	var op *net.OpError
	switch {
	case e.err() != nil:
		return e.err()
	case isTimeout(err):
		return errClientStall
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &op):
		return errGone
	}
	return errClientBody
}

// bodyRefusal is what a client is told whose body could not be read.
func bodyRefusal(err error, limit int64) *refusal {
	switch {
	case errors.Is(err, errTooLarge):
		return refuse(413, "the request body is larger than "+strconv.FormatInt(limit, 10)+" bytes")
	case errors.Is(err, errClientStall):
		return refuse(408, "the request body did not arrive in time")
	case errors.Is(err, errDrain):
		return refuse(503, "the proxy is shutting down")
	}
	return refuse(400, "the request body is not framed as HTTP/1.1 asks for")
}

// upload sends a request body on that is not in memory, in a goroutine of its
// own, so that an answer that comes early is not waited for.
type upload struct {
	e     *exchange
	a     *attempt
	body  io.Reader
	left  int64 // bytes to come, -1: chunked
	done  chan struct{}
	whole bool // everything was sent; valid after done
}

// startUpload sends the rest of body, left bytes or, when left is negative,
// in chunks to its end. Until join the client's connection is read by another
// goroutine than the one that writes to it.
func startUpload(a *attempt, body io.Reader, left int64) *upload {
	u := &upload{e: a.e, a: a, body: body, left: left, done: make(chan struct{})}
	u.e.client.uploads = true
	go u.run()
	return u
}

func (u *upload) run() {
	defer close(u.done)
	defer u.failedInPanic()
	u.e.client.beginBody()
	defer u.e.client.endBody()
	buf := copyBuffers.Get().(*copyBuffer)
	defer copyBuffers.Put(buf)
	chunked, sent := u.left < 0, int64(0)
	for {
		n, err := u.body.Read(buf[:])
		err = u.e.client.bodyError(err)
		sent += int64(n)
		if n > 0 && u.send(buf[:n], chunked) != nil {
			return
		}
		u.sentAt(time.Now())
		if err == io.EOF && (chunked || sent == u.left) {
			u.whole = !chunked || u.a.write(u.a.link.conn, []byte("0\r\n\r\n")) == nil
			return
		}
		if err != nil {
			u.fail(err)
			return
		}
	}
}

// sentAt notes that a part of the body was sent on.
func (u *upload) sentAt(now time.Time) { u.e.uploaded.Store(ticks(now)) }

// send writes a piece of the body to the upstream. A failure is left for
// whoever waits for the response: there may be one already.
func (u *upload) send(p []byte, chunked bool) error {
	if !chunked {
		return u.a.write(u.a.link.conn, p)
	}
	buf := getBuffer()
	defer putBuffer(buf)
	buf.B = append(emptyFrame(buf.B), p...)
	return u.a.write(u.a.link.conn, sealFrame(buf.B))
}

// failedInPanic ends the exchange after a panic: nobody sends the rest of the
// body that the upstream waits for.
func (u *upload) failedInPanic() {
	if p := recover(); p != nil {
		u.e.s.panicked("upload", p)
		u.e.fail(errPanic)
	}
}

// fail ends the exchange: the client did not send what it had announced.
func (u *upload) fail(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	u.e.fail(u.e.clientReadError(err))
}

// sent tells whether all of the body was sent.
func (u *upload) sent() bool {
	select {
	case <-u.done:
		return u.whole
	default:
		return false
	}
}

// join ends the upload and waits for it. The answer is over; whatever is left
// of the body is of no use to anybody.
func (u *upload) join() {
	select {
	case <-u.done:
	default:
		u.e.client.stopReads()
		u.a.link.conn.SetWriteDeadline(time.Unix(1, 0))
		<-u.done
		u.a.link.conn.writeUntil = time.Time{}
	}
	u.e.client.uploads = false
	if !u.whole {
		u.a.body.dirty = true
		u.e.client.unread.Store(true)
	}
}

// requestStream returns the body of the request in ctx and its length, -1
// when it is chunked, 0 and nil when there is none.
func requestStream(ctx *fasthttp.RequestCtx) (io.Reader, int) {
	length := ctx.Request.Header.ContentLength()
	body := ctx.RequestBodyStream()
	if body == nil || length == 0 || length < -1 {
		return nil, 0
	}
	return body, length
}

// withoutKey returns body without its top-level apiKey members, in the same
// memory; body itself when it has none.
func withoutKey(body []byte) []byte {
	if r, _ := stream.ParseRequest(stream.Native, body); !r.HasKey {
		return body
	}
	return stream.AppendWithoutKey(body[:0], body)
}

// holdBody reads the whole request body and finds the request's route. It
// returns nil when the request has been answered.
func (e *exchange) holdBody(ctx *fasthttp.RequestCtx) *buffer {
	body, length := requestStream(ctx)
	if body != nil && ctx.Conn() == net.Conn(e.client) {
		e.reader = e.s.readers.of(body)
	}
	limit := int64(e.st.maxBody)
	buf := getHeld(min(length, wholeBody))
	more, err := false, errTooLarge
	if int64(length) <= limit {
		if more, err = e.readBody(buf, body, length, limit); err == nil && more {
			err = errTooLarge
		}
	}
	if err != nil {
		e.refuseBody(ctx, err, limit)
	} else if r := e.arrive(ctx.Host(), buf.B); r != nil {
		e.refuse(ctx, r)
	} else {
		return buf
	}
	putHeld(buf)
	return nil
}
