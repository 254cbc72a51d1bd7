package main

import (
	"math"
	"strings"
	"testing"
)

func TestMarkIsReadBack(t *testing.T) {
	f := func(text string, want ...mark) {
		t.Helper()
		b := []byte(text)
		for _, w := range want {
			m, tail, ok := nextMark(b)
			if !ok || m != w {
				t.Errorf("%q: %+v %v, want %+v", text, m, ok, w)
			}
			b = tail
		}
		if m, _, ok := nextMark(b); ok {
			t.Errorf("%q: one mark too many: %+v", text, m)
		}
	}
	one, big := mark{0, 1, 0}, mark{1 << 30, math.MaxInt64 / 10, 999}
	f("")
	f("a # b")
	f("#1.2#")
	f("#1.2.3")
	f("#1..3#")
	f("#1.99999999999999999999.3#")
	f(string(one.append(nil)), one)
	f("## #1."+string(one.append(nil))+" and "+string(big.append(nil))+"#", one, big)
}

func TestEventHasItsSizeAndMark(t *testing.T) {
	m := mark{12345, 1700000000000000000, 42}
	for _, size := range []int{0, 350, 1000, maxEvent} {
		event := string(appendEvent(nil, m, size))
		if size > 0 && len(event) != size {
			t.Errorf("size %d: %d bytes", size, len(event))
		}
		if got, _, ok := nextMark([]byte(event)); !ok || got != m {
			t.Errorf("size %d: mark %+v %v", size, got, ok)
		}
		if !strings.HasPrefix(event, "data: {") || !strings.HasSuffix(event, "}\r\n\r\n") {
			t.Errorf("not an event: %q", event)
		}
	}
}

func TestChunk(t *testing.T) {
	f := func(n int, head string) {
		t.Helper()
		data := strings.Repeat("x", n)
		if got := string(appendChunk(nil, []byte(data))); got != head+"\r\n"+data+"\r\n" {
			t.Errorf("%d bytes: %.20q", n, got)
		}
	}
	f(1, "1")
	f(15, "f")
	f(16, "10")
	f(350, "15e")
	f(4096, "1000")
}
