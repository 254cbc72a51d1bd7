package proxy_test

import (
	"context"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// probes returns what a probe says, with time enough.
func (r *rig) probes() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return r.server.Probe(ctx)
}

// TestProbeInOverload: a proxy that refuses requests because it has enough to do
// is well.
func TestProbeInOverload(t *testing.T) {
	s := newStage(t, func(c *proxy.Config) { c.MaxStreams, c.MaxQueue = 1, 0 })
	release := make(chan struct{})
	s.up.SetHandler(upstream.Always(upstream.Script{upstream.Text(first), upstream.Hold(release), upstream.TextFinish(second, "STOP")}))
	got := make(chan answer)
	go func() { got <- s.ask(streamPath, s.body) }()
	s.arrived(0)
	for range 5 {
		if a := s.ask(streamPath, s.body); a.status != 503 {
			t.Fatalf("status %d, want 503", a.status)
		}
		if err := s.probes(); err != nil {
			t.Error(err)
		}
	}
	close(release)
	if a := <-got; a.err != nil || a.status != 200 {
		t.Errorf("%+v", a)
	}
}

// TestProbeOfUnixSockets, with TLS and without, and with clients that need a
// certificate. A socket that was reached and cannot be any more is a failure.
// One that never could be, as with a file of somebody else, is not.
func TestProbeOfUnixSockets(t *testing.T) {
	for name, change := range map[string]func(dir string, c *proxy.Config){
		"plain": func(string, *proxy.Config) {},
		"TLS": func(dir string, c *proxy.Config) {
			c.TLSCertFile, c.TLSKeyFile = filepath.Join(dir, "crt"), filepath.Join(dir, "key")
			newAuthority(t).write("one", c.TLSCertFile, c.TLSKeyFile)
		},
		"client certificates": func(dir string, c *proxy.Config) {
			c.TLSCertFile, c.TLSKeyFile, c.TLSClientCAFile = filepath.Join(dir, "crt"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")
			a := newAuthority(t)
			a.write("one", c.TLSCertFile, c.TLSKeyFile)
			put(t, c.TLSClientCAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := newRig(t, plain, func(c *proxy.Config) { change(dir, c) })
			reached := r.serveUnix(filepath.Join(dir, "reached"))
			if err := r.probes(); err != nil {
				t.Fatal(err)
			}
			hidden := r.serveUnix(filepath.Join(dir, "hidden"))
			os.Remove(hidden)
			for range 2 {
				if err := r.probes(); err != nil {
					t.Errorf("a socket out of reach: %v", err)
				}
			}
			if n := strings.Count(r.log.String(), "cannot reach its own socket"); n != 1 {
				t.Errorf("%d warnings, want 1", n)
			}
			os.Remove(reached)
			if err := r.probes(); err == nil || !strings.Contains(err.Error(), reached) {
				t.Errorf("a socket that is gone: %v", err)
			}
		})
	}
}

// serveUnix has the proxy serve a Unix socket as well, and returns its path.
func (r *rig) serveUnix(path string) string {
	r.t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		r.t.Fatal(err)
	}
	go r.server.Serve(l)
	c, err := net.Dial("unix", path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	// Whoever speaks TLS there says that this is not.
	io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := c.Read(make([]byte, 1)); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// TestProbeTakesNoLonger than it may.
func TestProbeTakesNoLonger(t *testing.T) {
	r := newRig(t, plain, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r.server.Probe(ctx) == nil {
		t.Error("a probe without time succeeds")
	}
}
