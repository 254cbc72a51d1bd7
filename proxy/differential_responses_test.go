package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gemini-resilient-proxy/proxy"
)

// sentinelReply is what the upstream says to a sentinel. Its client gets exactly
// that, or nothing: never what was left over of another answer.
const sentinelReply = "HTTP/1.1 200 OK\r\nX-Sentinel: 1\r\nContent-Length: 8\r\n\r\nsentinel"

// speaker is an upstream that answers with given bytes.
type speaker struct {
	l    net.Listener
	mu   sync.Mutex
	raw  string
	stay bool // the connection stays open behind raw
}

func newSpeaker(t testing.TB) *speaker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &speaker{l: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *speaker) serve(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	br := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		reply, stay := sentinelReply, true
		if r.URL.Path != "/sentinel" {
			s.mu.Lock()
			reply, stay = s.raw, s.stay
			s.mu.Unlock()
		}
		io.WriteString(c, reply)
		if !stay {
			return
		}
	}
}

// heard is a response as net/http understands it.
type heard struct {
	status int
	header http.Header
	body   string
	err    error // of the body
	self   bool  // its framing says where it ends
}

// readHeard reads the response to a request of the method, behind interim ones.
func readHeard(br *bufio.Reader, method string) (heard, error) {
	for {
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			return heard{}, err
		}
		if resp.StatusCode >= 100 && resp.StatusCode < 200 && resp.StatusCode != 101 {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		return heard{resp.StatusCode, resp.Header, string(body), err, resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0}, nil
	}
}

var spaceBeforeColon = regexp.MustCompile(`(?m)^([^\s:]+)[ \t]+:`)

// forClients returns what of a response's fields is for the client.
func forClients(h http.Header) http.Header {
	h = maps.Clone(h)
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			delete(h, textproto.CanonicalMIMEHeaderKey(strings.Trim(name, " \t")))
		}
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Content-Length", "Date"} {
		delete(h, name)
	}
	for i := 0; i < len(ofOrigin); i += 2 {
		delete(h, textproto.CanonicalMIMEHeaderKey(ofOrigin[i]))
	}
	// What may stand but once is sent once.
	for _, name := range []string{"Content-Type", "Content-Encoding", "Server"} {
		if v := h[name]; len(v) > 0 {
			if h[name] = v[len(v)-1:]; h[name][0] == "" {
				delete(h, name)
			}
		}
	}
	return h
}

// hears asks for raw through the proxy and compares what the client gets with
// what net/http reads in raw. It tells whether the response got through.
func (d *responses) hears(t testing.TB, method, raw string) bool {
	t.Helper()
	stay := d.stay
	d.up.mu.Lock()
	d.up.raw, d.up.stay = raw, stay
	d.up.mu.Unlock()
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Error(err)
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, method+" /a HTTP/1.1\r\nHost: a\r\n\r\n"+sentinel)
	replies, err := io.ReadAll(c)
	if isHang(err) {
		t.Errorf("%q: hangs after %q", raw, replies)
	}
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s, %q, stay %t\nbecame %q\n%s", method, raw, stay, replies, fmt.Sprintf(format, args...))
	}
	// A proxy takes the space before a colon away (RFC 9112 5.1).
	plainly := raw
	if head, body, ok := strings.Cut(raw, "\r\n\r\n"); ok {
		plainly = spaceBeforeColon.ReplaceAllString(head, "$1:") + "\r\n\r\n" + body
	}
	want, wantErr := readHeard(bufio.NewReader(strings.NewReader(plainly)), method)
	br := bufio.NewReader(strings.NewReader(string(replies)))
	got, err := readHeard(br, method)
	if len(replies) == 0 && (want.err != nil || wantErr != nil) {
		return false
	}
	if err != nil {
		fail("the client cannot read it: %v", err)
		return false
	}
	if rest, _ := io.ReadAll(br); got.err == nil && len(rest) > 0 {
		next := bufio.NewReader(strings.NewReader(string(rest)))
		s, err := readHeard(next, "GET")
		if tail, _ := io.ReadAll(next); err != nil || s.header.Get("X-Sentinel") != "1" || s.body != "sentinel" || len(tail) > 0 {
			if !own(s) {
				fail("the next request was answered %q", rest)
			}
		}
	}
	ended := want.err == nil && (want.self || !stay || method == "HEAD")
	switch {
	case own(got):
		return false
	case wantErr != nil:
		fail("net/http: %v", wantErr)
	case got.err == nil && !ended:
		fail("it looks whole: %v", want.err)
	case got.err != nil && ended && !stay: // where it stays, it may have come too late
		fail("it is cut: %v", got.err)
	case got.status != want.status || got.body != want.body && ended || !strings.HasPrefix(want.body, got.body):
		fail("status %d, body %q", want.status, want.body)
	default:
		if a, b := forClients(want.header), forClients(got.header); !maps.EqualFunc(a, b, slices.Equal) {
			fail("fields %q, want %q", b, a)
		}
	}
	return got.err == nil
}

// own tells whether a response is the proxy's own error.
func own(s heard) bool {
	return s.status == 502 || s.status == 504 // no speaker says these
}

// responses is a proxy before a speaker whose connections stay open, and are then
// not waited for, or do not.
type responses struct {
	*rig
	up   *speaker
	stay bool
}

func newResponses(t testing.TB, stay bool) *responses {
	t.Helper()
	d := &responses{up: newSpeaker(t), stay: stay}
	d.rig = newRig(t, plain, func(c *proxy.Config) {
		c.UpstreamURLBase = "http://" + d.up.l.Addr().String()
		c.CORSAllowOrigin = ""
		c.AccessLog, c.DebugMode = "off", false
		if stay {
			c.FirstEventTimeout, c.StallTimeout = 50*time.Millisecond, 50*time.Millisecond
		}
	})
	return d
}

// strangeResponses returns responses at the edges of HTTP/1.1, good and bad.
func strangeResponses() (all []string) {
	add := func(s string) { all = append(all, s) }
	const second = "HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 4\r\n\r\nevil"
	const chunks = "2\r\nhi\r\n0\r\n\r\n"
	for _, line := range []string{
		"HTTP/1.1 200 OK", "HTTP/1.1 200 ", "HTTP/1.1 200", "HTTP/1.0 200 OK", "HTTP/1.2 200 OK", "HTTP/2.0 200 OK", "http/1.1 200 OK", "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK", " HTTP/1.1 200 OK",
		"HTTP/1.1 2000 OK", "HTTP/1.1 20 OK", "HTTP/1.1 +20 OK", "HTTP/1.1 2x0 OK", "HTTP/1.1 099 OK", "HTTP/1.1 999 OK", "HTTP/1.1 600 OK", "HTTP/1.1 200 \x00", "HTTP/1.1 200 a\rX-Evil: 1",
		"HTTP/1.1 200 \xff\xfe", "HTTP/1.1 200 \x1b[31m", "HTTP/1.1 204 No", "HTTP/1.1 304 No", "HTTP/1.1 205 Reset", "HTTP/1.1 404 Not Found", "HTTP/1.1 500 x", "HTTP/1.1 101 Switch", "HTTP/1.1 100 Continue", "HTTP/1.1 103 Hints",
		"ICY 200 OK", "", "200 OK", "HTTP/1.1 200 OK\n", "HTTP/1.1", "HTTP/11 200 OK",
	} {
		add(line + "\r\nContent-Length: 2\r\n\r\nhi")
		add(line + "\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
		add(line + "\r\n\r\nhi")
		add(line + "\r\nContent-Length: 2\r\n\r\nhi" + second)
	}
	for _, f := range []string{
		"Content-Length: 2", "Content-Length: 02", "Content-Length: +2", "Content-Length: -2", "Content-Length: -1", "Content-Length: 2, 2", "Content-Length: 2,3", "Content-Length: 0x2", "Content-Length: ", "Content-Length: 2 ", "Content-Length: 1 0",
		"Content-Length: 2\r\nContent-Length: 2", "Content-Length: 2\r\nContent-Length: 40", "Content-Length: 99999999999999999999", "Content-Length: 40", "Content-Length: 1", "Content-Length: 0", "Content-Length : 2", "Content-Length\t: 2",
		"Content-Length: 2\r\n 0", "Content-Length: 2\x00", "Content-Length: 2\r", "Content_Length: 2", "Content-Length: 2\nX: y",
	} {
		add("HTTP/1.1 200 OK\r\n" + f + "\r\n\r\nhi" + second)
		add("HTTP/1.1 404 No\r\n" + f + "\r\n\r\nhi")
		add("HTTP/1.0 200 OK\r\n" + f + "\r\n\r\nhi")
	}
	for _, f := range []string{
		"Transfer-Encoding: chunked", "transfer-encoding: CHUNKED", "Transfer-Encoding: chunked ", "Transfer-Encoding:\tchunked", "Transfer-Encoding: chunked\r\nContent-Length: 2", "Content-Length: 40\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding: identity", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: xchunked", "Transfer-Encoding: ",
		"Transfer-Encoding: \x0bchunked", "Transfer-Encoding : chunked", "Transfer-Encoding:\r\n chunked", "Transfer_Encoding: chunked", "X: y\r\n Transfer-Encoding: chunked", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked;a",
	} {
		add("HTTP/1.1 200 OK\r\n" + f + "\r\n\r\n" + chunks)
		add("HTTP/1.1 200 OK\r\n" + f + "\r\n\r\n" + chunks + second)
		add("HTTP/1.0 200 OK\r\n" + f + "\r\n\r\n" + chunks)
		add("HTTP/1.1 204 No\r\n" + f + "\r\n\r\n" + chunks)
	}
	for _, c := range []string{
		"2;a=b\r\nhi\r\n0\r\n\r\n", "02\r\nhi\r\n00\r\n\r\n", "2 \r\nhi\r\n0\r\n\r\n", "2\nhi\r\n0\r\n\r\n", "2\r\nhi\n0\r\n\r\n", "2\r\nhi\r\n0\n\r\n", "2\r\nhi\r\n0\r\n\n", "2;a\nb\r\nhi\r\n0\r\n\r\n", "2;a\rb\r\nhi\r\n0\r\n\r\n", "2\rhi\r\n0\r\n\r\n",
		"2\r\nhi", "2\r\nhi\r\n", "2\r\nhi\r\n0", "2\r\nhi\r\n0\r\n", "2\r\nhixx0\r\n\r\n", "2\r\nhi\rx0\r\n\r\n", "0\r\nxx", "2\r\nh", "3\r\nhi\r\n0\r\n\r\n", "1\r\nhi\r\n0\r\n\r\n", "+2\r\nhi\r\n0\r\n\r\n", "-2\r\nhi\r\n0\r\n\r\n", "0x2\r\nhi\r\n0\r\n\r\n", " 2\r\nhi\r\n0\r\n\r\n", "g\r\nhi\r\n0\r\n\r\n",
		"ffffffffffffffff\r\nhi\r\n0\r\n\r\n", "10000000000000002\r\nhi\r\n0\r\n\r\n", "0\r\n\r\n" + second, "0\r\nX-Evil: 1\r\n\r\n" + second, "0\r\nContent-Length: 5\r\n\r\n", "0\r\nX: y\n\r\n", "2\r\nhi\r\n\r\n0\r\n\r\n", "2\x00\r\nhi\r\n0\r\n\r\n",
		"", "0\r\n\r\n\r\n", "0\r\n\r\nx",
	} {
		add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + c)
		add("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + c)
	}
	for _, f := range []string{
		"X: \x00", "X: \x01", "X: \x7f", "X: \x80\xff", "X: a\rb", "X: a\rSet-Cookie: evil=1", "X: a\r\n b", "X: a\r\n\tb", "X: a\nY: b", "X : a", "X\t: a", " X: a", "X", ": a", "X Y: a", "X(: a", "Ä: a", "X\x00: a", "X: ", "X:a", "X: a\r\nx: b\r\nX: c",
		"Set-Cookie: a=b\r\nSet-Cookie: c=d", "Set-Cookie: a", "Set-Cookie: =", "Set-Cookie: ", "Connection: X-A\r\nX-A: 1", "Connection: close", "Connection: keep-alive, x-b\r\nX-B: 1", "Keep-Alive: 1", "Trailer: X", "Trailer: Content-Length", "Upgrade: h2c",
		"Content-Type: a\r\nContent-Type: b", "Content-Type: ", "Content-Type: a\rb", "Server: a\r\nServer: b", "Server: ", "Content-Encoding: gzip", "Content-Encoding: a\r\nContent-Encoding: b", "Date: x", "Location: /\r\nLocation: //evil", "Location: http://evil/%0d%0aX:%20y",
		"X-Goog-Upload-URL: http://evil/\rX: y", "Alt-Svc: h3", "X: " + strings.Repeat("a", 20000), strings.Repeat("X-A: b\r\n", 300) + "X: y", "Host: a", "Proxy-Authenticate: a",
	} {
		add("HTTP/1.1 200 OK\r\n" + f + "\r\nContent-Length: 2\r\n\r\nhi" + second)
		add("HTTP/1.1 400 No\r\n" + f + "\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
		add("HTTP/1.1 200 OK\r\n" + f + "\r\n\r\nhi")
		add("HTTP/1.1 103 Hints\r\n" + f + "\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
	}
	return all
}

// TestDifferentialResponses compares what a client gets with what net/http reads
// in the upstream's bytes. No byte of a response may become another one.
func TestDifferentialResponses(t *testing.T) {
	all := strangeResponses()
	for _, method := range []string{"GET", "HEAD"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			var passed atomic.Int64
			spread(2*len(all), func() func(i int) {
				d := [2]*responses{newResponses(t, false), newResponses(t, true)}
				return func(i int) {
					if d[i%2].hears(t, method, all[i/2]) {
						passed.Add(1)
					}
				}
			})
			if t.Logf("%d of %d got through", passed.Load(), 2*len(all)); int(passed.Load()) < len(all)/2 {
				t.Error("too few")
			}
		})
	}
}

// FuzzRawResponses is TestDifferentialResponses for any bytes. Trailers are left
// out: the proxy drops them unread.
func FuzzRawResponses(f *testing.F) {
	for i, raw := range strangeResponses() {
		if len(raw) < 1000 && i%5 == 0 { // the test has them all
			f.Add(raw, true)
		}
	}
	stays, closes := newResponses(f, true), newResponses(f, false)
	f.Fuzz(func(t *testing.T, raw string, stay bool) {
		switch {
		case odd.MatchString(raw):
		case stay:
			stays.hears(t, "GET", raw)
		default:
			closes.hears(t, "GET", raw)
		}
	})
}

// odd is what net/http and fasthttp take for something else in ways that are
// harmless: status 0, statuses that the test takes for the proxy's own, trailers
// and chunk sizes with white space behind them.
var odd = regexp.MustCompile(`(?m)^0+(;.*)?\r\n[^\r]|^ ?[0-9a-fA-F]+[ \t]|HTTP/1\.. *(000|502|504)`)
