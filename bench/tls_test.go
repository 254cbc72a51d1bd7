package bench

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gemini-resilient-proxy/proxy"
)

// startSecureProxy runs a proxy that speaks TLS, with a certificate of a P-256
// key, and returns the configuration of its clients.
func startSecureProxy(tb testing.TB, upstream string) (addr string, client *tls.Config) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	put := func(name, kind string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			tb.Fatal(err)
		}
		return path
	}
	crt, sec := put("crt", "CERTIFICATE", der), put("key", "PRIVATE KEY", secret)
	roots := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	roots.AddCert(leaf)
	addr = startProxyWith(tb, upstream, func(c *proxy.Config) { c.TLSCertFile, c.TLSKeyFile = crt, sec })
	return addr, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
}

// secure makes a client speak TLS.
func (cl *client) secure(conf *tls.Config) *client {
	cl.tb.Helper()
	cl.c = tls.Client(cl.c, conf)
	cl.br = bufio.NewReaderSize(cl.c, 64<<10)
	return cl
}

// A connection with one small request, which the proxy answers itself: what a
// handshake costs, both sides of it, and what a session that is resumed saves.
func BenchmarkHandshake(b *testing.B) {
	up := startUpstream(b, func(net.Conn, int) bool { return false })
	health := []byte("GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
	run := func(name string, addr string, conf *tls.Config) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			defer measureCPU(b)()
			for b.Loop() {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					b.Fatal(err)
				}
				if conf != nil {
					c = tls.Client(c, conf)
				}
				c.Write(health)
				if n, err := io.Copy(io.Discard, c); n == 0 || err != nil {
					b.Fatal(n, err)
				}
				c.Close()
			}
		})
	}
	run("plain", startProxy(b, up), nil)
	addr, conf := startSecureProxy(b, up)
	run("full", addr, conf)
	conf = conf.Clone()
	conf.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	run("resumed", addr, conf)
}

// One event at a time, to a client that speaks TLS and to one that does not.
func BenchmarkEventOverTLS(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		eachEvent(b, func(up string) *client { return dial(b, startProxy(b, up)) })
	})
	b.Run("TLS", func(b *testing.B) {
		eachEvent(b, func(up string) *client {
			addr, conf := startSecureProxy(b, up)
			return dial(b, addr).secure(conf)
		})
	})
}

// Events that come as fast as they can.
func BenchmarkSaturatedOverTLS(b *testing.B) {
	up := startSaturating(b)
	b.Run("plain", func(b *testing.B) { saturate(b, dial(b, startProxy(b, up))) })
	b.Run("TLS", func(b *testing.B) {
		addr, conf := startSecureProxy(b, up)
		saturate(b, dial(b, addr).secure(conf))
	})
}
