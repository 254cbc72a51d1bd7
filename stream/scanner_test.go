package stream

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// scan gives a Scanner the pieces one after another, as a reader does, and
// returns its events and its rest. A bare payload is marked with "bare ".
func scan(t testing.TB, sc *Scanner, pieces ...[]byte) (events []string, rest string) {
	t.Helper()
	var b []byte
	for _, piece := range pieces {
		// A new buffer each time: nothing may depend on the old one.
		b = slices.Concat(b, piece)
		for {
			ev, n, ok := sc.Next(b)
			if n < 0 || n > len(b) || ok && n == 0 {
				t.Fatalf("Next consumed %d of %d bytes, event %t", n, len(b), ok)
			}
			b = b[n:]
			if !ok {
				break
			}
			events = append(events, mark(ev))
		}
		if unseen := len(b) - sc.seen; unseen > len(dataField) {
			t.Fatalf("%d of %d bytes will be looked at again", unseen, len(b))
		}
	}
	if ev, ok := sc.Rest(b); ok {
		rest = mark(ev)
	}
	return events, rest
}

func mark(ev Event) string {
	if ev.Bare {
		return "bare " + string(ev.Data)
	}
	return string(ev.Data)
}

// everyWay scans input whole, byte by byte, cut at every byte and, when it is
// short, cut at every pair of bytes.
func everyWay(t *testing.T, input string, f func(how string, events []string, rest string)) {
	t.Helper()
	b := []byte(input)
	run := func(how string, pieces ...[]byte) {
		t.Helper()
		events, rest := scan(t, new(Scanner), pieces...)
		f(how, events, rest)
	}
	run("whole", b)
	run("byte by byte", slices.Collect(slices.Chunk(b, 1))...)
	for i := range b {
		run(fmt.Sprint("cut at ", i), b[:i], b[i:])
		for j := i; j < len(b) && len(b) < 64; j++ {
			run(fmt.Sprint("cut at ", i, " and ", j), b[:i], b[i:j], b[j:])
		}
	}
}

// scanTest returns a check that an input holds events, then rest, in any cut.
func scanTest(t *testing.T) func(input, rest string, want ...string) {
	return func(input, rest string, want ...string) {
		t.Helper()
		everyWay(t, input, func(how string, events []string, left string) {
			t.Helper()
			if !slices.Equal(events, want) || left != rest {
				t.Fatalf("%.200q %s:\n got %q, rest %q\nwant %q, rest %q", input, how, events, left, want, rest)
			}
		})
	}
}

func TestScannerReadsWhatTheAPIWrites(t *testing.T) {
	f := scanTest(t)
	f("", "")
	f(sse(`{"a": 1}`), "", `{"a": 1}`)
	f(sse(`{"a": 1}`, `{"b": 2}`, `{"c": 3}`), "", `{"a": 1}`, `{"b": 2}`, `{"c": 3}`)
	f(sse(`{"text": "é 😀 \u2028 data: x\r\n\r\n"}`), "", `{"text": "é 😀 \u2028 data: x\r\n\r\n"}`)
	// Every line ending, and all of them in one stream.
	f("data: 1\n\ndata: 2\n\n", "", "1", "2")
	f("data: 1\r\rdata: 2\r\r", "", "1", "2")
	f("data: 1\r\n\rdata: 2\n\r\ndata: 3\r\r\ndata: 4\n\rdata: 5\r\n\n", "", "1", "2", "3", "4", "5")
	f("data: 1\r\n\r\ndata: 2\n\ndata: 3\r\rdata: 4\r\n\r\n", "", "1", "2", "3", "4")
	// Blank lines between events.
	f("\r\n\n\r\rdata: 1\n\n\n\n\r\n\r\ndata: 2\r\n\r\n\r\n", "", "1", "2")
	// Several data lines.
	f("data: {\ndata: \"a\": 1\ndata:}\n\n", "", "{\n\"a\": 1\n}")
	f("data: 1\r\ndata: 2\r\n\r\ndata: 3\r\n\r\n", "", "1\n2", "3")
	f("data:\n\n", "", "")
	f("data: \r\n\r\n", "", "")
	f("data:1\n\ndata:  2\n\n", "", "1", " 2")
	// What a gateway may add.
	f(": ping\n\ndata: 1\n\n: ping\r\n\r\n", "", "1")
	f("event: message\nid: 7\nretry: 10\ndata: 1\nid: 8\n\nevent: x\n\n", "", "1")
	f(":\r\ndata: {\"a\": [ {}]}\r\nid: 1\r\n\r\n", "", `{"a": [ {}]}`)
	f("id: 1\r\ndata: {\"a\": {}}\ndata: \n\n", "", "{\"a\": {}}\n")
	f(sse("1", "[DONE]"), "", "1", "[DONE]")
}

func TestScannerLeavesTheUnfinishedToRest(t *testing.T) {
	f := scanTest(t)
	f("data: {\"a\": 1}", `{"a": 1}`)
	f("data: {\"a\": 1}\r", `{"a": 1}`)
	f("data: {\"a\": 1}\r\n", `{"a": 1}`)
	f("data: {\"a\": 1}\n", `{"a": 1}`)
	f("data: {\"a\":", `{"a":`)
	f(sse("1")+"data: 2", "2", "1")
	f(sse("1")+"data: 2\ndata: 3", "2\n3", "1")
	f(sse("1")+"data: 2\r\ndata: 3\r\n", "2\n3", "1")
	f(sse("1")+"data: 2\r\nid: 3", "2", "1")
	f("data:", "")
	f("\xef\xbb\xbfdata: 1", "1")
	f(sse("1")+"{\n \"error\": {", "bare {\n \"error\": {", "1")
	// Nothing had begun.
	f("dat", "")
	f("id: 7\nretry: 1", "")
	f(sse("1")+": ping", "", "1")
	f("\xef\xbb", "")
}

func TestScannerResetForgetsEverything(t *testing.T) {
	var sc Scanner
	for _, begun := range []string{
		"\xef\xbb\xbfdata: 1\n\n", "data: half", "data: 1\ndata: 2\n", "{\"error\": \"{\\", "data: 1\r", "data: 1\r\r", "   ", "a", "\r",
	} {
		sc.Next([]byte(begun))
		sc.Reset()
		events, rest := scan(t, &sc, []byte("\xef\xbb\xbfdata: 1\r\n\r\n  {}\ndata: 2"))
		if !slices.Equal(events, []string{"1", "bare {}"}) || rest != "2" {
			t.Errorf("after %q: %q, rest %q", begun, events, rest)
		}
		sc.Reset()
	}
}

func TestScannerResetGivesALargeBufferBack(t *testing.T) {
	var sc Scanner
	scan(t, &sc, bytes.Repeat([]byte("data: 0123456789\n"), maxJoined/8))
	if cap(sc.joined) <= maxJoined {
		t.Fatal("the buffer has not grown")
	}
	if sc.Reset(); sc.joined != nil {
		t.Errorf("%d bytes kept", cap(sc.joined))
	}
}

func TestScannerLooksAtNoByteTwice(t *testing.T) {
	// scan counts the bytes that Next has not ticked off; here the pieces are
	// small and the events long, where a second look would be quadratic.
	long := strings.Repeat("0123456789 ", 10_000)
	f := func(input string, want int) {
		t.Helper()
		var sc Scanner
		events := 0
		b := []byte(input)
		for to, from := 0, 0; to < len(b); {
			to = min(to+7, len(b))
			for ok := true; ok; {
				var n int
				if _, n, ok = sc.Next(b[from:to]); ok {
					events++
				}
				from += n
			}
			if unseen := to - from - sc.seen; unseen > len(dataField) {
				t.Fatalf("%.20q: %d bytes at %d will be looked at again", input, unseen, to)
			}
		}
		if events != want {
			t.Errorf("%.20q: %d events", input, events)
		}
	}
	f(sse(long), 1)
	f("data: "+long+"\n\n", 1)
	f("data: "+long+"\r\r", 1)
	f("data:"+long+"\ndata: "+long+"\n\n", 1)
	f(": "+long+"\n\n", 0)
	f(long, 0)
	f(`{"error": "`+long+`\"}"}`, 1)
	f(strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000), 1)
	f(strings.Repeat(" ", 100_000), 0)
	f(strings.Repeat("\t", 100_000)+"{}", 1)
	f(strings.Repeat("\r", 100_000)+sse("1"), 1)
}

func TestScannerStopsSearchingForLFAfterALoneCR(t *testing.T) {
	// The fast path would search all of the input for a LF, for each event.
	var sc Scanner
	b := []byte(strings.Repeat("data: 1\r\r", 3) + strings.Repeat("x", 100))
	for range 3 {
		_, n, ok := sc.Next(b)
		if !ok || !sc.loneCR {
			t.Fatalf("event %t, lone CR %t", ok, sc.loneCR)
		}
		b = b[n:]
	}
	if sc.Reset(); sc.loneCR {
		t.Error("kept by Reset")
	}
}
