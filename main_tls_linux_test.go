package main

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
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// credentials writes a certificate for servers and clients that is its own
// authority, and returns the settings by which clients need it and the
// configuration of one.
func credentials(t *testing.T) (env []string, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, b := range map[string][]byte{"crt": crt, "key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env = []string{"TLS_CERT_FILE=" + filepath.Join(dir, "crt"), "TLS_KEY_FILE=" + filepath.Join(dir, "key"), "TLS_CLIENT_CA_FILE=" + filepath.Join(dir, "crt")}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(crt)
	return env, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1",
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// TestUpgradeUnderTLS: clients resume their sessions with the new process, a
// stream goes on in the old one, and the watchdog is fed by both, though clients
// need a certificate.
func TestUpgradeUnderTLS(t *testing.T) {
	env, conf := credentials(t)
	release := make(chan struct{})
	u := newUnit(t, lasting(release), append(env, "WATCHDOG_USEC=300000")...)
	first := u.run()
	u.told("\nWATCHDOG=1\n")
	shake := func(version uint16, cache tls.ClientSessionCache) *tls.Conn {
		t.Helper()
		conf := conf.Clone()
		conf.MaxVersion, conf.ClientSessionCache = version, cache
		c, err := tls.Dial("tcp", u.public[1], conf)
		if err != nil {
			t.Fatalf("%v\n%s", err, u.tail())
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v %v\n%s", resp, err, u.tail())
		}
		return c
	}
	caches := map[uint16]tls.ClientSessionCache{tls.VersionTLS12: tls.NewLRUClientSessionCache(1), tls.VersionTLS13: tls.NewLRUClientSessionCache(1)}
	for version, cache := range caches {
		shake(version, cache).Close()
	}
	stream := shake(tls.VersionTLS13, nil)
	io.WriteString(stream, get)
	if !u.up.Await(patience, func() bool { return u.up.Count() == 1 }) {
		t.Fatal("nothing arrived")
	}
	pid := u.upgrade(u.upgrade(first.Process.Pid))
	u.told("\nWATCHDOG=1\n")
	for version, cache := range caches {
		c := shake(version, cache)
		if !c.ConnectionState().DidResume {
			t.Errorf("%x: the session is not resumed", version)
		}
		c.Close()
	}
	close(release)
	if status, body, err := reply(stream); status != 200 || body != "one two" || err != nil {
		t.Errorf("%d %q %v", status, body, err)
	}
	stream.Close()
	u.ends(first, 0)
	syscall.Kill(pid, syscall.SIGTERM)
	<-u.ended
}

// TestWatchdogInOverload: neither requests that are refused because enough run
// nor clients that wait for a place stop the watchdog's feed.
func TestWatchdogInOverload(t *testing.T) {
	release := make(chan struct{})
	u := newUnit(t, lasting(release), "WATCHDOG_USEC=300000", "MAX_STREAMS=1", "MAX_QUEUE=0")
	cmd := u.run()
	running := u.open(u.public[0])
	for range 3 {
		if status, _ := u.get(u.public[0], "/v1/x"); status != 503 {
			t.Errorf("status %d, want 503", status)
		}
		u.told("\nWATCHDOG=1\n")
	}
	close(release)
	if status, body, err := reply(running); status != 200 || body != "one two" || err != nil {
		t.Errorf("%d %q %v", status, body, err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	u.ends(cmd, 0)
}
