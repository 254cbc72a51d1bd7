package proxy_test

import (
	"fmt"
	"io"
	"log"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gemini-resilient-proxy/proxy"
)

var quietLog = log.New(io.Discard, "", 0)

// strangeRequests returns requests at the edges of HTTP/1.1, good and bad.
func strangeRequests() (all []string) {
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	const second = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n"
	head := func(line string) string { return line + " HTTP/1.1\r\nHost: a\r\n" }
	posts := []string{
		head("POST /v1/x"), head("POST /v1/x") + "Content-Type: application/json\r\n", head("POST "+streamPath) + "Content-Type: application/json\r\n",
		head("PUT /upload/x") + "Content-Type: image/png\r\n", head("POST /v1beta/models/m:generateContent") + "Content-Type: application/json\r\n",
		head("POST "+chatPath) + "Content-Type: application/json\r\n", head("POST "+interPath) + "Content-Type: application/json\r\n",
	}
	// Framings, for each way that bodies take through the proxy.
	for _, p := range posts {
		for _, f := range []string{
			"Content-Length: 2\r\n\r\n{}", "Content-Length: 02\r\n\r\n{}", "Content-Length:2\r\n\r\n{}", "content-length: \t2\t\r\n\r\n{}",
			"Content-Length: 0\r\n\r\n", "Content-Length: +2\r\n\r\n{}", "Content-Length: -2\r\n\r\n{}", "Content-Length: 2 \r\n\r\n{}",
			"Content-Length: 0x2\r\n\r\n{}", "Content-Length: 2,2\r\n\r\n{}", "Content-Length: 2, 3\r\n\r\n{}", "Content-Length: 2;a\r\n\r\n{}",
			"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "Content-Length: 2\r\nCONTENT-LENGTH: 40\r\n\r\n{}",
			"Content-Length: 2\r\n Content-Length: 40\r\n\r\n{}", "Content-Length : 2\r\n\r\n{}", "Content-Length\t: 2\r\n\r\n{}", "Content-Length: 99999999999999999999\r\n\r\n{}",
			"Content-Length: 2\x00\r\n\r\n{}", "Content-Length: 2\r\r\n\r\n{}", "Content-Length: 2\n\r\n{}", "Content-Length: \r\n\r\n{}", "Content-Length: ２\r\n\r\n{}",
			"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "transfer-encoding: CHUNKED\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding:chunked\r\n\r\n0\r\n\r\n",
			"Transfer-Encoding: chunked \r\n\r\n2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding:\tchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding : chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
			"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "Content-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
			"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second, "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n" + second,
			"Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: identity, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
			"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", "Transfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "Transfer-Encoding: \r\nContent-Length: 2\r\n\r\n{}",
			"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
			"Transfer-Encoding: chunked;q=1\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: \x0bchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n",
			"Transfer-Encoding:\r\n chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "Transfer_Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}", "Transfer-Encoding: ｃhunked\r\nContent-Length: 2\r\n\r\n{}",
			"X: y\r\n\tTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}", "X: y\rTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
			"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding\x00: chunked\r\nContent-Length: 2\r\n\r\n{}",
		} {
			add("%s%s", p, f)
		}
		// Chunks.
		for _, c := range []string{
			"2;a\r\n{}\r\n0\r\n\r\n", "2;a=\"b\"\r\n{}\r\n0;c\r\n\r\n", "2 ;a\r\n{}\r\n0\r\n\r\n", "2\t\r\n{}\r\n0\r\n\r\n", "02\r\n{}\r\n00\r\n\r\n", "2\n{}\r\n0\r\n\r\n",
			"2\r\n{}\n0\r\n\r\n", "2\r\n{}\r\n0\n\r\n", "2\r\n{}\r\n0\r\n\n", "2\r{}\r\n0\r\n\r\n", "2;a\nb\r\n{}\r\n0\r\n\r\n", "2;a\rb\r\n{}\r\n0\r\n\r\n", "2\r\n{}0\r\n\r\n", "2\r\n{}xx0\r\n\r\n", "2\r\n{}\rx0\r\n\r\n",
			"2\r\n{}\r\r\n0\r\n\r\n", "1\r\n{}\r\n0\r\n\r\n", "3\r\n{}\r\n0\r\n\r\n", "+2\r\n{}\r\n0\r\n\r\n", "-2\r\n{}\r\n0\r\n\r\n", "0x2\r\n{}\r\n0\r\n\r\n", "2_0\r\n{}\r\n0\r\n\r\n",
			" 2\r\n{}\r\n0\r\n\r\n", "2 2\r\n{}\r\n0\r\n\r\n", "\r\n2\r\n{}\r\n0\r\n\r\n", "g\r\n{}\r\n0\r\n\r\n", "ffffffffffffffff\r\n{}\r\n0\r\n\r\n", "10000000000000002\r\n{}\r\n0\r\n\r\n",
			"100000002\r\n{}\r\n0\r\n\r\n", "0000000000000000000000002\r\n{}\r\n0\r\n\r\n", "2\x00\r\n{}\r\n0\r\n\r\n", "0\r\n\r\n" + second, "0\r\nX: y\r\n\r\n" + second,
			"0\r\nContent-Length: 40\r\n\r\n" + second, "0\r\nTransfer-Encoding: chunked\r\n\r\n" + second, "0\r\nHost: b\r\n\r\n", "0\r\nx-goog-api-key: K\r\n\r\n",
			"0\r\nX y: z\r\n\r\n", "0\r\n: z\r\n\r\n", "0\r\nX\r\n\r\n", "0\r\nX: y\n\r\n", "0\r\nX: \x00\r\n\r\n", "0\r\n X: y\r\n\r\n", "0\r\nX: y\r\n z\r\n\r\n",
			"2;" + strings.Repeat("a", 300) + "\r\n{}\r\n0\r\n\r\n", "0\r\nX: " + strings.Repeat("y", 3000) + "\r\n\r\n",
		} {
			add("%sTransfer-Encoding: chunked\r\n\r\n%s", p, c)
			add("%sTransfer-Encoding: chunked\r\nTrailer: X, Content-Length\r\n\r\n%s", p, c)
		}
	}
	// Targets.
	for _, target := range []string{
		"/", "//", "///a//b", "/a;b=c/d;e", "/a?b?c", "/a?", "/a??", "/?a=b&a=c&&", "/a?x=%zz", "/%00", "/%0a", "/%0d%0aX:%20y", "/%2f", "/%5c", "/%", "/%4", "/%zz",
		"/a%20b", "/a+b", "/a b", "/a\tb", "/a\x00b", "/a\x7fb", "/a\x80b", "/ä", "/a?ä=\x80", "/a\"b", "/a<b>", "/a|b", "/a^b", "/a`b", "/a{b}", `/a\b`, "/a#b", "/a?b#c",
		"/.", "/..", "/a/..", "/a/../b", "/a/./b", "/%2e%2e/a", "/.%2e/a", "/a/..%2fb", "/a/..;/b", "/a/...", "/.a", "/a.", "//evil/a", "//evil@a/b", "/@evil/a", "/:80/a",
		"http://a/b", "http://evil/b", "https://a/", "HTTP://a/b", "a/b", "a:80", "*", "", "?a", "/healthz", "/healthz?", "/healthz/", "/healthzz", "//healthz", "/%68ealthz",
		"/a?u=http://b/", "/a?b=c#", "/" + strings.Repeat("a/", 3000), "/a?" + strings.Repeat("b=c&", 3000),
	} {
		add("%s\r\n", head("GET "+target))
		add("%sContent-Length: 2\r\n\r\n{}", head("POST "+target))
	}
	// Methods and versions.
	for _, m := range []string{"get", "Get", "GET ", " GET", "GET\t", "G\x00T", "GÉT", "G(T", "G-T", "G_T", "M!#$%&'*+.^`|~9", "CONNECT", "TRACE", "OPTIONS", "PRI", "QUERY", "HEAD", "DELETE", "", "\""} {
		add("%s /a HTTP/1.1\r\nHost: a\r\n\r\n", m)
	}
	for _, v := range []string{"HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.1 ", " HTTP/1.1", "HTTP/1.1\t", "HTTP/01.1", "HTTP/1.10", "HTTP/11", "HTTP/1,1", "HTTPS/1.1", "HTTP /1.1", ""} {
		add("GET /a %s\r\nHost: a\r\n\r\n", v)
		add("GET /a %s\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"+second, v)
	}
	// Hosts.
	for _, h := range []string{
		"Host: a\r\nHost: a\r\n", "Host: a\r\nhost: b\r\n", "", "Host:\r\n", "Host: \r\n", "Host: a b\r\n", "Host: a/b\r\n", "Host: a\\b\r\n", "Host: a@b\r\n", "Host: a?b\r\n", "Host: a#b\r\n",
		"Host: a,b\r\n", "Host: a:b\r\n", "Host: a:80:80\r\n", "Host: [::1]\r\n", "Host: [::1\r\n", "Host: ä\r\n", "Host: %61\r\n", "Host: a\x00\r\n", "Host : a\r\n", " Host: a\r\n",
		"X: y\r\nHost: a\r\n", "Host: a\r\n b\r\n", "H\xf6st: a\r\n", "Host: a\"\r\n", "Host: <a>\r\n", "Host: a\x7f\r\n", "Host: group.a:80\r\n",
	} {
		add("GET /a HTTP/1.1\r\n%s\r\n", h)
	}
	// Fields.
	for _, f := range []string{
		"X: \x01", "X: \x7f", "X: \x80\xff", "X: \t", "X: a\tb", "X:a", "X:\ta \t", "X: \x1b[31m", "X: \x0b", "X: \x0c", "X: \x1f", "X: a\x00b", "X: a\rb", "X: a\r", "X: a\nY: b", "X: a\r\n b", "X: a\r\n\tb",
		"X : a", "X\t: a", " X: a", "\tX: a", "X", ":", ": a", "X:", "X(: a", "X\"Y: a", "X/Y: a", "X@Y: a", "X[Y]: a", "X{: a", "X=: a", "X,Y: a", "X;Y: a", "Ä: a", "X\x00: a", "X\x7f: a", "X\x80: a", "_X: a", "X.Y: a",
		"X: a\r\nx: b\r\nX: c", "Connection: x-a, close\r\nX-A: 1", "Connection: X-A\r\nx-a: 1\r\nX-a: 2", "Connection: Host, Content-Length, X-B\r\nX-B: 1", "Connection: authorization\r\nAuthorization: Basic a",
		"Connection: keep-alive, Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AA", "Connection: Upgrade\r\nUpgrade: websocket", "Connection: \"x-a\"\r\nX-A: 1", "Connection: x-a x-b\r\nX-A: 1", "Connection:,,\tx-a\t,\r\nX-A: 1",
		"Connection: transfer-encoding", "Connection: expect\r\nExpect: 100-continue", "Connection: accept-encoding\r\nAccept-Encoding: gzip", "Connection: x-server-timeout\r\nX-Server-Timeout: 9", "Keep-Alive: timeout=5", "TE: trailers, deflate", "Proxy-Connection: close",
		"Trailer: X", "Trailer: Content-Length", "Trailer: Transfer-Encoding", "Expect: 100-continue", "Expect: 100-Continue", "Expect: 200-ok", "Expect: ", "Accept-Encoding: gzip\r\nAccept-Encoding: br", "Content-Type: a\r\nContent-Type: b",
		"User-Agent: a\r\nUser-Agent: b", "User-Agent:", "Referer:", "Range: bytes=0-1", "Authorization: Bearer a\r\nAuthorization: Bearer b", "Authorization: bearer   a", "Authorization: Basic a\r\nAuthorization: Bearer b", "Authorization: Bearer", "Authorization: Bearer ",
		"x-goog-api-key: a\r\nx-goog-api-key: b", "X-GOOG-API-KEY: \r\nx-goog-api-key: b", "x-goog-api-key: nogroup:b", "X-Server-Timeout: 1\r\nX-Server-Timeout: 2", "Cookie: a=b", "Content-Encoding: gzip", "Content_Length: 5", "Content-Length_: 5",
		"X: " + strings.Repeat("a", 20000), strings.Repeat("X", 5000) + ": a", strings.Repeat("X-A: b\r\n", 500) + "X: y",
	} {
		add("%s%s\r\n\r\n", head("GET /a"), f)
		add("%s%s\r\nContent-Length: 2\r\n\r\n{}"+second, head("POST /a"), f)
		add("%s%s\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"+second, head("POST /a"), f)
	}
	// Handshakes of WebSockets.
	for _, f := range []string{"", "Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "Upgrade: h2c\r\n", "Sec-WebSocket-Protocol: a\r\nsec-websocket-protocol: b\r\n"} {
		all = append(all, handshake(livePath, f), handshake("/"+livePath, f), handshake(livePath, f)+"{}"+second)
	}
	// One behind the other.
	add("%s\r\n%s\r\n%s\r\n", head("GET /1"), head("GET /2"), head("GET /3"))
	add("\r\n%s\r\n", head("GET /1"))
	add("\r\n\r\n\r\n%s\r\n", head("GET /1"))
	add("\n%s\r\n", head("GET /1"))
	add("\r%s\r\n", head("GET /1"))
	add("%s\r\n\r\n\r\n%s\r\n", head("GET /1"), head("GET /2"))
	add("%sContent-Length: 2\r\n\r\n{}\r\n%s\r\n", head("POST /1"), head("GET /2"))
	add("%sContent-Length: 5\r\n\r\n{}\r\n%s\r\n", head("POST /1"), head("GET /2"))
	add("%sContent-Length: %d\r\n\r\n%s", head("GET /1"), len(second), second)
	add("%sContent-Length: %d\r\n\r\n%s", head("HEAD /1"), len(second), second)
	add("%sContent-Length: %d\r\n\r\n%s", head("GET /healthz"), len(second), second)
	add("%sContent-Length: %d\r\n\r\n%s", head("OPTIONS /1"), len(second), second)
	add("%s\n%s\r\n", head("GET /1"), head("GET /2"))
	return all
}

// quickly lets incomplete requests end soon.
func quickly(c *proxy.Config) {
	c.ClientHeaderTimeout, c.ClientStallTimeout = time.Second, time.Second
}

// TestDifferentialRequests compares what arrives upstream with what net/http
// reads in the same bytes.
func TestDifferentialRequests(t *testing.T) {
	all := strangeRequests()
	for name, failures := range map[string]int{"healing": 1, "relaying": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var passed atomic.Int64
			spread(len(all), func() func(i int) {
				d := newDifferential(t, func(c *proxy.Config) {
					quickly(c)
					c.MaxConsecutiveFailures = failures
				})
				return func(i int) { passed.Add(int64(d.compare(t, all[i]))) }
			})
			if t.Logf("%d of %d got through", passed.Load(), 2*len(all)); int(passed.Load()) < len(all)/2 {
				t.Error("too few")
			}
		})
	}
}

// spread calls f with each number below n, in several goroutines: much of what is
// tried is waited for. Each goroutine uses what begin makes for it.
func spread(n int, begin func() func(i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range 12 {
		f := begin()
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				f(int(i))
			}
		})
	}
	all.Wait()
}

// FuzzRawRequests is TestDifferentialRequests for any bytes.
func FuzzRawRequests(f *testing.F) {
	for i, raw := range strangeRequests() {
		if len(raw) < 1000 && i%10 == 0 { // the test has them all
			f.Add(raw)
		}
	}
	d := newDifferential(f, func(c *proxy.Config) {
		c.ClientHeaderTimeout, c.ClientStallTimeout = 200*time.Millisecond, 200*time.Millisecond
		c.MaxConsecutiveFailures = 1
		c.AccessLog, c.DebugMode = "off", false
	})
	f.Fuzz(func(t *testing.T, raw string) {
		d.compare(t, raw)
	})
}
