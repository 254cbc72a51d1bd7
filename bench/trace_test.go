package bench

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"gemini-resilient-proxy/proxy"
)

// traces are the ways in which a request may be traced or not.
var traces = []struct {
	name, sampler string
}{
	{"off", ""},
	{"unsampled", "always_off"},
	{"sampled", "always_on"},
}

// startTracing runs a proxy whose traces go to a collector that takes them all,
// "" for a proxy without traces.
func startTracing(tb testing.TB, addr, sampler string) string {
	tb.Helper()
	if sampler == "" {
		return startProxy(tb, addr)
	}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	tb.Cleanup(collector.Close)
	return startProxyWith(tb, addr, func(c *proxy.Config) { c.Trace.Endpoint, c.Trace.Sampler = collector.URL, sampler })
}

// What a trace costs: beside the same requests without.
func BenchmarkTrace(b *testing.B) {
	const events = 100
	short := []byte(responseHead + chunk(event) + chunk(lastEvent) + "0\r\n\r\n")
	long := []byte(responseHead + repeat(chunk(event), events) + chunk(lastEvent) + "0\r\n\r\n")
	for _, answer := range []struct {
		name  string
		bytes []byte
	}{{"short", short}, {fmt.Sprintf("events=%d", events), long}} {
		for _, how := range traces {
			b.Run(answer.name+"/"+how.name, func(b *testing.B) {
				up := startUpstream(b, func(c net.Conn, _ int) bool {
					_, err := c.Write(answer.bytes)
					return err == nil
				})
				cl := dial(b, startTracing(b, up, how.sampler))
				b.ReportAllocs()
				defer measureCPU(b)()
				for b.Loop() {
					cl.ask()
					cl.events(-1)
				}
			})
		}
	}
}
