package proxy

import (
	"time"

	"github.com/valyala/fasthttp"
)

// A connection that is closed over bytes that were not read is reset, and the
// reset takes away what the peer has not read yet, or ends its write with an
// error before it reads at all (RFC 9112 9.6): who sends a body that is too large
// would see no 413, but a broken connection. So the proxy closes its own side
// first, and reads for a while.

// lingerFor is how long a client gets to close its end once the proxy has
// closed its own, or to send more.
const lingerFor = time.Second

// lingerMost bounds how long a client may go on sending what nobody wants.
const lingerMost = 10 * time.Second

// leaveUnread says that the answer in ctx is given before all of the request's
// body was read: the connection is closed behind it, and lingers. It is called when
// the answer stands, since making one begins with an empty response.
func (c *clientConn) leaveUnread(ctx *fasthttp.RequestCtx) {
	if _, length := requestStream(ctx); length != 0 {
		c.unread.Store(true)
		ctx.SetConnectionClose()
	}
}

// linger says that nothing more will be sent and reads until the client has
// done the same, or is silent for lingerFor, or has gone on for most. What comes
// is read below TLS, and by the connection itself, which several may read from.
// Little memory is held while nothing comes: there are many such connections when
// requests are refused because there is too much of them.
func (c *clientConn) linger(most time.Duration) {
	closeWrite(c.Conn)
	in := pipe{src: unwrapped(c.below)} // only to read from
	defer in.giveBack()
	end := time.Now().Add(most)
	for {
		in.src.SetReadDeadline(earlier(time.Now().Add(lingerFor), end))
		if _, err := in.read(); err != nil {
			return
		}
	}
}
