package proxy

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http/httputil"
	"strings"
	"testing"
)

// dechunk decodes whole, given in pieces that end where cuts says.
func dechunk(whole string, cuts ...int) (data string, rest int, finished bool, err error) {
	var d dechunker
	var out strings.Builder
	from := 0
	for _, to := range append(cuts, len(whole)) {
		b := []byte(whole[from:to])
		n, left, err := d.decode(b)
		out.Write(b[:n])
		from = to
		if err != nil {
			return out.String(), 0, false, err
		}
		rest += left
	}
	return out.String(), rest, d.finished(), nil
}

// everySplit runs f for s in one piece, cut at each byte, and byte by byte.
func everySplit(s string, f func(cuts ...int)) {
	f()
	bytewise := make([]int, 0, len(s))
	for i := 1; i < len(s); i++ {
		f(i)
		bytewise = append(bytewise, i)
	}
	f(bytewise...)
}

// TestDechunkBegins: whatever comes, begins says what decode would, and changes
// nothing.
func TestDechunkBegins(t *testing.T) {
	for _, in := range []string{"", "3", "3;a", "3\r\n", "3\r\na", "3\r\nabc\nx", "0\r\n", "0\r\nX: y\r\n", "0\r\n\r\n", "0\r\n\r\nx", "\r\n", "3\nabc", "3;a\rb", "x", "3x", "0\r\nX: y\n", "0\r\n\n", "0\r\n\rx"} {
		everySplit(in, func(cuts ...int) {
			var d dechunker
			from := 0
			for _, to := range append(cuts, len(in)) {
				b, before := []byte(in[from:to]), d
				some, err := d.begins(b)
				if string(b) != in[from:to] || d != before {
					t.Errorf("%q at %v: changed", in, cuts)
				}
				n, _, want := d.decode(b)
				if n > 0 {
					want = nil // it comes behind the data
				}
				if some != (n > 0 || d.finished()) || !errors.Is(err, want) {
					t.Errorf("%q at %v: %v, %v, want %v, %v", in, cuts, some, err, d.finished(), want)
				}
				if from = to; some || err != nil {
					return
				}
			}
		})
	}
}

func TestDechunk(t *testing.T) {
	// whole: the data, with rest bytes behind the end of the body.
	whole := func(in, data string, rest int) {
		t.Helper()
		everySplit(in, func(cuts ...int) {
			t.Helper()
			got, left, finished, err := dechunk(in, cuts...)
			if got != data || left != rest || !finished || err != nil {
				t.Errorf("%q at %v: %q, rest %d, finished %v, %v", in, cuts, got, left, finished, err)
			}
		})
	}
	// part: good as far as it goes.
	part := func(in, data string) {
		t.Helper()
		everySplit(in, func(cuts ...int) {
			t.Helper()
			got, _, finished, err := dechunk(in, cuts...)
			if got != data || finished || err != nil {
				t.Errorf("%q at %v: %q, finished %v, %v", in, cuts, got, finished, err)
			}
		})
	}
	// bad: malformed, and the data before it is still good.
	bad := func(in, data string) {
		t.Helper()
		everySplit(in, func(cuts ...int) {
			t.Helper()
			got, _, _, err := dechunk(in, cuts...)
			if got != data || !errors.Is(err, errChunking) {
				t.Errorf("%q at %v: %q, %v", in, cuts, got, err)
			}
		})
	}
	whole("0\r\n\r\n", "", 0)
	whole("3\r\nabc\r\n0\r\n\r\n", "abc", 0)
	whole("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde", 0)
	whole("003\r\nabc\r\n000\r\n\r\n", "abc", 0)
	whole("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", 0)
	whole("3;a=b\r\nabc\r\n0;c=\"d\"\r\n\r\n", "abc", 0)
	whole("3 \r\nabc\r\n0\t\r\n\r\n", "abc", 0)
	whole("5\r\n\r\n0\r\n\r\n0\r\n\r\n", "\r\n0\r\n", 0)
	whole("0\r\nX-Sum: 1\r\nX: y\r\n\r\n", "", 0)
	whole("1\r\na\r\n0\r\n\r\nHTTP/1.1", "a", 8)
	whole("1\r\na\r\n0\r\n\r\n\r\n", "a", 2)

	part("", "")
	part("3", "")
	part("3\r\n", "")
	part("3\r\nab", "ab")
	part("3\r\nabc", "abc")
	part("3\r\nabc\r\n", "abc")
	part("3\r\nabc\r\n0", "abc")
	part("3\r\nabc\r\n0\r\n", "abc")
	part("3\r\nabc\r\n0\r\n\r", "abc")
	part("0\r\nX: y\r\n", "")
	part("fffffffffffffff\r\nabc", "abc")

	bad("\r\n", "")
	bad("3\nabc\r\n0\r\n\r\n", "")
	bad("3;a\nabc\r\n0\r\n\r\n", "")
	bad("3\rabc\r\n0\r\n\r\n", "")
	bad("3;a\rb\r\nabc\r\n0\r\n\r\n", "")
	bad("3\r\r\nabc\r\n0\r\n\r\n", "")
	bad("3\r\nabc\r\n0\n\r\n", "abc")
	bad("0\r\nX: y\n\r\n", "")
	bad("0\r\nX: y\rz\r\n\r\n", "")
	bad("0\r\n\n", "")
	bad("x\r\n", "")
	bad(" 3\r\nabc\r\n", "")
	bad("-3\r\nabc\r\n", "")
	bad("+3\r\nabc\r\n", "")
	bad("0x3\r\nabc\r\n", "")
	bad("3z\r\nabc\r\n", "")
	bad(";a=b\r\n", "")
	bad("3\r\nabcd\r\n", "abc")
	bad("3\r\nabc\n0\r\n\r\n", "abc")
	bad("3\r\nabc\rx", "abc")
	bad("3\r\nabc0\r\n\r\n", "abc")
	bad("0\r\n\rx", "")
	bad("ffffffffffffffff\r\n", "")
	bad("1\r\na\r\n0000000000000000\r\n", "a")
	bad("1\r\na\r\nzz\r\n\r\n", "a")
}

// TestDechunkBounds bounds what is no data.
func TestDechunkBounds(t *testing.T) {
	f := func(in string, good bool) {
		t.Helper()
		if _, _, finished, err := dechunk(in); (err == nil) != good || finished != good {
			t.Errorf("%d bytes: finished %v, %v", len(in), finished, err)
		}
	}
	f("1;"+strings.Repeat("a", maxChunkLine-10)+"\r\nx\r\n0\r\n\r\n", true)
	f("1;"+strings.Repeat("a", maxChunkLine+10)+"\r\nx\r\n0\r\n\r\n", false)
	f("0\r\n"+strings.Repeat("X: y\r\n", maxChunkLine/8)+"\r\n", true)
	f("0\r\n"+strings.Repeat("X: y\r\n", maxChunkLine)+"\r\n", false)
	f("0\r\nX: "+strings.Repeat("y", maxChunkLine)+"\r\n\r\n", false)
	f(strings.Repeat("1;"+strings.Repeat("a", 100)+"\r\nx\r\n", 1000)+"0\r\n\r\n", true)
}

func TestDechunkDoesNotAllocate(t *testing.T) {
	in := []byte(strings.Repeat("3\r\nabc\r\n", 100))
	b := make([]byte, len(in))
	var d dechunker
	if n := testing.AllocsPerRun(100, func() { d.decode(b[:copy(b, in)]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzDechunk cuts a text in two ways: neither the data nor the verdict may
// differ; and what the standard library takes for whole is the same data here.
func FuzzDechunk(f *testing.F) {
	for _, s := range []string{"0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\nrest", "zz\r\n", "3\r\nab", "fffffffffffffff\r\n"} {
		f.Add(s, uint64(1))
	}
	f.Fuzz(func(t *testing.T, in string, seed uint64) {
		data, rest, finished, err := dechunk(in)
		rnd := rand.New(rand.NewPCG(seed, 0))
		var cuts []int
		for at := 0; len(in)-at > 1; {
			at += 1 + rnd.IntN(len(in)-at)
			cuts = append(cuts, at)
		}
		data2, rest2, finished2, err2 := dechunk(in, cuts...)
		if data != data2 || rest != rest2 || finished != finished2 || (err == nil) != (err2 == nil) {
			t.Errorf("%q, cut at %v: %q %d %v %v, whole: %q %d %v %v", in, cuts, data2, rest2, finished2, err2, data, rest, finished, err)
		}
		std, stdErr := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(in)))
		if finished && stdErr == nil && string(std) != data {
			t.Errorf("%q: %q, net/http reads %q", in, data, std)
		}
	})
}
