package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
)

// tlsFront speaks TLS on loopback and passes everything on to addr. It breaks
// off as the upstream does: without a closing alert.
func tlsFront(t *testing.T, addr string) (base string, roots *x509.CertPool) {
	t.Helper()
	donor := httptest.NewTLSServer(nil)
	t.Cleanup(donor.Close)
	roots = x509.NewCertPool()
	roots.AddCert(donor.Certificate())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go pass(c, &tls.Config{Certificates: donor.TLS.Certificates}, addr)
		}
	}()
	return "https://" + l.Addr().String(), roots
}

func pass(c net.Conn, conf *tls.Config, addr string) {
	defer c.Close()
	up, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer up.Close()
	client := tls.Server(c, conf)
	go func() {
		io.Copy(up, client)
		up.Close()
	}()
	io.Copy(client, up)
}

// newTLSServer runs a proxy whose upstream is h behind TLS.
func newTLSServer(t *testing.T, h upstream.Handler, change func(*Config)) (addr string, up *upstream.Upstream) {
	t.Helper()
	up, err := upstream.New(h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.Close)
	cfg := DefaultConfig()
	cfg.UpstreamURLBase, cfg.rootCAs = tlsFront(t, up.Addr())
	cfg.RetryBaseDelay = time.Millisecond
	cfg.ContinueMode = "prompt"
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		s.Drain(ctx)
	})
	return l.Addr().String(), up
}

// answerOf asks for a stream and returns its status and its text.
func answerOf(t *testing.T, addr string) (int, string) {
	t.Helper()
	resp, err := http.Post("http://"+addr+"/v1beta/models/m:streamGenerateContent?alt=sse", "application/json",
		strings.NewReader(`{"contents":[{"role":"user","parts":[{"text":"tell me"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	text := ""
	for event := range strings.SplitSeq(string(body), "\r\n\r\n") {
		var ev struct {
			Candidates []struct {
				Content struct{ Parts []struct{ Text string } }
			}
		}
		payload := strings.TrimPrefix(event, "data: ")
		if payload != "" && json.Unmarshal([]byte(payload), &ev) == nil && len(ev.Candidates) > 0 {
			for _, p := range ev.Candidates[0].Content.Parts {
				text += p.Text
			}
		}
	}
	return resp.StatusCode, text
}

const tale = "Once upon a time there was a connection that broke whenever somebody looked at it, " +
	"and a proxy that did not mind, because it had seen worse and knew where it had been."

func TestStreamsOverTLSAreHealed(t *testing.T) {
	for _, how := range []upstream.How{upstream.FIN, upstream.RST, upstream.Clean} {
		m := &upstream.Model{Answer: tale, Fault: func(n int, _ *upstream.Request) []upstream.Step {
			if n == 0 {
				return []upstream.Step{upstream.LimitBody(700, how)}
			}
			return nil
		}}
		addr, up := newTLSServer(t, m.Handle, nil)
		for range 2 {
			if status, text := answerOf(t, addr); status != 200 || text != tale {
				t.Errorf("%v: %d, %q", how, status, text)
			}
		}
		if n := up.Count(); n != 3 {
			t.Errorf("%v: %d attempts, want 3", how, n)
		}
	}
}

// A read that ends because text was held long enough must leave the TLS
// connection usable.
func TestHeldTextIsReleasedOverTLS(t *testing.T) {
	released := make(chan struct{})
	addr, _ := newTLSServer(t, upstream.InTurn(
		upstream.Script{upstream.Text("The first half is here, "), upstream.Cut()},
		upstream.Script{upstream.Text("and the second "), upstream.Hold(released), upstream.TextFinish("follows.", "STOP")},
	), nil)
	// Longer than text is held.
	timer := time.AfterFunc(holdTime+200*time.Millisecond, func() { close(released) })
	defer timer.Stop()
	if status, text := answerOf(t, addr); status != 200 || text != "The first half is here, and the second follows." {
		t.Errorf("%d, %q", status, text)
	}
}

func TestSilenceOverTLSIsAStall(t *testing.T) {
	addr, up := newTLSServer(t, upstream.InTurn(
		upstream.Script{upstream.Text("The first half is here, "), upstream.Stall()},
		upstream.Script{upstream.TextFinish("and the second follows.", "STOP")},
	), func(c *Config) { c.StallTimeout = 100 * time.Millisecond })
	if status, text := answerOf(t, addr); status != 200 || text != "The first half is here, and the second follows." || up.Count() != 2 {
		t.Errorf("%d, %q after %d attempts", status, text, up.Count())
	}
}

func TestUnknownCertificateIsRefused(t *testing.T) {
	addr, up := newTLSServer(t, upstream.Always(nil), func(c *Config) {
		c.rootCAs = x509.NewCertPool()
		c.MaxConsecutiveFailures = 1
	})
	if status, _ := answerOf(t, addr); status != 502 || up.Count() != 0 {
		t.Errorf("%d after %d attempts", status, up.Count())
	}
}

// TestSilenceOverTLSIsOver: what ended the wait for one attempt does not end the
// next one, of which there is something to read before it is waited for.
func TestSilenceOverTLSIsOver(t *testing.T) {
	const stall = 300 * time.Millisecond
	// What is long comes in several records, and each is read on its own.
	long := upstream.Send(":" + strings.Repeat(" ", 4<<10) + "\n\n")
	addr, up := newTLSServer(t, upstream.InTurn(
		upstream.Script{upstream.Text("The first half "), upstream.Text("is here, "), upstream.Stall()},
		upstream.Script{upstream.Thought("hm"), long, upstream.Text("and the second "), upstream.Pause(stall / 3), upstream.TextFinish("follows.", "STOP")},
	), func(c *Config) { c.StallTimeout = stall })
	if status, text := answerOf(t, addr); status != 200 || text != "The first half is here, and the second follows." || up.Count() != 2 {
		t.Errorf("%d, %q after %d attempts", status, text, up.Count())
	}
}
