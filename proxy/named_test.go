package proxy

import (
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// manyNamed are the names and the fields of a head that has a great many of both,
// so many that going through all of the former for each of the latter takes an hour.
const manyNamed = 1 << 19

func TestManyNamedFields(t *testing.T) {
	list := strings.Repeat("b,", manyNamed)
	h, r := readHeadOf("X-B: 1\r\n" + strings.Repeat("a:\r\n", manyNamed) + "Connection: " + list + "x-b\r\nX-C: 1\r\n")
	if r != nil {
		t.Fatal(r)
	}
	if n := len(h.fields); n != manyNamed+1 || string(h.fields[n-1].name) != "X-C" {
		t.Errorf("%d fields", n)
	}

	var src fasthttp.ResponseHeader
	src.DisableNormalizing()
	src.SetStatusCode(200)
	src.Add("Connection", list+"x-b")
	src.Add("X-B", "1")
	for range manyNamed {
		src.Add("a", "")
	}
	src.Add("X-C", "1")
	var dst fasthttp.Response
	dst.Header.DisableNormalizing()
	new(Server).copyResponseHead(&dst, &src)
	if dst.Header.Peek("X-B") != nil || string(dst.Header.Peek("X-C")) != "1" {
		t.Error("X-B passed, or X-C did not")
	}
}

func TestNamed(t *testing.T) {
	n := named(nil).with([]byte(" Upgrade ,, close,\tx-LONG-name,a")).with([]byte("")).with([]byte("b, A"))
	n.sort()
	for _, name := range []string{"upgrade", "UPGRADE", "Close", "X-Long-Name", "a", "A", "B"} {
		if !n.has([]byte(name)) {
			t.Errorf("%s is not among them", name)
		}
	}
	for _, name := range []string{"", "c", "@", "[", "!", "x-long-nam", "x-long-name-"} {
		if n.has([]byte(name)) {
			t.Errorf("%q is among them", name)
		}
	}
	if named(nil).has([]byte("a")) {
		t.Error("a is among none")
	}
}
