package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/proxy"
)

// event is one event of about 350 bytes, as the API sends them.
const event = `data: {"candidates": [{"content": {"parts": [{"text": "a piece of an answer, as long as such pieces usually are"}],"role": "model"},"index": 0}],` +
	`"usageMetadata": {"promptTokenCount": 7,"candidatesTokenCount": 12,"totalTokenCount": 19,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 7}]},` +
	`"modelVersion": "gemini-2.5-flash","responseId": "U7-Fao_EK_-VvdIP1-aJ8Qo"}` + "\r\n\r\n"

const lastEvent = `data: {"candidates": [{"content": {"parts": [{"text": "."}],"role": "model"},"finishReason": "STOP","index": 0}],"modelVersion": "gemini-2.5-flash","responseId": "x"}` + "\r\n\r\n"

const responseHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

// chunk frames s as one chunk.
func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

var request = func() []byte {
	body := `{"contents":[{"role":"user","parts":[{"text":"Why is the sky blue?"}]}]}`
	return fmt.Appendf(nil, "POST /v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse HTTP/1.1\r\n"+
		"Host: bench\r\nContent-Type: application/json\r\nx-goog-api-key: KEY\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}()

// startUpstream serves every request on every connection with serve, which
// gets the connection after the request was read. It allocates only when a
// connection is made.
func startUpstream(tb testing.TB, serve func(c net.Conn, n int) bool) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				br := bufio.NewReader(c)
				for n := 0; readRequest(br) == nil; n++ {
					if !serve(c, n) {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

var lengthField = []byte("Content-Length: ")

// readRequest reads one request without allocating.
func readRequest(br *bufio.Reader) error {
	length := 0
	for {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			_, err := br.Discard(length)
			return err
		}
		if digits, ok := bytes.CutPrefix(line, lengthField); ok {
			for _, c := range bytes.TrimRight(digits, "\r\n") {
				length = length*10 + int(c-'0')
			}
		}
	}
}

// startProxy runs a proxy in front of the upstream at addr.
func startProxy(tb testing.TB, addr string) string {
	return startProxyWith(tb, addr, func(*proxy.Config) {})
}

// startProxyWith is startProxy with other settings.
func startProxyWith(tb testing.TB, addr string, change func(*proxy.Config)) string {
	tb.Helper()
	cfg := proxy.DefaultConfig()
	cfg.UpstreamURLBase = "http://" + addr
	change(&cfg)
	s, err := proxy.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	go s.Serve(l)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		s.Drain(ctx)
	})
	return l.Addr().String()
}

// client reads streams on one connection without allocating.
type client struct {
	tb testing.TB
	c  net.Conn
	br *bufio.Reader
}

func dial(tb testing.TB, addr string) *client {
	tb.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return &client{tb, c, bufio.NewReaderSize(c, 64<<10)}
}

// ask sends the request.
func (cl *client) ask() {
	if _, err := cl.c.Write(request); err != nil {
		cl.tb.Fatal(err)
	}
}

var dataPrefix, finalChunk = []byte("data: "), []byte("0\r\n")

// events reads n events, or until the end of the stream when n is negative,
// and returns how many it read.
func (cl *client) events(n int) int {
	for got := 0; ; {
		line, err := cl.br.ReadSlice('\n')
		if err != nil {
			cl.tb.Fatal(err)
		}
		if bytes.HasPrefix(line, dataPrefix) {
			if got++; got == n {
				return got
			}
		} else if bytes.Equal(line, finalChunk) {
			cl.br.ReadSlice('\n')
			return got
		}
	}
}

// toEnd reads to the end of the stream, whose lines may be of any length.
func (cl *client) toEnd() {
	for last := false; ; {
		line, err := cl.br.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			cl.tb.Fatal(err)
		}
		if last && err == nil {
			return
		}
		last = bytes.Equal(line, finalChunk)
	}
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }
