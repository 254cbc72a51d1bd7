package proxy_test

import (
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// sentinel is a request that a test sends after another one: what the proxy
// still holds of that one, or takes for a request of its own, comes before it.
const sentinel = "GET /sentinel HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

// TestRawRequests sends requests as no HTTP library would. A refused one must
// reach nobody and end the connection; a good one must arrive as exactly one
// request, framed in one way, below the path of its group.
func TestRawRequests(t *testing.T) {
	r := newRig(t, plain, func(c *proxy.Config) {
		c.GroupMapping = map[string]string{"default": "/group"}
	})
	check := func(t *testing.T) {
		t.Helper()
		for _, q := range r.up.Requests() {
			lines := headLines(q.Raw)
			if target := strings.Split(lines[0], " "); len(target) != 3 || !strings.HasPrefix(target[1], "/group/") || target[2] != "HTTP/1.1" {
				t.Errorf("request line upstream: %q", lines[0])
			}
			if countLines(q.Raw, "Host") != 1 || q.Host != r.up.Addr() {
				t.Errorf("Host upstream:\n%s", q.Raw)
			}
			if countLines(q.Raw, "Content-Length")+countLines(q.Raw, "Transfer-Encoding") > 1 {
				t.Errorf("framed twice upstream:\n%s", q.Raw)
			}
			if q.BodyErr != nil {
				t.Errorf("body upstream: %v", q.BodyErr)
			}
		}
		if n := r.up.Malformed(); n != 0 {
			t.Errorf("%d heads upstream were malformed", n)
		}
	}
	// refused: status 0 is a connection that ends without an answer.
	refused := func(name string, status int, request string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			r.up.Reset()
			w := r.wire()
			w.t = t
			w.send(request)
			if status != 0 {
				if resp, body := w.wants("GET", status); !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") ||
					!strings.Contains(body, `"error"`) {
					t.Errorf("body: %q", body)
				}
			}
			if !w.closed() {
				t.Error("the connection stays open after a refusal")
			}
			if n := r.up.Count(); n != 0 {
				t.Errorf("the upstream saw %d requests", n)
			}
			check(t)
		})
	}
	// passed: the n requests in request are answered 200 and arrive once each.
	passed := func(name string, n int, request string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			r.up.Reset()
			w := r.wire()
			w.t = t
			w.send(request)
			method, _, _ := strings.Cut(request, " ")
			for range n {
				w.wants(method, 200)
			}
			w.send(sentinel)
			w.wants("GET", 200)
			if !w.closed() {
				t.Error("the connection stays open after the sentinel")
			}
			got := r.up.Requests()
			if len(got) != n+1 || !strings.HasSuffix(got[n].Target, "/sentinel") {
				t.Errorf("the upstream saw %d requests, want %d", len(got), n+1)
			}
			check(t)
		})
	}
	// broken: the body turns out to be malformed while it streams. The upstream
	// may see it begin, never end.
	broken := func(name, request string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			r.up.Reset()
			w := r.wire()
			w.t = t
			w.send(request)
			w.wants("POST", 400)
			if !w.closed() {
				t.Error("the connection stays open after a refusal")
			}
			if !r.up.Await(patience, func() bool { return r.up.Count() == 1 }) {
				t.Errorf("the upstream saw %d requests", r.up.Count())
			}
			for _, q := range r.up.Requests() {
				if q.BodyErr == nil {
					t.Errorf("a whole request arrived:\n%s%s", q.Raw, q.Body)
				}
			}
		})
	}
	const (
		get    = "GET /v1beta/models HTTP/1.1\r\n"
		heal   = "POST " + streamPath + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
		post   = "POST /v1beta/models/m:countTokens HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
		host   = "Host: a\r\n"
		end    = "\r\n"
		second = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n"
	)
	path := func(p string) string { return "GET " + p + " HTTP/1.1\r\n" + host + end }

	// Two lengths, or one that is none.
	passed("no body", 1, get+host+end)
	passed("content-length", 1, post+"Content-Length: 3\r\n\r\nabc")
	passed("content-length zero", 1, post+"Content-Length: 0\r\n\r\n")
	passed("content-length with zeros", 1, post+"Content-Length: 003\r\n\r\nabc")
	refused("content-length twice", 400, post+"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc")
	refused("content-length twice, unequal", 400, post+"Content-Length: 3\r\nContent-Length: 30\r\n\r\nabc"+second)
	refused("content-length list", 400, post+"Content-Length: 3, 3\r\n\r\nabc")
	refused("content-length list, unequal", 400, post+"Content-Length: 3, 5\r\n\r\nabc"+second)
	refused("content-length plus", 400, post+"Content-Length: +3\r\n\r\nabc")
	refused("content-length minus", 400, post+"Content-Length: -1\r\n\r\nabc")
	refused("content-length hex", 400, post+"Content-Length: 0x3\r\n\r\nabc")
	refused("content-length empty", 400, post+"Content-Length: \r\n\r\nabc")
	refused("content-length word", 400, post+"Content-Length: three\r\n\r\nabc")
	refused("content-length overflow", 400, post+"Content-Length: 18446744073709551619\r\n\r\nabc")
	refused("content-length fraction", 400, post+"Content-Length: 3.0\r\n\r\nabc")
	refused("content-length in two halves", 400, post+"Content-Length: 1 0\r\n\r\n0123456789")
	refused("content_length", 400, post+"Content_Length: 40\r\nContent-Length: 3\r\n\r\nabc")

	// Transfer codings.
	passed("chunked", 1, post+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	passed("chunked in capitals", 1, post+"TRANSFER-ENCODING: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	passed("chunked, empty", 1, post+"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	passed("chunked, trailer", 1, post+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")
	refused("both framings", 400, post+"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+second)
	refused("both framings, the other way", 400, post+"Transfer-Encoding: chunked\r\nContent-Length: 40\r\n\r\n0\r\n\r\n"+second)
	refused("identity", 400, post+"Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc")
	refused("identity alone", 400, post+"Transfer-Encoding: identity\r\n\r\n"+second)
	refused("gzip, chunked", 400, post+"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")
	refused("chunked twice", 400, post+"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	refused("chunked, chunked", 400, post+"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n")
	refused("xchunked", 400, post+"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")
	refused("chunked with VT", 400, post+"Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n")
	refused("chunked quoted", 400, post+"Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n")
	refused("coding folded", 400, post+"Transfer-Encoding:\r\n chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n")
	refused("space before colon", 400, post+"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n")
	refused("transfer_encoding", 400, post+"Transfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc")
	refused("chunked in 1.0", 400, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")

	// Chunks.
	passed("chunk extension", 1, post+"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n")
	passed("chunk size with zeros", 1, post+"Transfer-Encoding: chunked\r\n\r\n003\r\nabc\r\n000\r\n\r\n")
	for _, c := range [][2]string{
		{"chunk size hex prefix", "0x3\r\nabc\r\n0\r\n\r\n"},
		{"chunk size plus", "+3\r\nabc\r\n0\r\n\r\n"},
		{"chunk size minus", "-3\r\nabc\r\n0\r\n\r\n"},
		{"chunk size word", "xyz\r\nabc\r\n0\r\n\r\n"},
		{"chunk size missing", "\r\nabc\r\n0\r\n\r\n"},
		{"chunk size overflow", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"},
		{"chunk size negative when signed", "ffffffffffffffff\r\nabc\r\n0\r\n\r\n"},
		{"chunk with bare LF", "3\nabc\n0\n\n"},
		{"chunk longer than its size", "3\r\nabcd\r\n0\r\n\r\n"},
		{"length in trailer", "0\r\nContent-Length: 40\r\n\r\n" + second},
	} {
		refused(c[0], 400, post+"Transfer-Encoding: chunked\r\n\r\n"+c[1])
		refused(c[0]+", healed", 400, heal+"Transfer-Encoding: chunked\r\n\r\n"+c[1])
		broken(c[0]+", streamed", media+"Transfer-Encoding: chunked\r\n\r\n"+c[1])
	}

	// Lines.
	refused("folded field", 400, get+host+"X-A: b\r\n c\r\n\r\n")
	refused("folded with TAB", 400, get+host+"X-A: b\r\n\tc\r\n\r\n")
	refused("folded first line", 400, get+" X-A: b\r\n"+host+end)
	refused("bare LF in one line", 400, get+host+"X-A: b\nX-B: c\r\n\r\n")
	refused("bare CR in value", 400, get+host+"X-A: b\rX-B: c\r\n\r\n")
	refused("NUL in value", 400, get+host+"X-A: b\x00c\r\n\r\n")
	refused("NUL in name", 400, get+host+"X-A\x00: b\r\n\r\n")
	refused("space in name", 400, get+host+"X A: b\r\n\r\n")
	refused("empty name", 400, get+host+": b\r\n\r\n")
	refused("no colon", 400, get+host+"X-A\r\n\r\n")
	refused("colon in front", 400, get+host+":X-A: b\r\n\r\n")
	refused("non-ASCII name", 400, get+host+"X-\xc3\xa4: b\r\n\r\n")
	passed("non-ASCII value", 1, get+host+"X-A: \xc3\xa4\r\n\r\n")
	passed("empty value", 1, get+host+"X-A:\r\n\r\n")

	// Request lines.
	refused("HTTP/0.9", 400, "GET /v1beta/models\r\n\r\n")
	refused("HTTP/1.0", 505, "GET /v1beta/models HTTP/1.0\r\nHost: a\r\n\r\n")
	refused("HTTP/1.2", 505, "GET /v1beta/models HTTP/1.2\r\nHost: a\r\n\r\n")
	refused("HTTP/2.0", 505, "GET /v1beta/models HTTP/2.0\r\nHost: a\r\n\r\n")
	refused("preface of HTTP/2", 400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	refused("http in small letters", 400, "GET /v1beta/models http/1.1\r\nHost: a\r\n\r\n")
	refused("no version number", 400, "GET /v1beta/models HTTP/1.1.1\r\nHost: a\r\n\r\n")
	refused("method in small letters", 400, "get /v1beta/models HTTP/1.1\r\nHost: a\r\n\r\n")
	refused("two spaces", 400, "GET  /v1beta/models HTTP/1.1\r\nHost: a\r\n\r\n")
	refused("TAB", 400, "GET\t/v1beta/models HTTP/1.1\r\nHost: a\r\n\r\n")
	refused("space in target", 400, "GET /v1beta/mo dels HTTP/1.1\r\nHost: a\r\n\r\n")
	refused("CONNECT", 405, "CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n")
	refused("TRACE", 405, "TRACE /v1beta/models HTTP/1.1\r\nHost: a\r\n\r\n")
	refused("OPTIONS *", 400, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
	refused("absolute-form", 400, "GET http://evil/v1beta/models HTTP/1.1\r\nHost: a\r\n\r\n")
	refused("absolute-form, own host", 400, "GET http://a/v1beta/models HTTP/1.1\r\nHost: a\r\n\r\n")
	refused("no slash", 400, "GET v1beta/models HTTP/1.1\r\nHost: a\r\n\r\n")
	refused("garbage", 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
	passed("unknown method", 1, "FROBNICATE /v1beta/models HTTP/1.1\r\nHost: a\r\n\r\n")
	passed("OPTIONS", 1, "OPTIONS /v1beta/models HTTP/1.1\r\nHost: a\r\n\r\n")

	// Hosts.
	refused("no host", 400, get+end)
	refused("two hosts", 400, get+host+"Host: b\r\n\r\n")
	refused("host with path", 400, get+"Host: a/b\r\n\r\n")
	refused("host with user", 400, get+"Host: a@evil\r\n\r\n")
	refused("host with space", 400, get+"Host: a b\r\n\r\n")
	refused("host list", 400, get+"Host: a,\r\n b\r\n\r\n")
	passed("host with port", 1, get+"Host: a:80\r\n\r\n")
	passed("host IPv6", 1, get+"Host: [::1]:80\r\n\r\n")

	// Paths that could lead out of the group.
	for _, p := range []string{
		"/..", "/../x", "/v1/../../x", "/v1/..", "/./x", "/v1/%2e%2e/x", "/v1/%2E%2E/x", "/v1/.%2e/x", "/v1/%2e./x", "/v1/%2e/x",
		"/v1/%252e%252e/x", "/v1/..%2fx", "/v1/..%2Fx", "/v1%2f..%2fx", "/v1/%2e%2e%2fx", "/v1/..%5cx", "/v1%5c..%5cx", "/v1/..;/x", "/v1/..;a=b/x",
		"/v1/%2e%2e%3b/x", `/v1\..\x`, `/v1/..\x`, "/v1/%zz", "/v1/%2", "/v1/%", "/v1#frag", "/v1/x?a=b#frag",
	} {
		refused("path "+p, 400, path(p))
	}
	for _, p := range []string{
		"/v1/a%2fb", "/v1/a%5cb", "/v1/%00", "/v1/a%2520b", "//evil/a", "///", "/v1//x", "/v1/...", "/v1/.x", "/v1/x..", "/v1/x/",
		"/v1/?a=../..", "/v1/x?u=http://evil/", "/@evil/x", "/v1/models/m:embedContent", "/%3f", "/%23",
	} {
		passed("path "+p, 1, path(p))
	}

	// Sizes.
	refused("huge header", 431, get+host+"X-A: "+strings.Repeat("a", 40<<10)+"\r\n\r\n")
	refused("huge target", 431, path("/"+strings.Repeat("a", 40<<10)))
	refused("3000 headers", 431, get+host+strings.Repeat("X-Abcde: f\r\n", 3000)+end)
	passed("1000 headers", 1, get+host+strings.Repeat("X-Abcde: f\r\n", 1000)+end)
	passed("large header", 1, get+host+"X-A: "+strings.Repeat("a", 30<<10)+"\r\n\r\n")

	// What asks for more than a request.
	passed("expect 100-continue", 1, post+"Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
	refused("expect something else", 417, post+"Content-Length: 3\r\nExpect: x 100-continue\r\n\r\nabc")
	refused("expect a list", 417, post+"Content-Length: 3\r\nExpect: 100-continue, x\r\n\r\nabc")
	passed("upgrade h2c", 1, get+host+"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
	passed("upgrade websocket", 1, get+host+"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	passed("body on GET", 1, get+host+"Content-Length: 3\r\n\r\nabc")
	passed("body on GET that is a request", 1, get+host+"Content-Length: 33\r\n\r\n"+second)
	passed("body on HEAD", 1, "HEAD /v1beta/models HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
	passed("body on DELETE", 1, "DELETE /v1beta/models HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	passed("three in one segment", 3, get+host+end+post+"Content-Length: 3\r\n\r\nabc"+get+host+end)
	passed("empty line before", 1, "\r\n"+get+host+end)
}

// TestHealthTakesNoBody asks for the public health with a body that is itself
// a request.
func TestHealthTakesNoBody(t *testing.T) {
	r := newRig(t, plain, nil)
	w := r.wire()
	w.send("GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n1234")
	w.wants("GET", 200)
	w.send(sentinel)
	w.wants("GET", 200)
	if !w.closed() || r.up.Count() != 1 {
		t.Errorf("the upstream saw %d requests, want the sentinel alone", r.up.Count())
	}
}

// TestPipelinedStream puts a stream between two short requests of one segment:
// the answers come in order and whole.
func TestPipelinedStream(t *testing.T) {
	m := &upstream.Model{Answer: strings.Repeat("word ", 50)}
	r := newRig(t, func(q *upstream.Request) upstream.Script {
		if q.Method == "GET" {
			return plain(q)
		}
		return m.Handle(q)
	}, nil)
	w := r.wire()
	body := ask("hi")
	w.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\n" +
		"POST " + streamPath + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n" + body +
		"GET /three HTTP/1.1\r\nHost: a\r\n\r\n")
	_, one := w.wants("GET", 200)
	_, two := w.wants("POST", 200)
	_, three := w.wants("GET", 200)
	if want := strings.Join(upstream.EventsOf(r.up.Requests()[1].ResponseID(), m.Answer, 0), ""); one != `{"ok":true}` || three != one || two != want {
		t.Errorf("one %q\ntwo %q\nthree %q", one, two, three)
	}
}
