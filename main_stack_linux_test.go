package main

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

// A stream that waits does so on a stack of 4 KiB. Go doubles the stack of a
// goroutine whose deepest call needs more, and that stays: one frame that has
// grown on the way there costs each stream 4 KiB, and nothing else tells of it.
func TestStreamsWaitOnSmallStacks(t *testing.T) {
	if raceEnabled {
		t.Skip("frames are larger under the race detector")
	}
	event := `data: {"candidates": [{"content": {"parts": [{"text": "Once upon a time"}],"role": "model"},"index": 0}],` +
		`"usageMetadata": {"promptTokenCount": 7,"candidatesTokenCount": 4,"totalTokenCount": 11,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 7}]},"modelVersion": "gemini-2.5-flash","responseId": "abc"}` + "\r\n\r\n"
	s := serving(t, upstream.Always(upstream.Script{upstream.Send(event), upstream.Stall()}))
	stacks := func() (bytes float64) {
		t.Helper()
		for line := range strings.Lines(s.page("/metrics")) {
			if n, _ := fmt.Sscanf(line, "go_memstats_stack_inuse_bytes %g", &bytes); n == 1 {
				return bytes
			}
		}
		t.Fatal("no metric of the stacks")
		return 0
	}
	const streams, body = 400, `{"contents":[{"role":"user","parts":[{"text":"Tell me a story."}]}]}`
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	before := 0.0
	for i := range streams + streams/4 {
		if i == streams/4 {
			// The first have brought what there is but once.
			before = stacks()
		}
		c := s.dial(s.public)
		open = append(open, c)
		fmt.Fprintf(c, "POST /v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse HTTP/1.1\r\nHost: a\r\nx-goog-api-key: KEY\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		if _, err := io.ReadFull(c, make([]byte, len(event))); err != nil {
			t.Fatal(err)
		}
	}
	if each := (stacks() - before) / streams; each > 6<<10 {
		t.Errorf("%.0f bytes of stack for each stream", each)
	} else {
		t.Logf("%.0f bytes of stack for each stream", each)
	}
}

// A stream whose model thinks before it says a word has a reader neither for the
// client nor for the upstream: each would be of MAX_HEADER_BYTES. Under TLS tickets
// come while it thinks.
func TestStreamsWaitForTheirBeginningWithoutReaders(t *testing.T) {
	asked := make(chan struct{}, 1000)
	t.Run("plain", func(t *testing.T) {
		waitWithoutReaders(t, asked, serving(t, func(*upstream.Request) upstream.Script {
			asked <- struct{}{}
			return upstream.Script{upstream.Stall()}
		}))
	})
	t.Run("TLS", func(t *testing.T) {
		up := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			asked <- struct{}{}
			<-r.Context().Done()
		}))
		// Tickets come behind the handshake, as from most servers, when this one asks
		// for a certificate and no session is resumed.
		up.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			var key [32]byte
			rand.Read(key[:])
			conf := up.TLS.Clone()
			conf.SetSessionTicketKeys([][32]byte{key})
			return conf, nil
		}}
		up.StartTLS()
		t.Cleanup(up.Close)
		roots := filepath.Join(t.TempDir(), "roots.pem")
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: up.Certificate().Raw})
		if err := os.WriteFile(roots, block, 0o600); err != nil {
			t.Fatal(err)
		}
		waitWithoutReaders(t, asked, serving(t, nil, "UPSTREAM_URL_BASE="+up.URL, "SSL_CERT_FILE="+roots))
	})
}

// waitWithoutReaders has streams wait whose upstream notes in asked that it was
// asked, and looks at what each of them takes.
func waitWithoutReaders(t *testing.T, asked <-chan struct{}, s *service) {
	t.Helper()
	heap := func() (bytes float64) {
		t.Helper()
		for range 3 { // what lies in pools outlives one collection
			s.page("/debug/pprof/heap?gc=1")
		}
		for line := range strings.Lines(s.page("/metrics")) {
			if n, _ := fmt.Sscanf(line, "go_memstats_heap_alloc_bytes %g", &bytes); n == 1 {
				return bytes
			}
		}
		t.Fatal("no metric of the heap")
		return 0
	}
	const streams, body = 200, `{"contents":[{"role":"user","parts":[{"text":"Tell me a story."}]}]}`
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	before := heap()
	for range streams {
		c := s.dial(s.public)
		open = append(open, c)
		fmt.Fprintf(c, "POST /v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse HTTP/1.1\r\nHost: a\r\nx-goog-api-key: KEY\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	for range streams {
		<-asked
	}
	if each := (heap() - before) / streams; each > 32<<10 {
		t.Errorf("%.0f bytes of heap for each stream", each)
	} else {
		t.Logf("%.0f bytes of heap for each stream", each)
	}
}
