//go:build !race

package bench

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"testing"
)

// The relay of an event of the first attempt allocates nothing in steady
// state: not in the reading, the scan, the record of the text, nor the
// writing. The test's own upstream and client allocate nothing either, so
// the count is exact.
func TestRelayedEventAllocatesNothing(t *testing.T) {
	next := make(chan struct{})
	t.Cleanup(func() { close(next) })
	piece := []byte(chunk(event))
	up := startUpstream(t, func(c net.Conn, _ int) bool {
		io.WriteString(c, responseHead)
		for range next {
			if _, err := c.Write(piece); err != nil {
				return false
			}
		}
		return false
	})
	cl := dial(t, startProxy(t, up))
	cl.ask()
	one := func() {
		next <- struct{}{}
		cl.events(1)
	}
	for range 100 {
		one()
	}
	if n := testing.AllocsPerRun(2000, one); n != 0 {
		t.Errorf("%v allocations per relayed event, want 0", n)
	}
}

// What is large, on its way in either direction, lies in memory that the next
// such thing uses again.
func TestLargeThingsLeaveNoGarbage(t *testing.T) {
	const size = 300_000
	image := `{"candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png","data": "` + repeat("QUJD", size/4) + `"}}],"role": "model"},"index": 0}]}`
	page := `data: {"candidates": [{"content": {"parts": [{"text": "` + repeat(`A line.\n`, 1000) + `"}],"role": "model"},"index": 0}]}` + "\r\n\r\n"
	document := "{\n  " + image[1:len(image)-3] + `,"finishReason": "STOP"}]}`
	small := `{"contents":[{"parts":[{"text":"Why?"}]}]}`
	stream, unary := "streamGenerateContent?alt=sse", "generateContent"
	for name, c := range map[string]struct{ method, body, answer string }{
		"request":   {stream, `{"contents":[{"parts":[{"text":"` + repeat("x", size) + `"}]}]}`, responseHead + chunk(event) + chunk(lastEvent) + "0\r\n\r\n"},
		"key in it": {stream, `{"apiKey":"KEY","contents":[{"parts":[{"text":"` + repeat("x", size) + `"}]}]}`, responseHead + chunk(event) + chunk(lastEvent) + "0\r\n\r\n"},
		"event":     {stream, small, responseHead + chunk(event) + chunk("data: "+image+"\r\n\r\n") + chunk(lastEvent) + "0\r\n\r\n"},
		"text":      {stream, small, responseHead + repeat(chunk(page), 20) + chunk(lastEvent) + "0\r\n\r\n"},
		"document":  {unary, small, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(document), document)},
	} {
		t.Run(name, func(t *testing.T) {
			answer := []byte(c.answer)
			up := startUpstream(t, func(conn net.Conn, _ int) bool {
				_, err := conn.Write(answer)
				return err == nil
			})
			cl := dial(t, startProxy(t, up))
			request := fmt.Appendf(nil, "POST /v1beta/models/gemini-2.5-flash:%s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nx-goog-api-key: KEY\r\nContent-Length: %d\r\n\r\n%s", c.method, len(c.body), c.body)
			one := func() {
				if _, err := cl.c.Write(request); err != nil {
					t.Fatal(err)
				}
				if c.method == unary {
					if err := readRequest(cl.br); err != nil {
						t.Fatal(err)
					}
					return
				}
				cl.toEnd()
			}
			if n := allocated(20, one); n > size/4 {
				t.Errorf("%d bytes are allocated each time", n)
			}
		})
	}
}

// allocated returns how many bytes are allocated in one run, after some others.
func allocated(runs int, run func()) uint64 {
	// Pools have something for each processor, and nothing behind a collection.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for range 5 {
		run()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		run()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / uint64(runs)
}
