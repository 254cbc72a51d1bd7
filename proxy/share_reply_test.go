package proxy

import (
	"fmt"
	"strings"
	"testing"
)

// What a server may say, and what it may not.
var (
	goodReplies = []string{
		"", "+OK\r\n", "-ERR no\r\n", ":12\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "(12345678901234567890\r\n", "$0\r\n\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n",
		"$5\r\na\nb\r\n\r\n", "=7\r\ntxt:abc\r\n", "!3\r\nERR\r\n", "*2\r\n:1\r\n$1\r\nx\r\n", "%1\r\n+a\r\n*1\r\n:1\r\n", "~1\r\n_\r\n", ">1\r\n+x\r\n+OK\r\n", "|1\r\n+a\r\n+b\r\n:1\r\n",
		strings.Repeat("*1\r\n", maxReplyDepth) + ":1\r\n" + strings.Repeat("*1\r\n", maxReplyDepth) + "*0\r\n:7\r\n",
		fmt.Sprintf("*%d\r\n", maxReplyItems), fmt.Sprintf("$%d\r\n", maxReplyText), "*3\r\n*2\r\n:1\r\n:1\r\n*0\r\n*1\r\n:1\r\n" + strings.Repeat("*1\r\n", maxReplyDepth) + ":1\r\n",
		"-" + strings.Repeat("long ", 1000) + "\r\n",
	}
	badReplies = []string{
		"\r\n", "\n", "HTTP/1.1 400 Bad Request\r\n", "\x15\x03\x01\n", "$\r\n", "*\r\n", "$?\r\n", "*-2\r\n", "$1x\r\n", "*9223372036854775808\r\n", "*99999999999999999999999999\r\n",
		fmt.Sprintf("*%d\r\n", maxReplyItems+1), fmt.Sprintf("%%%d\r\n", maxReplyItems+1), fmt.Sprintf("$%d\r\n", maxReplyText+1), "*2000000000\r\n", "*1\r\n*1\r\n*2000000000\r\n",
		strings.Repeat("*1\r\n", maxReplyDepth+1), "*0000000000000000000000001\r\n",
	}
)

func TestReplyScan(t *testing.T) {
	f := func(reply string, good bool) {
		t.Helper()
		for cut := range len(reply) + 1 {
			var s replyScan
			err := s.take([]byte(reply[:cut]))
			if err == nil {
				err = s.take([]byte(reply[cut:]))
			}
			if (err == nil) != good {
				t.Errorf("%.60q cut at %d: %v", reply, cut, err)
				return
			}
		}
		var s replyScan
		var err error
		for i := 0; i < len(reply) && err == nil; i++ {
			err = s.take([]byte{reply[i]})
		}
		if (err == nil) != good {
			t.Errorf("%.60q byte by byte: %v", reply, err)
		}
	}
	for _, reply := range goodReplies {
		f(reply, true)
	}
	for _, reply := range badReplies {
		f(reply, false)
	}
	f(strings.Join(goodReplies[:20], "")+badReplies[2], false)
	var s replyScan
	if n := testing.AllocsPerRun(100, func() { s.take([]byte("*2\r\n:1\r\n$1\r\nx\r\n")); s.total = 0 }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if err := s.take(make([]byte, maxReply+1)); err == nil {
		t.Error("an answer without end is taken")
	}
}

// FuzzReplyScan: however an answer is cut, the same is said of it.
func FuzzReplyScan(f *testing.F) {
	for _, list := range [][]string{goodReplies, badReplies} {
		for _, reply := range list {
			f.Add([]byte(reply), uint(3))
		}
	}
	f.Fuzz(func(t *testing.T, reply []byte, cut uint) {
		var whole, parts replyScan
		at := int(cut % uint(len(reply)+1))
		want := whole.take(reply)
		got := parts.take(reply[:at])
		if got == nil {
			got = parts.take(reply[at:])
		}
		if got != want {
			t.Fatalf("cut at %d: %v, whole: %v", at, got, want)
		}
		if whole.depth > maxReplyDepth || whole.skip > maxReplyText+2 || want == nil && whole != parts {
			t.Fatalf("%+v, %+v", whole, parts)
		}
	})
}
