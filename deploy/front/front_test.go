package front

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

const frontName = "proxy.example.com"

// front is a server in front of the proxy, with the configuration of this
// folder.
type front struct {
	t      *testing.T
	up     *upstream.Upstream
	client *http.Client
	base   string
	at     string // host:port
	pool   *x509.CertPool
}

// certificate writes a certificate of frontName and its key, and both together.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{frontName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secret := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs})
	for name, b := range map[string][]byte{"proxy.crt": crt, "proxy.key": secret, "proxy.pem": append(bytes.Clone(crt), secret...)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(crt)
	return pool
}

// newFront runs tool with file, in which addresses and paths are replaced by
// those of the test, and edits on top.
func newFront(t *testing.T, tool, file string, args func(conf, dir string) []string, edits ...string) *front {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Skipf("%s is not installed: its configuration is not tried", tool)
	}
	f := &front{t: t}
	if f.up, err = upstream.New(nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.up.Close)
	dir, err := os.MkdirTemp("", "front")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// nginx's workers are another user.
	os.Chmod(dir, 0o755)
	pool := certificate(t, dir)
	at := free(t)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	edits = append([]string{"127.0.0.1:8080", f.proxy(), "/etc/ssl/", dir + "/"}, edits...)
	_, port, _ := net.SplitHostPort(at)
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(string(text), edits[i]) {
			t.Fatalf("%s does not contain %q", file, edits[i])
		}
		text = []byte(strings.ReplaceAll(string(text), edits[i], strings.NewReplacer("ADDR", at, "PORT", port).Replace(edits[i+1])))
	}
	conf := filepath.Join(dir, file)
	if err := os.WriteFile(conf, text, 0o644); err != nil {
		t.Fatal(err)
	}
	f.run(path, args(conf, dir), dir, at)
	f.base, f.at, f.pool = "https://"+frontName, at, pool
	f.client = &http.Client{Timeout: patience, Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{RootCAs: pool, ServerName: frontName},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", at)
		},
	}}
	t.Cleanup(f.client.CloseIdleConnections)
	return f
}

// free returns an address on loopback that nobody listens on.
func free(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// proxy starts the proxy and returns its address.
func (f *front) proxy() string {
	cfg := proxy.DefaultConfig()
	cfg.UpstreamURLBase = f.up.URL()
	cfg.RetryBaseDelay = time.Millisecond
	cfg.ContinueMode, cfg.ContinuePrompt = "prompt", "Go on."
	s, err := proxy.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		f.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	go s.Serve(l)
	f.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		s.Drain(ctx)
	})
	return l.Addr().String()
}

// run starts the program and waits until it listens.
func (f *front) run(path string, args []string, dir, at string) {
	f.t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	var once sync.Once
	stop := func() { once.Do(func() { cmd.Process.Signal(os.Interrupt); <-ended }) }
	f.t.Cleanup(stop)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", at); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			f.t.Fatalf("%s ended\n%s", path, out.String())
		default:
		}
		if time.Now().After(end) {
			stop()
			f.t.Fatalf("%s does not listen\n%s", path, out.String())
		}
	}
}

// stream asks for an answer and returns its lines.
func (f *front) stream(ctx context.Context) (*http.Response, func() string) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(ctx, "POST", f.base+"/v1beta/models/m:streamGenerateContent?alt=sse",
		strings.NewReader(`{"contents":[{"role":"user","parts":[{"text":"tell me"}]}]}`))
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	lines := bufio.NewReader(resp.Body)
	return resp, func() string {
		for {
			line, err := lines.ReadString('\n')
			if strings.HasPrefix(line, "data: ") || err != nil {
				return line
			}
		}
	}
}

// overQUIC asks over HTTP/3 from now on.
func (f *front) overQUIC() {
	t := &http3.Transport{
		TLSClientConfig: &tls.Config{RootCAs: f.pool, ServerName: frontName},
		Dial: func(ctx context.Context, _ string, tlsConf *tls.Config, conf *quic.Config) (*quic.Conn, error) {
			return quic.DialAddr(ctx, f.at, tlsConf, conf)
		},
	}
	f.t.Cleanup(func() { t.Close() })
	f.client = &http.Client{Timeout: patience, Transport: t}
}

// offers tells whether HTTP/3 is offered to those who come by HTTP/2.
func (f *front) offers() {
	f.t.Helper()
	resp, err := f.client.Get(f.base + "/healthz")
	if err != nil {
		f.t.Fatal(err)
	}
	resp.Body.Close()
	if !strings.Contains(resp.Header.Get("Alt-Svc"), "h3=") {
		f.t.Errorf("HTTP/3 is not offered: %q", resp.Header)
	}
}

// builtWith tells whether what a program says of itself has a word in it.
func builtWith(tool, flag, word string) bool {
	out, err := exec.Command(tool, flag).CombinedOutput()
	return err == nil && strings.Contains(string(out), word)
}

// triesBoth tries HTTP/2, and HTTP/3 where the program was built with it, each
// with a server of its own. start takes edits of the configuration.
func triesBoth(t *testing.T, quic bool, start func(edits ...string) *front) {
	start().tries(2)
	t.Run("HTTP3", func(t *testing.T) {
		if !quic {
			t.Skip("the program was built without QUIC")
		}
		f := start("# HTTP/3: ", "")
		f.offers()
		f.overQUIC()
		f.tries(3)
	})
}

// tries asks for what a front must not spoil.
func (f *front) tries(version int) {
	t := f.t
	// Each event arrives before the next is sent, and a break is healed.
	release := make(chan struct{})
	f.up.SetHandler(upstream.InTurn(
		upstream.Script{upstream.Text("one "), upstream.Hold(release), upstream.Text("two "), upstream.Hold(release), upstream.Reset()},
		upstream.Script{upstream.TextFinish("three", "STOP")}))
	resp, next := f.stream(context.Background())
	if resp.ProtoMajor != version || resp.StatusCode != 200 {
		t.Errorf("%s, status %d", resp.Proto, resp.StatusCode)
	}
	for _, text := range []string{"one ", "two "} {
		if line := next(); !strings.Contains(line, text) {
			t.Errorf("%q, want %q", line, text)
		}
		release <- struct{}{}
	}
	if line := next(); !strings.Contains(line, "three") || !strings.Contains(line, "STOP") {
		t.Errorf("%q", line)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	resp.Body.Close()

	// A client that leaves is noticed at the other end.
	f.up.SetHandler(upstream.Always(upstream.Script{upstream.Text("one"), upstream.Stall()}))
	ctx, leave := context.WithCancel(context.Background())
	resp, next = f.stream(ctx)
	next()
	leave()
	resp.Body.Close()
	if !f.up.Await(patience, func() bool { return f.up.Live() == 0 }) {
		t.Error("the upstream is still asked for a client that has left")
	}

	// The proxy knows by which name and scheme it was reached.
	f.up.SetHandler(upstream.Always(upstream.Script{upstream.Status(200, map[string]string{"X-Goog-Upload-Url": f.up.URL() + "/upload/x?id=1"}, "{}")}))
	resp, err := f.client.Post(f.base+"/upload/v1beta/files", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("X-Goog-Upload-Url"); !strings.HasPrefix(got, f.base+"/upload/x?id=1") {
		t.Errorf("the upload is sent to %q", got)
	}
}

func TestNginxInFront(t *testing.T) {
	triesBoth(t, builtWith("nginx", "-V", "http_v3_module"), func(edits ...string) *front {
		return newFront(t, "nginx", "nginx.conf", func(conf, dir string) []string {
			return []string{"-c", conf, "-p", dir, "-g", "daemon off; pid " + dir + "/pid; error_log stderr;"}
		}, append(edits, "listen 443", "listen ADDR", "http {\n", "http {\n\taccess_log off;\n", "65536", "512")...)
	})
}

func TestHAProxyInFront(t *testing.T) {
	triesBoth(t, builtWith("haproxy", "-vv", "+QUIC"), func(edits ...string) *front {
		return newFront(t, "haproxy", "haproxy.cfg", func(conf, _ string) []string { return []string{"-db", "-f", conf} },
			append(edits, "bind :443", "bind ADDR", "quic4@:443", "quic4@ADDR", "maxconn 65536", "maxconn 512")...)
	})
}

// Caddy speaks HTTP/3 as it is.
func TestCaddyInFront(t *testing.T) {
	triesBoth(t, true, func(...string) *front {
		return newFront(t, "caddy", "Caddyfile", func(conf, _ string) []string {
			return []string{"run", "--config", conf, "--adapter", "caddyfile"}
		}, "admin off\n", "admin off\n\tauto_https disable_redirects\n\thttps_port PORT\n\tdefault_bind 127.0.0.1\n")
	})
}
