package proxy

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"

	"gemini-resilient-proxy/routing"
)

// saying is a server that says the same to everything.
func saying(t *testing.T, text string) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for buf := make([]byte, 4096); ; {
					if _, err := c.Read(buf); err != nil {
						return
					}
					if _, err := c.Write([]byte(text)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// A server that announces gigabytes, speaks another protocol or repeats the
// password leaves the replica alone, which says so once.
func TestReplicaDoubtsItsServer(t *testing.T) {
	f := func(text, says string) {
		t.Helper()
		var log bytes.Buffer
		current := func() *state { return &state{} }
		s, err := newSharer(routing.Secret("redis://user:CANARY@"+saying(t, text)), current, routing.NewGate(routing.Limits{}), slog.New(slog.NewTextHandler(&log, nil)), newMetrics(nil))
		if err != nil {
			t.Fatal(err)
		}
		defer s.client.Close()
		for range 3 {
			s.turn()
		}
		if strings.Count(log.String(), says) != 1 || strings.Count(log.String(), "\n") != 1 || strings.Contains(log.String(), "CANARY") {
			t.Errorf("%.40q: want %q, once:\n%s", text, says, &log)
		}
	}
	f("*2000000000\r\n", "makes no sense")
	f("$9000000000000000000\r\n", "makes no sense")
	f("HTTP/1.1 400 Bad Request\r\n\r\n", "makes no sense")
	f("-ERR unknown command `auth`, with args beginning with: `user`, `CANARY`\r\n", "unknown command `auth`")
	f("-WRONGPASS CANARY is none\r\n", "WRONGPASS REDACTED is none")
	f("-LOADING Redis is loading the dataset in memory\r\n", "LOADING Redis")
}
