package main

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"gemini-resilient-proxy/bench/upstream"
)

// A server with users and TLS is spoken to as it wants; one that does not take
// the password, or whose certificate is no good, leaves the replica alone, which
// says why once and nothing of the password.
func TestReplicaSpeaksTLS(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SSL_CERT_FILE is for Linux")
	}
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	roots := filepath.Join(t.TempDir(), "roots.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw})
	if err := os.WriteFile(roots, block, 0o600); err != nil {
		t.Fatal(err)
	}
	server := miniredis.NewMiniRedis()
	server.RequireUserAuth("proxy", redisPassword)
	if err := server.StartTLS(&tls.Config{Certificates: certified.TLS.Certificates}); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	f := func(user, roots, joined, says string) {
		t.Helper()
		s := serving(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}),
			"REDIS_URL=rediss://"+user+"@"+server.Addr()+"/1", "SSL_CERT_FILE="+roots)
		s.shows("/metrics", "\ngemini_proxy_shared_joined "+joined+"\n")
		for end := time.Now().Add(patience); joined == "0" && strings.Contains(s.page("/metrics"), "\ngemini_proxy_shared_failures_total 0\n"); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("no failure is counted")
			}
		}
		c := s.dial(s.public)
		io.WriteString(c, get)
		if status, _, err := reply(c); status != 200 {
			t.Errorf("status %d, %v", status, err)
		}
		page := s.page("/metrics") + s.page("/groups")
		s.cmd.Process.Signal(syscall.SIGTERM)
		s.ends(0)
		log := s.stderr.String()
		if strings.Count(log, says) != 1 || strings.Contains(log+page, "CANARY") {
			t.Errorf("%q is not said once, or too much:\n%s", says, log)
		}
	}
	f("proxy:"+redisPassword, roots, "1", "limits are shared")
	f("proxy:CANARY-wrong", roots, "0", "WRONGPASS")
	f("proxy:"+redisPassword, os.DevNull, "0", "unknown authority")
}
