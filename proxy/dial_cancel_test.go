package proxy_test

import (
	"net"
	"testing"
	"time"

	"gemini-resilient-proxy/proxy"
)

// undialed is a rig in front of an upstream that takes connections and says
// nothing in their TLS handshakes. accepted tells of each.
func undialed(t *testing.T) (r *rig, accepted chan struct{}) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	accepted = make(chan struct{}, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			accepted <- struct{}{}
		}
	}()
	return newRig(t, plain, func(c *proxy.Config) {
		c.UpstreamURLBase = "https://" + l.Addr().String()
		c.ConnectTimeout = time.Hour
	}), accepted
}

// undialedRequests are requests of every kind.
var undialedRequests = map[string]string{
	"heal":   streamRequest(ask("a")),
	"relay":  getRequest,
	"tunnel": handshake(livePath),
}

// TestDrainWhileDialing: a request whose connection is still being made is told
// that the drain is over, and the drain does not wait for the connection.
func TestDrainWhileDialing(t *testing.T) {
	for name, request := range undialedRequests {
		t.Run(name, func(t *testing.T) {
			r, accepted := undialed(t)
			w := r.wire()
			w.send(request)
			r.await("the connection", accepted)
			done := r.drain(0)
			w.wants("GET", 503)
			r.drained(done)
		})
	}
}

// TestLeaveWhileDialing: nobody's place is kept by a client that has left while
// the connection to the upstream is being made.
func TestLeaveWhileDialing(t *testing.T) {
	r, accepted := undialed(t)
	for name, request := range undialedRequests {
		w := r.wire()
		w.send(request)
		r.await("the connection of "+name, accepted)
		w.Close()
		r.idle()
	}
}
