package bench

import (
	"fmt"
	"io"
	"net"
	"testing"
)

// each runs f directly against the upstream, through the reference relay, and
// through the proxy.
func each(b *testing.B, upstream string, f func(b *testing.B, addr string)) {
	b.Run("direct", func(b *testing.B) { f(b, upstream) })
	b.Run("reference", func(b *testing.B) { f(b, startReference(b, upstream)) })
	b.Run("proxy", func(b *testing.B) { f(b, startProxy(b, upstream)) })
}

// saturating is how many events are in a stream that comes as fast as it can.
const saturating = 1000

// startSaturating starts an upstream of such streams.
func startSaturating(b *testing.B) string {
	head, batch, tail := []byte(responseHead), []byte(repeat(chunk(event), 10)), []byte(chunk(lastEvent)+"0\r\n\r\n")
	return startUpstream(b, func(c net.Conn, _ int) bool {
		c.Write(head)
		for range saturating / 10 {
			c.Write(batch)
		}
		_, err := c.Write(tail)
		return err == nil
	})
}

// saturate measures such streams.
func saturate(b *testing.B, cl *client) {
	b.ReportAllocs()
	b.SetBytes(saturating * int64(len(event)))
	defer measureCPU(b)()
	for b.Loop() {
		cl.ask()
		if n := cl.events(-1); n != saturating+1 {
			b.Fatalf("%d events, want %d", n, saturating+1)
		}
	}
	b.ReportMetric(float64(b.N)*saturating/b.Elapsed().Seconds(), "events/s")
}

// Events that come as fast as they can, 1000 in a stream.
func BenchmarkStreamSaturated(b *testing.B) {
	each(b, startSaturating(b), func(b *testing.B, addr string) { saturate(b, dial(b, addr)) })
}

// One event at a time: what the proxy adds to an event's way.
func BenchmarkEventRoundTrip(b *testing.B) {
	run := func(name string, start func(testing.TB, string) string) {
		b.Run(name, func(b *testing.B) {
			eachEvent(b, func(up string) *client { return dial(b, start(b, up)) })
		})
	}
	run("direct", func(_ testing.TB, addr string) string { return addr })
	run("reference", startReference)
	run("proxy", startProxy)
}

// eachEvent measures one event at a time, to a client of what start puts in
// front of an upstream.
func eachEvent(b *testing.B, start func(upstream string) *client) {
	piece := []byte(chunk(event))
	// An upstream for each run: what is left of one stream, such as a retry
	// behind its end, takes no event from another.
	next := make(chan struct{})
	defer close(next)
	cl := start(startUpstream(b, func(c net.Conn, _ int) bool {
		io.WriteString(c, responseHead)
		for range next {
			if _, err := c.Write(piece); err != nil {
				break
			}
		}
		return false
	}))
	cl.ask()
	next <- struct{}{}
	cl.events(1)
	b.ReportAllocs()
	defer measureCPU(b)()
	for b.Loop() {
		next <- struct{}{}
		cl.events(1)
	}
	cl.c.Close()
}

// A whole short answer: connection, request, first and last event.
func BenchmarkShortAnswer(b *testing.B) {
	answer := []byte(responseHead + chunk(event) + chunk(lastEvent) + "0\r\n\r\n")
	up := startUpstream(b, func(c net.Conn, _ int) bool {
		_, err := c.Write(answer)
		return err == nil
	})
	each(b, up, func(b *testing.B, addr string) {
		cl := dial(b, addr)
		b.ReportAllocs()
		defer measureCPU(b)()
		for b.Loop() {
			cl.ask()
			cl.events(-1)
		}
	})
}

// Every stream is cut once, at its middle, and healed: the cost beside that
// of a stream that is not.
func BenchmarkHealedAnswer(b *testing.B) {
	const events = 100
	end := "0\r\n\r\n"
	half := responseHead + repeat(chunk(event), events/2)
	broken, rest := []byte(half+end), []byte(half+chunk(lastEvent)+end)
	whole := []byte(half + repeat(chunk(event), events/2) + chunk(lastEvent) + end)
	run := func(name string, cut bool, start func(testing.TB, string) string) {
		b.Run(name, func(b *testing.B) {
			up := startUpstream(b, func(c net.Conn, n int) bool {
				answer := whole
				switch {
				case cut && n%2 == 0:
					// A clean end without a finish keeps the connection.
					answer = broken
				case cut:
					answer = rest
				}
				_, err := c.Write(answer)
				return err == nil
			})
			cl := dial(b, start(b, up))
			b.ReportAllocs()
			defer measureCPU(b)()
			for b.Loop() {
				cl.ask()
				if n := cl.events(-1); n != events+1 {
					b.Fatalf("%d events, want %d", n, events+1)
				}
			}
		})
	}
	run("reference", false, startReference)
	run("uncut", false, startProxy)
	run("cut", true, startProxy)
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
	each(b, up, func(b *testing.B, addr string) {
		cl := dial(b, addr)
		request := []byte(post)
		b.ReportAllocs()
		defer measureCPU(b)()
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
