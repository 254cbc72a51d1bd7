package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/proxy"
)

// mixedUpstream answers by the query: size is that of a text or a body, in
// pieces, and flush tells that each piece leaves on its own.
func mixedUpstream(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var size, pieces, status int
	fmt.Sscan(q.Get("size"), &size)
	fmt.Sscan(q.Get("pieces"), &pieces)
	fmt.Sscan(q.Get("status"), &status)
	io.Copy(io.Discard, r.Body)
	flush := func() {
		if q.Has("flush") {
			w.(http.Flusher).Flush()
		}
	}
	text := strings.Repeat("x", size)
	w.Header().Set("Content-Type", "application/json")
	switch {
	case status != 0:
		w.WriteHeader(status)
		if status != 204 && status != 304 {
			io.WriteString(w, `{"error":{"code":`+q.Get("status")+`,"message":"no","status":"FAILED_PRECONDITION"}}`)
		}
	case strings.Contains(r.URL.Path, ":stream"):
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range pieces {
			end := ""
			if i == pieces-1 {
				end = `,"finishReason":"STOP"`
			}
			fmt.Fprintf(w, "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":%q}],\"role\":\"model\"}%s,\"index\":0}],\"responseId\":\"one\"}\r\n\r\n", text, end)
			flush()
		}
	case strings.Contains(r.URL.Path, ":generate"):
		fmt.Fprintf(w, "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":%q}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],\"responseId\":\"one\"}", text)
		flush()
	default:
		if q.Has("length") {
			w.Header().Set("Content-Length", fmt.Sprint(size*pieces))
		}
		for range pieces {
			io.WriteString(w, text)
			flush()
		}
	}
}

// mixedRequest is one of many kinds, with the method that its answer is read by.
func mixedRequest(r *rand.Rand) (method, request string) {
	sizes := []int{1, 10, 700, 800, 900, 1000, 1024, 1100, 4000, 16000, 17000, 70000}
	query := fmt.Sprintf("size=%d&pieces=%d", sizes[r.IntN(len(sizes))], 1+r.IntN(3))
	for _, also := range []string{"&flush", "&length"} {
		if r.IntN(2) == 0 {
			query += also
		}
	}
	body := ask("a")
	posts := func(path, query string) (string, string) {
		head := "POST " + path + query + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
		switch r.IntN(4) {
		case 0:
			return "POST", fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(body), body)
		case 1:
			head += "Expect: 100-continue\r\n"
		}
		return "POST", fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
	}
	gets := func(method, path string) (string, string) {
		return method, method + " " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"
	}
	const model = "/v1beta/models/gemini-2.5-flash"
	switch r.IntN(10) {
	case 0, 1, 2:
		return posts(model, ":streamGenerateContent?alt=sse&"+query)
	case 3:
		return posts(model, ":generateContent?"+query)
	case 4:
		return posts(model, ":countTokens?"+query)
	case 5:
		return posts(model, ":streamGenerateContent?alt=sse&status=400")
	case 6:
		return gets("GET", "/v1beta/models?"+query)
	case 7:
		return gets("HEAD", "/v1beta/models?"+query)
	case 8:
		return gets("GET", fmt.Sprintf("/v1beta/models?status=%d", []int{204, 304, 404}[r.IntN(3)]))
	}
	return gets("GET", "/healthz")
}

// readMixed is what net/http makes of a response.
func readMixed(r *bufio.Reader, method string) string {
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return err.Error()
		}
		if resp.StatusCode == 100 {
			continue
		}
		b, err := io.ReadAll(resp.Body)
		for _, name := range []string{"Date", "Connection"} {
			resp.Header.Del(name)
		}
		return fmt.Sprint(resp.StatusCode, resp.ContentLength, resp.TransferEncoding, resp.Header, err, string(b))
	}
}

// TestPipelinedMixed: requests of all kinds that come behind each other before any
// is answered get what each gets on a connection of its own, over TLS as well.
func TestPipelinedMixed(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(mixedUpstream))
	defer up.Close()
	ca, dir := newAuthority(t), t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	ca.write("one", cert, key)
	for _, secure := range []bool{false, true} {
		rig := newRig(t, plain, func(c *proxy.Config) {
			c.UpstreamURLBase = up.URL
			if secure {
				c.TLSCertFile, c.TLSKeyFile = cert, key
			}
		})
		dial := func() net.Conn {
			c := rig.dial()
			c.SetDeadline(time.Now().Add(patience))
			if secure {
				return tls.Client(c, &tls.Config{RootCAs: ca.pool(), ServerName: "127.0.0.1"})
			}
			return c
		}
		for seed := range uint64(150) {
			r := rand.New(rand.NewPCG(seed, 1))
			var all strings.Builder
			var methods, requests []string
			for range 2 + r.IntN(7) {
				method, request := mixedRequest(r)
				methods, requests = append(methods, method), append(requests, request)
				all.WriteString(request)
			}
			c := dial()
			go func(text string, cut bool) {
				for n := len(text); len(text) > 0; text = text[min(n, len(text)):] {
					if cut {
						n = 1 + r.IntN(len(text))
					}
					io.WriteString(c, text[:min(n, len(text))])
				}
			}(all.String(), r.IntN(2) == 0)
			in := bufio.NewReader(c)
			for i := range methods {
				got := readMixed(in, methods[i])
				alone := dial()
				io.WriteString(alone, requests[i])
				want := readMixed(bufio.NewReader(alone), methods[i])
				alone.Close()
				if got != want {
					t.Fatalf("TLS %v, seed %d, request %d of %q:\ngot  %.300q\nwant %.300q", secure, seed, i, requests, got, want)
				}
			}
			if n := in.Buffered(); n > 0 {
				rest, _ := in.Peek(n)
				t.Fatalf("TLS %v, seed %d: behind the last answer: %q", secure, seed, rest)
			}
			c.Close()
		}
	}
}

// TestTunnelBehindAnswers: the handshake of a tunnel may come behind other requests,
// whose answers then stand before what passes through the tunnel.
func TestTunnelBehindAnswers(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/ws/") {
			mixedUpstream(w, r)
			return
		}
		c, in, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, agreed+"down")
		io.Copy(c, io.LimitReader(in, 2))
	}))
	defer up.Close()
	rig := newRig(t, plain, func(c *proxy.Config) { c.UpstreamURLBase = up.URL })
	body := ask("a")
	for _, size := range []int{1, 700, 800, 900, 1000, 1100, 1500, 4000, 17000} {
		for name, request := range map[string]string{
			"relayed": fmt.Sprintf("GET /v1beta/models?pieces=1&size=%d HTTP/1.1\r\nHost: a\r\n\r\n", size),
			"healed": fmt.Sprintf("POST /v1beta/models/m:streamGenerateContent?alt=sse&pieces=1&size=%d HTTP/1.1\r\nHost: a\r\n"+
				"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", size, len(body), body),
			"document": fmt.Sprintf("POST /v1beta/models/m:generateContent?size=%d HTTP/1.1\r\nHost: a\r\n"+
				"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", size, len(body), body),
		} {
			w := rig.wire()
			w.send(request + handshake(livePath) + "up")
			in := bufio.NewReader(w)
			if got := readMixed(in, "GET"); !strings.HasPrefix(got, "200 ") || strings.Count(got, "x") < size {
				t.Errorf("%s of %d: %.200q", name, size, got)
			}
			resp, err := http.ReadResponse(in, nil)
			if err != nil || resp.StatusCode != 101 {
				t.Errorf("%s of %d: %v, %v", name, size, resp, err)
				continue
			}
			wantBytes(t, in, "downup")
			w.Close()
		}
	}
}
