package bench

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// both runs f directly against the upstream and through the proxy.
func both(b *testing.B, upstream string, f func(b *testing.B, addr string)) {
	b.Run("direct", func(b *testing.B) { f(b, upstream) })
	b.Run("proxy", func(b *testing.B) { f(b, startProxy(b, upstream)) })
}

// Events that come as fast as they can, 1000 in a stream.
func BenchmarkStreamSaturated(b *testing.B) {
	const events = 1000
	batch := repeat(chunk(event), 10)
	up := startUpstream(b, func(c net.Conn, _ int) bool {
		io.WriteString(c, responseHead)
		for range events / 10 {
			io.WriteString(c, batch)
		}
		_, err := io.WriteString(c, chunk(lastEvent)+"0\r\n\r\n")
		return err == nil
	})
	both(b, up, func(b *testing.B, addr string) {
		cl := dial(b, addr)
		b.ReportAllocs()
		b.SetBytes(events * int64(len(event)))
		for b.Loop() {
			cl.ask()
			if n := cl.events(-1); n != events+1 {
				b.Fatalf("%d events, want %d", n, events+1)
			}
		}
		b.ReportMetric(float64(b.N)*events/b.Elapsed().Seconds(), "events/s")
	})
}

// One event at a time: what the proxy adds to an event's way.
func BenchmarkEventRoundTrip(b *testing.B) {
	next := make(chan struct{})
	piece := []byte(chunk(event))
	up := startUpstream(b, func(c net.Conn, _ int) bool {
		io.WriteString(c, responseHead)
		for range next {
			if _, err := c.Write(piece); err != nil {
				return false
			}
		}
		return false
	})
	both(b, up, func(b *testing.B, addr string) {
		cl := dial(b, addr)
		cl.ask()
		next <- struct{}{}
		cl.events(1)
		b.ReportAllocs()
		for b.Loop() {
			next <- struct{}{}
			cl.events(1)
		}
		cl.c.Close()
		// The upstream notices at one of its next writes.
		for range 3 {
			select {
			case next <- struct{}{}:
			case <-time.After(time.Millisecond):
			}
		}
	})
}

// A whole short answer: connection, request, first and last event.
func BenchmarkShortAnswer(b *testing.B) {
	answer := responseHead + chunk(event) + chunk(lastEvent) + "0\r\n\r\n"
	up := startUpstream(b, func(c net.Conn, _ int) bool {
		_, err := io.WriteString(c, answer)
		return err == nil
	})
	both(b, up, func(b *testing.B, addr string) {
		cl := dial(b, addr)
		b.ReportAllocs()
		for b.Loop() {
			cl.ask()
			cl.events(-1)
		}
	})
}

// Every stream is cut once, at its middle, and healed: the cost beside that
// of a stream that is not.
func BenchmarkHealedAnswer(b *testing.B) {
	for _, cut := range []bool{false, true} {
		b.Run(fmt.Sprintf("cut=%v", cut), func(b *testing.B) {
			const events = 100
			half := repeat(chunk(event), events/2)
			up := startUpstream(b, func(c net.Conn, n int) bool {
				io.WriteString(c, responseHead+half)
				if cut && n%2 == 0 {
					// A clean end without a finish keeps the connection.
					_, err := io.WriteString(c, "0\r\n\r\n")
					return err == nil
				}
				if !cut {
					io.WriteString(c, half)
				}
				_, err := io.WriteString(c, chunk(lastEvent)+"0\r\n\r\n")
				return err == nil
			})
			cl := dial(b, startProxy(b, up))
			b.ReportAllocs()
			for b.Loop() {
				cl.ask()
				if n := cl.events(-1); n != events+1 {
					b.Fatalf("%d events, want %d", n, events+1)
				}
			}
		})
	}
}

// A short request that is relayed: 1 KiB of JSON each way.
func BenchmarkShortRelay(b *testing.B) {
	body := `{"contents":[{"parts":[{"text":"` + repeat("x", 960) + `"}]}]}`
	post := fmt.Sprintf("POST /v1beta/models/gemini-2.5-flash:countTokens HTTP/1.1\r\nHost: bench\r\n"+
		"Content-Type: application/json\r\nx-goog-api-key: KEY\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	answer := []byte(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	up := startUpstream(b, func(c net.Conn, _ int) bool {
		_, err := c.Write(answer)
		return err == nil
	})
	both(b, up, func(b *testing.B, addr string) {
		cl := dial(b, addr)
		request := []byte(post)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := cl.c.Write(request); err != nil {
				b.Fatal(err)
			}
			if err := readRequest(cl.br); err != nil {
				b.Fatal(err)
			}
		}
	})
}
