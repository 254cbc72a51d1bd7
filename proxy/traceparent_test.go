package proxy

import (
	"bytes"
	"strings"
	"testing"
)

const someParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestTraceparent(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		p, ok := parseTraceparent([]byte(text))
		got := ""
		if ok {
			got = string(appendTraceparent(nil, p.trace, p.span, p.flags))
		}
		if got != want || !ok && p != (parent{}) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	f(someParent, someParent)
	f("00-"+trace+"-"+span+"-00", "00-"+trace+"-"+span+"-00")
	f("00-"+trace+"-"+span+"-03", "00-"+trace+"-"+span+"-03")
	// Flags that nobody has given a meaning are not passed on.
	f("00-"+trace+"-"+span+"-ff", "00-"+trace+"-"+span+"-03")
	f("00-"+trace+"-"+span+"-08", "00-"+trace+"-"+span+"-00")
	// Later versions are read as far as they are known, and answered with 00.
	f("01-"+trace+"-"+span+"-01", someParent)
	f("fe-"+trace+"-"+span+"-01-and-more", someParent)
	f("01-"+trace+"-"+span+"-01-", someParent)
	f("01-"+trace+"-"+span+"-01.more", "")
	f("01-"+trace+"-"+span+"-011", "")
	f("ff-"+trace+"-"+span+"-01", "")
	f(someParent+"-more", "")
	f(someParent+"-", "")
	f(someParent+" ", "")
	f(" "+someParent, "")
	f("", "")
	f("00", "")
	f("00-"+strings.Repeat("0", 32)+"-"+span+"-01", "")
	f("00-"+trace+"-"+strings.Repeat("0", 16)+"-01", "")
	f(strings.ToUpper(someParent), "")
	f("0x-"+trace+"-"+span+"-01", "")
	f("00-"+trace+"-"+span+"-0g", "")
	f("00-"+trace[:31]+"g-"+span+"-01", "")
	f("00-"+trace+"-"+span[:15]+"\x00-01", "")
	f("00_"+trace+"-"+span+"-01", "")
	f("00-"+trace+"_"+span+"-01", "")
	f("00-"+trace+"-"+span+"_01", "")
	f("00-"+trace+trace+"-"+span+"-01", "")
}

// A traceparent that is cut anywhere is none.
func TestTraceparentCutAnywhere(t *testing.T) {
	for _, text := range []string{someParent, "cc-" + someParent[3:] + "-what-the-future-has"} {
		for i := range text {
			if _, ok := parseTraceparent([]byte(text[:i])); ok != (i >= traceparentSize) {
				t.Errorf("%q: %v", text[:i], ok)
			}
		}
	}
}

func fieldsOf(text ...string) (all []field) {
	for i := 0; i < len(text); i += 2 {
		all = append(all, field{[]byte(text[i]), []byte(text[i+1])})
	}
	return all
}

func TestClientTrace(t *testing.T) {
	f := func(want bool, text ...string) {
		t.Helper()
		if _, ok := clientTrace(fieldsOf(text...)); ok != want {
			t.Errorf("%q: %v", text, ok)
		}
	}
	f(true, "Traceparent", someParent)
	f(true, "a", "b", "TRACEPARENT", someParent, "tracestate", "a=b")
	f(false)
	f(false, "Content-Type", someParent)
	f(false, "traceparent", someParent, "traceparent", someParent)
	f(false, "traceparent", someParent, "Traceparent", "")
	f(false, "traceparent", "", "Traceparent", someParent)
	f(false, "traceparent", someParent+", "+someParent)
}

func TestTracestate(t *testing.T) {
	f := func(want string, values ...string) {
		t.Helper()
		var fields []field
		for _, v := range values {
			fields = append(fields, fieldsOf("X-Other", "a=b", "tracestate", v)...)
		}
		if got := string(appendTracestate(nil, fields)); got != want {
			t.Errorf("%q: %q, want %q", values, got, want)
		}
	}
	long := func(key string, n int) string { return key + "=" + strings.Repeat("v", n-len(key)-1) }
	many := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, string(rune('a'+i/10))+string(rune('0'+i%10))+"=x")
		}
		return strings.Join(all, ",")
	}
	f("")
	f("", "")
	f("a=b", "a=b")
	f("a=b,c=d", "a=b", "c=d")
	f("a=b,c=d", " a=b ,\t,c=d,, ")
	f("t1@vendor=x:y;z,0a=1", "t1@vendor=x:y;z,0a=1")
	f(many(32), many(32))
	f("", many(33))
	f("", many(20), strings.ReplaceAll(many(20), "=", "x="))
	for _, bad := range []string{"a", "=b", "a=", "A=b", "a=b,B=c", "a=b=c", "a=\x7f", "a=é", "_a=b", "a=b,a=c", "a b=c", long("a", 300), long(strings.Repeat("a", 257), 260)} {
		f("", bad)
	}
}

func TestTracestateIsShortened(t *testing.T) {
	member := func(key string, n int) string { return key + "=" + strings.Repeat("v", n-2) }
	f := func(want, text string) {
		t.Helper()
		got := string(appendTracestate(nil, fieldsOf("tracestate", text)))
		if got != want || len(got) > maxStateBytes {
			t.Errorf("%d bytes: %d left, want %d: %s", len(text), len(got), len(want), got)
		}
	}
	small := func(keys string) string {
		var all []string
		for _, k := range keys {
			all = append(all, member(string(k), 100))
		}
		return strings.Join(all, ",")
	}
	exact := small("abcd") + "," + member("e", 108)
	f(exact, exact)
	f(small("abcde"), small("abcde")+","+member("f", 20))
	f(small("abcde"), member("z", 200)+","+small("abcde"))
	f(small("abcde"), small("abcdefgh"))
	f(member("y", 200)+","+small("abc"), member("y", 200)+","+small("abc")+","+member("z", 129))
}

func FuzzTraceparent(f *testing.F) {
	f.Add([]byte(someParent), []byte("a=b,c=d"))
	f.Add([]byte("cc-"+someParent[3:]+"-x"), []byte(" a@b=~ ,,"))
	f.Fuzz(func(t *testing.T, header, state []byte) {
		if p, ok := parseTraceparent(header); ok {
			again := appendTraceparent(nil, p.trace, p.span, p.flags)
			if q, ok := parseTraceparent(again); !ok || p != q || len(again) != traceparentSize {
				t.Errorf("%q becomes %q", header, again)
			}
			if !bytes.Equal(again[2:53], header[2:53]) {
				t.Errorf("%q becomes %q", header, again)
			}
		}
		once := appendTracestate(nil, fieldsOf("tracestate", string(state)))
		if len(once) > maxStateBytes {
			t.Errorf("%d bytes", len(once))
		}
		if twice := appendTracestate(nil, fieldsOf("tracestate", string(once))); !bytes.Equal(once, twice) {
			t.Errorf("%q becomes %q", once, twice)
		}
		for _, c := range once {
			if c < ' ' || c > '~' {
				t.Errorf("%q", once)
			}
		}
	})
}

func TestTraceparentAllocatesNothing(t *testing.T) {
	fields := fieldsOf("a", "b", "Traceparent", someParent, "Tracestate", "a=b, c=d", "Tracestate", "e=f")
	dst := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(1000, func() {
		p, ok := clientTrace(fields)
		if !ok {
			t.Error("not read")
		}
		dst = appendTraceparent(dst[:0], p.trace, p.span, p.flags)
		dst = appendTracestate(dst, fields)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
