package proxy

import (
	"bytes"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// keyPlace is where a request's key was found, in the order of looking.
type keyPlace uint8

const (
	keyNowhere keyPlace = iota
	keyInHeader
	keyInQuery
	keyInBearer
	keyInBody
)

// route finds the key and the group. body is the request body as far as it was read, nil when it was not.
func (e *exchange) route(host, body []byte) *refusal {
	if cap(e.scratch) < len(e.query) {
		e.scratch = make([]byte, 0, 2*len(e.query))
	}
	q, err := routing.SplitQuery(e.st.table, e.query, e.scratch)
	if err != nil {
		return refuse(400, err.Error())
	}
	switch {
	case len(e.head.key) > 0:
		e.key, e.keyIn = e.head.key, keyInHeader
	case len(q.Key) > 0:
		e.key, e.keyIn = q.Key, keyInQuery
	case len(e.head.bearer) > 0:
		e.key, e.keyIn = e.head.bearer, keyInBearer
	case len(body) > 0:
		if r := e.bodyKey(body); r != nil {
			return r
		}
	}
	chosen, _ := e.st.table.Choose(routing.Hints{
		Key: e.key, Header: e.head.group, Query: q.Group, Host: host,
	})
	e.group = e.st.groups[chosen.Name]
	e.cfg = &e.group.cfg
	_, e.key = e.st.table.SplitKey(e.key)
	if e.keyIn != keyInBearer {
		_, e.head.bearer = e.st.table.SplitKey(e.head.bearer)
	}
	e.rest = q.Rest
	return nil
}

// bodyKey takes the key from the body's top-level apiKey.
func (e *exchange) bodyKey(body []byte) *refusal {
	r, _ := stream.ParseRequest(stream.Native, body)
	if len(r.Key) > maxKeyBytes {
		return refuse(400, "apiKey is longer than "+strconv.Itoa(maxKeyBytes)+" bytes")
	}
	for _, c := range r.Key {
		if c < ' ' || c > '~' {
			return refuse(400, "apiKey holds a character that is not allowed in a header")
		}
	}
	if len(r.Key) > 0 {
		e.key, e.keyIn = r.Key, keyInBody
	}
	return nil
}

// plan is what one upstream request says beside its target.
type plan struct {
	body     []byte
	length   int64  // of the body; -1: chunked, sent by somebody else
	identity bool   // ask for an answer without content coding
	upgrade  bool   // ask for a WebSocket
	patient  bool   // the answer may take long: the wait for it is to take little memory
	target   []byte // GET this in place of the client's request, nil: as the client asks
	timeout  int64  // X-Server-Timeout in seconds, 0: as the client sent it
}

// appendHead appends the head of an upstream request. Names and values are
// the client's, in its order; what the proxy decides comes first and last, so
// that no Connection header of the client can take it away.
func (e *exchange) appendHead(dst []byte, p *plan) []byte {
	if p.target != nil {
		dst = append(append(dst, "GET "...), p.target...)
	} else {
		dst = append(append(append(dst, e.method...), ' '), e.target...)
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, e.lease.target().base.Host...)
	dst = append(dst, "\r\n"...)
	// Who has shown a token of the proxy's has nothing else to show to the upstream.
	own := e.place.client != nil || e.pooled && e.group.replace
	for _, f := range e.head.fields {
		if e.trace != nil && isTraceField(f.name) || own && isAuthorization(f.name) {
			continue
		}
		if p.target == nil || !bytes.EqualFold(f.name, []byte(fasthttp.HeaderContentType)) {
			dst = appendField(dst, f.name, f.value)
		}
	}
	if e.trace != nil {
		dst = e.trace.appendHeaders(dst, e.head.fields)
	}
	dst = e.appendCredentials(dst)
	if p.upgrade {
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: "+webSocket+"\r\n"...)
	}
	switch {
	case p.identity:
		dst = append(dst, "Accept-Encoding: identity\r\n"...)
	case len(e.head.acceptEncoding) > 0:
		dst = appendField(dst, []byte("Accept-Encoding"), e.head.acceptEncoding)
	}
	if p.timeout > 0 {
		dst = append(dst, "X-Server-Timeout: "...)
		dst = strconv.AppendInt(dst, p.timeout, 10)
		dst = append(dst, "\r\n"...)
	} else if len(e.head.serverTimeout) > 0 {
		dst = appendField(dst, []byte("X-Server-Timeout"), e.head.serverTimeout)
	}
	switch {
	case p.target != nil:
	case p.length < 0:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case p.length > 0 || e.head.hasLength || e.head.hasCoding:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, p.length, 10)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// appendCredentials sends the key where it came from; one from the query or
// the body goes into the header, so that it never stands in a URL. A key of the
// group takes the place of everything that the client sent.
func (e *exchange) appendCredentials(dst []byte) []byte {
	if l := &e.lease; l.key != routing.NoKey {
		secret := l.group.keys.Secret(l.key)
		if e.keyIn == keyInBearer || e.keyIn == keyNowhere && e.isChat() {
			return appendBearer(dst, secret)
		}
		return appendField(dst, []byte("x-goog-api-key"), secret)
	}
	if e.pooled {
		return dst
	}
	if e.keyIn != keyNowhere && e.keyIn != keyInBearer && len(e.key) > 0 {
		dst = appendField(dst, []byte("x-goog-api-key"), e.key)
	}
	token := e.head.bearer
	if e.keyIn == keyInBearer {
		token = e.key
	}
	if len(token) > 0 {
		dst = appendBearer(dst, token)
	}
	return dst
}

// isAuthorization tells whether a field is an Authorization: among those that
// pass, one of another scheme than Bearer.
func isAuthorization(name []byte) bool {
	return bytes.EqualFold(name, []byte(fasthttp.HeaderAuthorization))
}

func appendBearer(dst, token []byte) []byte {
	dst = append(dst, "Authorization: Bearer "...)
	dst = append(dst, token...)
	return append(dst, "\r\n"...)
}

func appendField(dst, name, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// serverTimeout returns the time that the client gives the server for the
// whole answer (X-Server-Timeout, seconds), 0 when it says none.
func (e *exchange) serverTimeout() time.Duration {
	v := bytes.TrimSpace(e.head.serverTimeout)
	if len(v) == 0 {
		return 0
	}
	s, err := strconv.ParseFloat(string(v), 64)
	if err != nil || !(s > 0) || s > 1e6 {
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

// copyResponseHead gives the client the upstream's status and its fields, but
// for those that stay behind. Framing is left to fasthttp.
func (s *Server) copyResponseHead(dst *fasthttp.Response, src *fasthttp.ResponseHeader) {
	dst.SetStatusCode(src.StatusCode())
	if m := src.StatusMessage(); len(m) > 0 {
		dst.Header.SetStatusMessage(m)
	}
	var room [4][]byte
	named := namedBy(room[:0], src)
	for name, value := range src.All() {
		var buf [32]byte
		lowered := lower(buf[:0], name)
		if staysBehind(lowered) {
			continue
		}
		switch string(lowered) {
		case "access-control-allow-origin", "access-control-expose-headers":
			if s.cors.on() {
				continue
			}
		}
		if !named.has(name) {
			dst.Header.AddBytesKV(name, value)
		}
	}
}

// staysBehind tells whether a response field, its name in lower case, is not for
// the client.
func staysBehind(name []byte) bool { return isHop(name) || isOrigins(name) }

// isOrigins tells whether a response field, its name in lower case, has the
// client keep something for the origin that it comes from: other ways to it, the
// rules for connections to it, where its failures are reported, what it wants to
// be told, what it had stored. What the upstream says so of its own origin would
// be kept for the proxy's (RFC 7838 3, RFC 6797 8.1, RFC 7469 2.3, RFC 9163 2.3,
// RFC 8942 3.1; Network Error Logging, Reporting API, Clear Site Data of the W3C).
func isOrigins(name []byte) bool {
	switch string(name) {
	case "alt-svc", "strict-transport-security",
		"public-key-pins", "public-key-pins-report-only", "expect-ct",
		"nel", "report-to", "reporting-endpoints",
		"accept-ch", "critical-ch", "clear-site-data":
		return true
	}
	return false
}

// isHop tells whether a response field, its name in lower case, is for one hop
// only or is written anew (RFC 9110 7.6.1).
func isHop(name []byte) bool {
	switch string(name) {
	case "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
		"te", "trailer", "transfer-encoding", "upgrade", "content-length":
		return true
	}
	return false
}

// namedBy appends the names that the Connection fields of h list, there may be
// several, and sorts them.
func namedBy(dst named, h *fasthttp.ResponseHeader) named {
	for name, value := range h.All() {
		if bytes.EqualFold(name, []byte(fasthttp.HeaderConnection)) {
			dst = dst.with(value)
		}
	}
	dst.sort()
	return dst
}
