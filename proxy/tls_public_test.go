package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// secured is a stage whose clients speak TLS.
type secured struct {
	*stage
	ca        *authority
	cert, key string
	conf      *tls.Config
}

func newSecured(t *testing.T, change func(*proxy.Config)) *secured {
	dir := t.TempDir()
	s := &secured{ca: newAuthority(t), cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key")}
	s.ca.write("one", s.cert, s.key)
	s.stage = newStage(t, func(c *proxy.Config) {
		c.TLSCertFile, c.TLSKeyFile = s.cert, s.key
		if change != nil {
			change(c)
		}
	})
	s.conf = &tls.Config{RootCAs: s.ca.pool(), ServerName: "127.0.0.1"}
	s.client.TLSClientConfig = s.conf
	return s
}

func (s *secured) post() answer { return s.send("https://"+s.addr+streamPath, s.body) }

// shake makes a handshake and a request, and returns the state of TLS.
func (s *secured) shake(conf *tls.Config) (tls.ConnectionState, error) {
	c, err := tls.Dial("tcp", s.addr, conf)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return c.ConnectionState(), err
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	return c.ConnectionState(), err
}

// TestTLSHeals: an answer that is interrupted comes whole, the same bytes as
// without TLS.
func TestTLSHeals(t *testing.T) {
	s, plain := newSecured(t, nil), newStage(t, nil)
	scripts := []upstream.Script{{upstream.Text(first), upstream.Reset()}, rest}
	s.up.SetHandler(upstream.InTurn(scripts...))
	got, want := s.post(), plain.play(nil, scripts...)
	if got.err != nil || got.status != 200 || got.body != want.body || got.body == "" {
		t.Errorf("%+v, want %+v", got, want)
	}
	if n := s.server.Healed(); n != 1 {
		t.Errorf("%d healed", n)
	}
	if err := s.server.Probe(context.Background()); err != nil {
		t.Error(err)
	}
	if v := s.series()["gemini_proxy_certificate_expiry_timestamp_seconds"]; v == "" {
		t.Error("no metric of the expiry")
	}
}

// TestTLSStreams: each event arrives before the next is sent, also large ones.
func TestTLSStreams(t *testing.T) {
	s := newSecured(t, nil)
	release := make(chan struct{})
	large := strings.Repeat("wide ", 20_000)
	s.up.SetHandler(upstream.Always(upstream.Script{
		upstream.Text(large), upstream.Hold(release), upstream.Text("b"), upstream.Hold(release), upstream.TextFinish("c", "STOP")}))
	req, _ := http.NewRequest("POST", "https://"+s.addr+streamPath, strings.NewReader(s.body))
	resp, err := s.client.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 1 {
		t.Errorf("%s", resp.Proto)
	}
	lines := bufio.NewReader(resp.Body)
	next := func() string {
		for {
			line, err := lines.ReadString('\n')
			if strings.HasPrefix(line, "data: ") || err != nil {
				return line
			}
		}
	}
	if !strings.Contains(next(), large) {
		t.Error("the first event")
	}
	release <- struct{}{}
	if !strings.Contains(next(), `"b"`) {
		t.Error("the second event")
	}
	release <- struct{}{}
	if !strings.Contains(next(), "STOP") {
		t.Error("the last event")
	}
}

// TestTLSClientGone: a client that leaves while the upstream is silent, or while
// the proxy waits, takes the upstream's connection with it.
func TestTLSClientGone(t *testing.T) {
	s := newSecured(t, nil)
	for name, rude := range map[string]bool{"closing": false, "resetting": true} {
		s.up.SetHandler(upstream.Always(upstream.Script{upstream.Text(first), upstream.Stall()}))
		c, err := tls.Dial("tcp", s.addr, s.conf)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, streamRequest(s.body))
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if rude {
			c.NetConn().(*net.TCPConn).SetLinger(0)
			c.NetConn().Close()
		} else {
			c.Close()
		}
		if !s.up.Await(patience, func() bool { return s.up.Live() == 0 }) {
			t.Errorf("%s: the upstream is still asked", name)
		}
		s.idle()
	}
}

// TestTLSHandshakes: versions, protocols, resumption, and what is no handshake.
func TestTLSHandshakes(t *testing.T) {
	s := newSecured(t, nil)
	old := s.conf.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err := s.shake(old); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		conf := s.conf.Clone()
		conf.MinVersion, conf.MaxVersion = version, version
		conf.NextProtos = []string{"h2", "http/1.1"}
		conf.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for i := range 2 {
			st, err := s.shake(conf)
			if err != nil || st.Version != version || st.NegotiatedProtocol != "http/1.1" || st.DidResume != (i == 1) {
				t.Errorf("%x: %v, version %x, protocol %q, resumed %v", version, err, st.Version, st.NegotiatedProtocol, st.DidResume)
			}
		}
	}
	if out := s.raw("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"); strings.Contains(out, "ok") {
		t.Errorf("plain HTTP was answered: %q", out)
	}
	if !eventually(func() bool { return strings.Contains(s.log.String(), "the TLS handshake failed") }) {
		t.Error("the log does not say why")
	}
	s.idle()
}

// TestTLSReload: the files are followed, and broken ones change nothing.
func TestTLSReload(t *testing.T) {
	t.Parallel()
	s := newSecured(t, nil)
	if !s.shows("one")() {
		t.Fatal("the first certificate")
	}
	kept, err := tls.Dial("tcp", s.addr, s.conf)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	s.ca.write("two", s.cert, s.key)
	if !eventually(s.shows("two")) {
		t.Error("a new certificate is not shown")
	}
	put(t, s.key, []byte("-----BEGIN PRIVATE KEY-----\nCANARY\n"))
	if !eventually(func() bool { s.shows("two")(); return strings.Contains(s.log.String(), "the old one stays") }) {
		t.Error("the log does not tell of a broken key")
	}
	if strings.Contains(s.log.String(), "CANARY") || !s.shows("two")() {
		t.Error("after a broken key")
	}
	s.ca.write("three", s.cert, s.key)
	if !eventually(s.shows("three")) {
		t.Error("a mended certificate is not shown")
	}
	io.WriteString(kept, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(kept), nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("a connection from before: %v", err)
	}
}

// TestTLSClientCertificates turns away who has none of the authority, but for
// the proxy's own check of itself.
func TestTLSClientCertificates(t *testing.T) {
	dir := t.TempDir()
	clients, others := newAuthority(t), newAuthority(t)
	file := filepath.Join(dir, "ca.crt")
	put(t, file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: clients.cert.Raw}))
	s := newSecured(t, func(c *proxy.Config) { c.TLSClientCAFile = file })
	if _, err := s.shake(s.conf); err == nil {
		t.Error("a client without a certificate is served")
	}
	for who, want := range map[*authority]bool{clients: true, others: false} {
		who.write("client", filepath.Join(dir, "c.crt"), filepath.Join(dir, "c.key"))
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "c.crt"), filepath.Join(dir, "c.key"))
		if err != nil {
			t.Fatal(err)
		}
		conf := s.conf.Clone()
		conf.Certificates = []tls.Certificate{pair}
		conf.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for i := range 2 {
			if st, err := s.shake(conf); (err == nil) != want || want && st.DidResume != (i == 1) {
				t.Errorf("served: %v, want %v, resumed %v: %v", err == nil, want, st.DidResume, err)
			}
		}
	}
	if err := s.server.Probe(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestTLSTunnel passes a WebSocket's messages, large ones too, and its end.
func TestTLSTunnel(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(-1)
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if string(b) == "goodbye" {
				c.Close(1008, "the reason")
				return
			}
			c.Write(r.Context(), kind, b)
		}
	}))
	defer up.Close()
	s := newSecured(t, func(c *proxy.Config) { c.UpstreamURLBase = up.URL })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "wss://"+s.addr+"/ws/live", &websocket.DialOptions{HTTPClient: &http.Client{Transport: s.client}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	for _, size := range []int{1, 1000, 1 << 20} {
		message := strings.Repeat("m", size)
		if err := c.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, b, err := c.Read(ctx); err != nil || string(b) != message {
			t.Fatalf("%d bytes: %d came, %v", size, len(b), err)
		}
	}
	c.Write(ctx, websocket.MessageText, []byte("goodbye"))
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != 1008 {
		t.Errorf("the end: %v", err)
	}
	s.idle()
}

// TestTLSUploadURL: who came by TLS is told to come back by TLS, unless a server
// in front says how clients come.
func TestTLSUploadURL(t *testing.T) {
	s := newSecured(t, nil)
	const path = "/upload/v1beta/files"
	s.up.SetHandler(upstream.Always(upstream.Script{
		upstream.Status(200, map[string]string{"X-Goog-Upload-URL": s.up.URL() + path + "?upload_id=x"}, "{}")}))
	for said, want := range map[string]string{"": "https://", "https": "https://", "http": "http://"} {
		a := s.send("https://"+s.addr+path, "{}", "X-Forwarded-Proto", said)
		if got := a.header.Get("X-Goog-Upload-URL"); got != want+s.addr+path+"?upload_id=x" {
			t.Errorf("%q: %d %q %v", said, a.status, got, a.err)
		}
	}
}

// TestTLSDrain ends what runs and what idles.
func TestTLSDrain(t *testing.T) {
	s := newSecured(t, nil)
	release := make(chan struct{})
	s.up.SetHandler(upstream.Always(upstream.Script{upstream.Text(first), upstream.Hold(release), upstream.TextFinish(second, "STOP")}))
	got := make(chan answer)
	go func() { got <- s.post() }()
	s.arrived(0)
	idle, err := tls.Dial("tcp", s.addr, s.conf)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	done := s.drain(time.Hour)
	close(release)
	if a := <-got; a.err != nil || !strings.Contains(a.body, "STOP") {
		t.Errorf("%+v", a)
	}
	idle.SetReadDeadline(time.Now().Add(patience))
	if n, err := idle.Read(make([]byte, 1)); n != 0 || isLate(err) {
		t.Errorf("the idle connection: %v", err)
	}
	s.drained(done)
}

func isLate(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}
