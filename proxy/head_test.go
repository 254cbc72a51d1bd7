package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// readHeadOf reads a header section given without its empty line.
func readHeadOf(section string) (*head, *refusal) {
	var h head
	r := h.read([]byte(section + "\r\n"))
	return &h, r
}

func fieldsText(h *head) string {
	var b strings.Builder
	for _, f := range h.fields {
		fmt.Fprintf(&b, "%s=%s;", f.name, f.value)
	}
	return b.String()
}

func TestHeadKeeps(t *testing.T) {
	f := func(section, want string) {
		t.Helper()
		h, r := readHeadOf(section)
		if r != nil {
			t.Errorf("%q: %v", section, r)
		} else if got := fieldsText(h); got != want {
			t.Errorf("%q: %s, want %s", section, got, want)
		}
	}
	f("", "")
	f("X-A: b\r\n", "X-A=b;")
	f("X-A:b\r\nx-a: \t c \t\r\nX-A:\r\n", "X-A=b;x-a=c;X-A=;")
	f("Content-Type: a/b\r\nOrigin: o\r\nAccess-Control-Request-Method: M\r\n", "Content-Type=a/b;Origin=o;Access-Control-Request-Method=M;")
	f("Host: a\r\nContent-Length: 1\r\nUser-Agent: u\r\n", "User-Agent=u;")
	f("Connection: X-A\r\nX-A: 1\r\nX-B: 2\r\n", "X-B=2;")
	f("X-A: 1\r\nX-B: 2\r\nConnection: x-b , x-a\r\n", "")
	f("Authorization: Basic x\r\n", "Authorization=Basic x;")
	f("Authorization: Bearer y\r\n", "")
	f(strings.Repeat("a", 300)+": 1\r\n", strings.Repeat("a", 300)+"=1;")
	f("x-goog-api-key-of-a-length-beyond-32-bytes: 1\r\n", "x-goog-api-key-of-a-length-beyond-32-bytes=1;")
	f("!#$%&'*+-.^_`|~09azAZ: 1\r\n", "!#$%&'*+-.^_`|~09azAZ=1;")
}

func TestHeadRefuses(t *testing.T) {
	f := func(section string, status int) {
		t.Helper()
		if _, r := readHeadOf(section); r == nil || r.status != status {
			t.Errorf("%q: %v, want %d", section, r, status)
		}
	}
	f(" X-A: b\r\n", 400)
	f("Authorization: Bearer x\r\nAuthorization: Bearer y\r\n", 400)
	f("Authorization: Bearer x\r\nauthorization: Basic y\r\n", 400)
	f("Authorization:\r\nX-A: b\r\nAuthorization: Basic y\r\n", 400)
	f("X-A: b\r\n c\r\n", 400)
	f("X-A: b\r\n\tc: d\r\n", 400)
	f("X-A: b\nX-B: c\r\n", 400)
	f("X-A : b\r\n", 400)
	f("X A: b\r\n", 400)
	f(": b\r\n", 400)
	f("X-A\r\n", 400)
	f("X-\x80: b\r\n", 400)
	f("X-A\x00: b\r\n", 400)
	f("X(A): b\r\n", 400)
	f("Content_Length: 1\r\n", 400)
	f("Transfer_Encoding: chunked\r\n", 400)
	f("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400)
	f("Transfer-Encoding: identity\r\n", 400)
	f("Transfer-Encoding: gzip, chunked\r\n", 400)
	f("Transfer-Encoding:\r\n", 400)
	f("Expect: 200-ok\r\n", 417)
	f("Expect: x 100-continue\r\n", 417)
}

func TestHeadFindsWhatItIsAskedFor(t *testing.T) {
	h, r := readHeadOf("X-Goog-API-Key: K\r\nx-goog-api-key: L\r\nAUTHORIZATION: bearer  T\r\nX-Proxy-Group: g\r\nx-proxy-group: h\r\n" +
		"content-type: a/b\r\nAccept-Encoding: gzip\r\nOrigin: o\r\nX-Server-Timeout: 7\r\nExpect: 100-CONTINUE\r\nTransfer-Encoding: Chunked\r\n")
	if r != nil {
		t.Fatal(r)
	}
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"key", h.key, "K"}, {"bearer", h.bearer, "T"}, {"group", h.group, "g"}, {"content type", h.contentType, "a/b"},
		{"accept encoding", h.acceptEncoding, "gzip"}, {"origin", h.origin, "o"}, {"timeout", h.serverTimeout, "7"},
	} {
		if string(c.got) != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
	if got := fieldsText(h); got != "content-type=a/b;Origin=o;" {
		t.Errorf("kept %s", got)
	}
	if h.reset(); h.key != nil || h.bearer != nil || h.hasAuth || len(h.fields) > 0 || h.hasCoding {
		t.Errorf("after reset: %+v", h)
	}
}

func TestHeadDoesNotAllocate(t *testing.T) {
	raw := []byte("Host: a\r\nUser-Agent: u\r\nx-goog-api-key: K\r\nContent-Type: application/json\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n")
	var h head
	if n := testing.AllocsPerRun(100, func() { h.reset(); h.read(raw) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzHead reads any header section. What is kept can be written and read
// again, holds no line end, and no name that is the proxy's or the hop's.
func FuzzHead(f *testing.F) {
	for _, s := range []string{"", "X-A: b\r\n", "Connection: x-a\r\nX-A: 1\r\n", "X-A: b\r\n c\r\n", "Content-Length: 1\r\n", "a:\rb\r\n", "x-goog-api-key: K\r\nX: \x00\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, section string) {
		h, r := readHeadOf(section)
		if r != nil {
			return
		}
		var out []byte
		for _, field := range h.fields {
			if bytes.ContainsAny(field.name, " \t\r\n:\x00") || bytes.IndexByte(field.value, '\n') >= 0 {
				t.Errorf("%q: kept %q: %q", section, field.name, field.value)
			}
			switch strings.ToLower(string(field.name)) {
			case "host", "connection", "transfer-encoding", "content-length", "te", "trailer", "upgrade", "x-proxy-group", "x-goog-api-key", "expect":
				t.Errorf("%q: kept %q", section, field.name)
			}
			out = appendField(out, field.name, field.value)
		}
		again, r := readHeadOf(string(out))
		if r != nil || fieldsText(again) != fieldsText(h) {
			t.Errorf("%q: written %q, then %v", section, out, r)
		}
	})
}
