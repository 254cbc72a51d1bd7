package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/proxy"
)

// shows tells whether the certificate of name is shown, and served with.
func (s *secured) shows(name string) func() bool {
	return func() bool {
		st, err := s.shake(s.conf)
		return err == nil && st.PeerCertificates[0].Subject.CommonName == name
	}
}

// logs counts the lines of the log with a message.
func (s *secured) logs(message string) int { return strings.Count(s.log.String(), message) }

// replace puts b in the place of a file in one step.
func replace(t *testing.T, path string, b []byte) {
	t.Helper()
	put(t, path+".new", b)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestTLSFollowsPairs: whoever renews a certificate replaces one file after the
// other. In between, what is there belongs not together, and the old pair stays.
func TestTLSFollowsPairs(t *testing.T) {
	t.Parallel()
	s := newSecured(t, nil)
	if !s.shows("one")() {
		t.Fatal("the first certificate")
	}
	dir := t.TempDir()
	s.ca.write("two", filepath.Join(dir, "crt"), filepath.Join(dir, "key"))
	crt, _ := os.ReadFile(filepath.Join(dir, "crt"))
	key, _ := os.ReadFile(filepath.Join(dir, "key"))
	replace(t, s.cert, crt)
	kept := func() bool { return s.shows("one")() && s.logs("the old one stays") > 0 }
	if !eventually(kept) {
		t.Error("half of a new pair")
	}
	// Half of a file, as of a writer that does not rename.
	replace(t, s.key, key[:len(key)/2])
	if !eventually(func() bool { return kept() && s.logs("the old one stays") > 1 }) {
		t.Error("half of a new key")
	}
	replace(t, s.key, key)
	if !eventually(s.shows("two")) {
		t.Error("the new pair is not shown")
	}
	if err := os.Remove(s.key); err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { return s.shows("two")() && s.logs("cannot be read") > 0 }) {
		t.Error("without a key")
	}
	// Said once for each state of the files, not with every handshake.
	for range 20 {
		s.shows("two")()
	}
	if n := s.logs("the old one stays"); n != 3 {
		t.Errorf("%d errors in the log, want 3", n)
	}
}

// TestTLSFollowsLinks: files of Kubernetes are links to a folder that is changed
// for another. What tells versions apart is what they hold, whatever their
// sizes and times.
func TestTLSFollowsLinks(t *testing.T) {
	t.Parallel()
	s := newSecured(t, nil)
	dir := t.TempDir()
	stamp := time.Now().Add(-time.Hour)
	for _, name := range []string{"two", "six"} {
		folder := filepath.Join(dir, name)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		crt, key := filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
		s.ca.write(name, crt, key)
		// A line of text outside of the blocks makes all sizes the same.
		for _, path := range []string{crt, key} {
			b, _ := os.ReadFile(path)
			put(t, path, append(bytes.Repeat([]byte("x"), 2000-len(b)-1), append([]byte("\n"), b...)...))
			os.Chtimes(path, stamp, stamp)
		}
	}
	link := filepath.Join(dir, "data")
	point := func(at string) {
		t.Helper()
		os.Symlink(filepath.Join(dir, at), link+".new")
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
	}
	point("two")
	for path, name := range map[string]string{s.cert: "tls.crt", s.key: "tls.key"} {
		os.Remove(path)
		if err := os.Symlink(filepath.Join(link, name), path); err != nil {
			t.Fatal(err)
		}
	}
	if !eventually(s.shows("two")) {
		t.Error("a link is not followed")
	}
	point("six")
	if !eventually(s.shows("six")) {
		t.Error("a link that has changed is not followed")
	}
}

// TestTLSResumesAcrossReload: a new certificate ends no session. An authority of
// clients that is withdrawn ends those of its clients.
func TestTLSResumesAcrossReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	clients, others := newAuthority(t), newAuthority(t)
	file := filepath.Join(dir, "ca.crt")
	trust := func(a *authority) {
		replace(t, file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
	}
	trust(clients)
	s := newSecured(t, func(c *proxy.Config) { c.TLSClientCAFile = file })
	member := func(a *authority, version uint16) *tls.Config {
		a.write("client", filepath.Join(dir, "c.crt"), filepath.Join(dir, "c.key"))
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "c.crt"), filepath.Join(dir, "c.key"))
		if err != nil {
			t.Fatal(err)
		}
		conf := s.conf.Clone()
		conf.Certificates = []tls.Certificate{pair}
		conf.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		conf.MaxVersion = version
		return conf
	}
	other := member(others, 0)
	old := []*tls.Config{member(clients, tls.VersionTLS12), member(clients, tls.VersionTLS13)}
	for _, conf := range old {
		if _, err := s.shake(conf); err != nil {
			t.Fatal(err)
		}
	}
	loaded := s.logs("certificate loaded")
	s.ca.write("two", s.cert, s.key)
	if !eventually(func() bool { s.shake(old[0]); return s.logs("certificate loaded") > loaded }) {
		t.Fatal("the new certificate is not loaded")
	}
	for _, conf := range old {
		if st, err := s.shake(conf); err != nil || !st.DidResume {
			t.Errorf("%x: after a reload: resumed %v, %v", conf.MaxVersion, st.DidResume, err)
		}
	}
	trust(others)
	if !eventually(func() bool { _, err := s.shake(other); return err == nil }) {
		t.Fatal("a new authority is not trusted")
	}
	for _, conf := range old {
		if st, err := s.shake(conf); err == nil {
			t.Errorf("%x: a client of an authority that is withdrawn is served, resumed %v", conf.MaxVersion, st.DidResume)
		}
	}
}

// TestTLSSlowHandshakes hold up nobody else, and end in time, whether they say
// nothing or little at a time.
func TestTLSSlowHandshakes(t *testing.T) {
	t.Parallel()
	s := newSecured(t, func(c *proxy.Config) { c.ClientHeaderTimeout = 3 * time.Second })
	var slow []net.Conn
	for range 50 {
		slow = append(slow, s.dial())
	}
	trickling := make(chan struct{})
	go func() {
		defer close(trickling)
		for i := 0; ; i++ {
			// A record of a handshake that could be 16 KiB long.
			b := []byte{'a'}
			if i < 5 {
				b[0] = "\x16\x03\x01\x40\x00"[i]
			}
			for _, c := range slow[:10] {
				if _, err := c.Write(b); err != nil {
					return
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	for range 5 {
		if _, err := s.shake(s.conf); err != nil {
			t.Errorf("beside slow handshakes: %v", err)
		}
	}
	for _, c := range slow {
		c.SetReadDeadline(time.Now().Add(patience))
		// An alert may come before the end.
		if _, err := io.Copy(io.Discard, c); isLate(err) {
			t.Error("a slow handshake has not ended")
		}
	}
	<-trickling
}

// TestTLSPlainClient: who speaks HTTP to the port is told so, also when there is more
// of the request than was looked at.
func TestTLSPlainClient(t *testing.T) {
	s := newSecured(t, nil)
	for _, size := range []int{0, 32 << 20} {
		c := s.dial()
		c.SetDeadline(time.Now().Add(patience))
		if _, err := fmt.Fprintf(c, "POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)); err != nil {
			t.Fatalf("%d: sending: %v", size, err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 400 || !strings.Contains(string(b), "HTTPS") {
			t.Errorf("%d: %d %q %v", size, resp.StatusCode, b, err)
		}
		c.Close()
	}
	if n := s.up.Count(); n != 0 {
		t.Errorf("%d requests went upstream", n)
	}
}
