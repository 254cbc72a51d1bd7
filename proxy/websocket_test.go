package proxy

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// echo is a WebSocket server that sends every message back.
func echo(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Goog-Api-Key") != "KEY" || r.URL.Query().Has("key") {
			http.Error(w, "no key", 401)
			return
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			InsecureSkipVerify: true, Subprotocols: []string{"live"}, CompressionMode: websocket.CompressionContextTakeover,
		})
		if err != nil {
			t.Error(err)
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
			if err := c.Write(r.Context(), kind, b); err != nil {
				return
			}
		}
	})
}

// TestWebSocket speaks through the tunnel with a real client and a real server,
// in the clear and over TLS: messages of all sizes and pings both ways, large
// ones in both directions at once, and the close with its reason.
func TestWebSocket(t *testing.T) {
	for _, secure := range []bool{false, true} {
		start := httptest.NewServer
		if secure {
			start = httptest.NewTLSServer
		}
		up := start(echo(t))
		defer up.Close()
		cfg := DefaultConfig()
		cfg.UpstreamURLBase = up.URL
		if secure {
			cfg.rootCAs = up.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
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
		talk(t, "ws://"+l.Addr().String()+"/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent")
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		s.Drain(ctx)
		if ctx.Err() != nil || s.Running() != 0 {
			t.Errorf("%d tunnels still run", s.Running())
		}
	}
}

func talk(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if _, resp, err := websocket.Dial(ctx, url+"?key=WRONG", nil); err == nil || resp == nil || resp.StatusCode != 401 {
		t.Errorf("a wrong key: %v %v", resp, err)
	}
	c, resp, err := websocket.Dial(ctx, url+"?key=KEY", &websocket.DialOptions{
		Subprotocols: []string{"live"}, CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if c.Subprotocol() != "live" || !strings.Contains(resp.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate") {
		t.Errorf("handshake: %v", resp.Header)
	}
	c.SetReadLimit(-1)
	for _, size := range []int{0, 1, 125, 126, 1023, 1024, 1025, 65535, 65536, 1 << 20, 16 << 20} {
		want := noise(size)
		sent := make(chan error, 1)
		go func() { sent <- c.Write(ctx, websocket.MessageBinary, want) }()
		kind, got, err := c.Read(ctx)
		if err != nil || kind != websocket.MessageBinary || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: %d came back, %v", size, len(got), err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
	c.Write(ctx, websocket.MessageText, []byte("goodbye"))
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != 1008 || !strings.Contains(err.Error(), "the reason") {
		t.Errorf("the close: %v", err)
	}
}

// noise is n bytes that do not compress well and differ everywhere.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(n + 1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}
