package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
	"gemini-resilient-proxy/routing"
)

// told reads one response, which the proxy itself must have made, with a status
// among those given.
func (a *aviary) told(what string, c net.Conn, statuses ...int) {
	a.t.Helper()
	defer c.Close()
	resp, err := http.ReadResponse(reader(c), nil)
	if err != nil {
		a.t.Errorf("%s: %v", what, err)
		return
	}
	body, _ := io.ReadAll(resp.Body)
	free(a.t, "the answer to "+what, fmt.Sprint(resp.Header)+string(body))
	for _, status := range statuses {
		if resp.StatusCode == status {
			return
		}
	}
	a.t.Errorf("%s: status %d, want %d: %s", what, resp.StatusCode, statuses, body)
}

// TestCanaryInBadRequests puts canaries into each part of requests that are
// refused for it.
func TestCanaryInBadRequests(t *testing.T) {
	a := newAviary(t, plain, func(c *proxy.Config) {
		c.MaxBodyBytes = 4096
		c.ClientHeaderTimeout, c.ClientStallTimeout = 300*time.Millisecond, 300*time.Millisecond
	})
	const key, host, end = canaryKey, "Host: a\r\n", "\r\n\r\n"
	heal := "POST " + streamPath + " HTTP/1.1\r\n" + host + "Content-Type: application/json\r\n"
	for what, request := range map[string]string{
		"a path with dots":          "GET /v1/%2e%2e/" + key + "?key=" + key + " HTTP/1.1\r\n" + host + "\r\n",
		"a broken escape":           "GET /v1/" + key + "%zz?key=" + key + " HTTP/1.1\r\n" + host + "\r\n",
		"a key in a query":          "GET /v1/x?key=" + key + "%0a HTTP/1.1\r\n" + host + "\r\n",
		"a fragment":                "GET /v1/x?key=" + key + "#" + key + " HTTP/1.1\r\n" + host + "\r\n",
		"a space in the target":     "GET /v1/" + key + " " + key + " HTTP/1.1\r\n" + host + "\r\n",
		"a query after &":           "POST /v1beta/models/m:generateContent&key=" + key + " HTTP/1.0\r\n" + host + "\r\n",
		"an absolute target":        "GET http://" + key + "/ HTTP/1.1\r\n" + host + "\r\n",
		"a method":                  key + " /v1/" + key + " HTTP/1.1\r\n" + host + "\r\n",
		"CONNECT":                   "CONNECT " + key + ":443 HTTP/1.1\r\n" + host + "\r\n",
		"a version":                 "GET /v1/x?key=" + key + " HTTP/1." + key + "\r\n" + host + "\r\n",
		"an old version":            "GET /v1/x?key=" + key + " HTTP/1.0\r\n" + host + "x-goog-api-key: " + key + end,
		"a header name":             "GET /v1/x HTTP/1.1\r\n" + host + key + " " + key + ": b" + end,
		"a header without a colon":  "GET /v1/x HTTP/1.1\r\n" + host + key + end,
		"a folded header":           "GET /v1/x HTTP/1.1\r\n" + host + "x-goog-api-key: " + key + "\r\n " + key + end,
		"a header with NUL":         "GET /v1/x HTTP/1.1\r\n" + host + "x-goog-api-key: " + key + "\x00" + end,
		"a header with CR":          "GET /v1/x HTTP/1.1\r\n" + host + "Authorization: Bearer " + key + "\rx" + end,
		"a host":                    "GET /v1/x HTTP/1.1\r\nHost: " + key + "@a" + end,
		"two hosts":                 "GET /v1/x HTTP/1.1\r\nHost: " + key + "\r\nHost: " + key + end,
		"a length":                  heal + "Content-Length: " + key + end,
		"two framings":              heal + "Content-Length: 3\r\nTransfer-Encoding: " + key + end,
		"a coding":                  heal + "Transfer-Encoding: " + key + end,
		"an expectation":            heal + "Content-Length: 3\r\nExpect: " + key + end + canaryPrompt,
		"a large head":              "GET /v1/x?key=" + key + " HTTP/1.1\r\n" + host + "X: " + strings.Repeat(key, 5000) + end,
		"a large body":              heal + "Content-Length: 5000\r\n\r\n" + strings.Repeat(canaryPrompt, 1000)[:5000],
		"a large body in chunks":    heal + "Transfer-Encoding: chunked\r\n\r\n1388\r\n" + strings.Repeat(canaryPrompt, 1000)[:5000] + "\r\n0\r\n\r\n",
		"a chunk size":              heal + "Transfer-Encoding: chunked\r\n\r\n" + key + end,
		"a body that stalls":        heal + "x-goog-api-key: " + key + "\r\nContent-Length: 500\r\n\r\n" + canaryPrompt,
		"a head that stalls":        "GET /v1/x?key=" + key + " HTTP/1.1\r\nx-goog-api-key: " + key,
		"a key in a body":           "POST /v1/x HTTP/1.1\r\n" + host + "Content-Type: application/json\r\nContent-Length: 46\r\n\r\n" + `{"apiKey":"` + key + `\u0000"} ` + "     ",
		"TLS on a plain port":       "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + key + end,
		"garbage":                   key + end,
		"an upload in bad chunks":   "POST /upload/x HTTP/1.1\r\n" + host + "x-goog-api-key: " + key + "\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + canaryPrompt + end,
		"a WebSocket's bad path":    handshake("/ws/../"+key+"?key="+key, "Sec-WebSocket-Protocol: "+key+"\r\n"),
		"a method in small letters": "get /v1/" + key + " HTTP/1.1\r\n" + host + "\r\n",
	} {
		a.told(what, a.side(request), 400, 405, 408, 413, 417, 431, 505)
	}
	a.idle()
	a.everywhere("after bad requests")
}

// TestCanaryInRefusals has requests turned away: for who asks, for what, and for
// want of room, of keys and of an upstream.
func TestCanaryInRefusals(t *testing.T) {
	release := make(chan struct{})
	a := newAviary(t, upstream.Always(upstream.Script{upstream.Text(canaryAnswer), upstream.Hold(release)}), func(c *proxy.Config) {
		keys := []routing.KeySpec{{Name: "env:KEYS#1", Secret: routing.Secret(canaryKey + "last")}}
		c.GroupMapping = nil
		c.Groups = []proxy.GroupConfig{
			{Name: "default", Secrets: keys, Settings: map[string]string{}},
			{Name: "gone", Secrets: keys, Targets: []proxy.TargetConfig{{URL: "http://127.0.0.1:1"}}},
			{Name: "bare"},
		}
		c.Clients = []proxy.ClientConfig{
			tokenOf(canaryToken, func(c *proxy.ClientConfig) {
				c.Name, c.Models, c.Groups = "shop", []string{"m", "gemini*"}, []string{"default", "gone"}
			}),
			tokenOf(canaryToken+"B", func(c *proxy.ClientConfig) { c.Name, c.PerMinute = "slow", 1 }),
		}
		c.MaxStreams, c.QueueTimeout = 1, 50*time.Millisecond
		c.FirstEventTimeout, c.StallTimeout = patience, patience
	})
	post := func(target string, header ...string) net.Conn {
		body := ask(canaryPrompt)
		return a.side("POST " + target + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + strings.Join(header, "\r\n") +
			"\r\nContent-Length: " + itoa(len(body)) + "\r\nConnection: close\r\n\r\n" + body)
	}
	const key = "x-goog-api-key: "
	a.told("an unknown token", post(streamPath, key+canaryToken+"X"), 401)
	a.told("no token", post(streamPath, "X: y"), 401)
	a.told("a key for a token", post(streamPath+"&key="+canaryKey), 401)
	a.told("the group's key for a token", post(streamPath, "Authorization: Bearer "+canaryKey+"last"), 401)
	a.told("a token where there are no keys", post(streamPath, "X-Proxy-Group: bare", key+canaryToken), 403)
	a.told("another model", post("/v1beta/models/other:generateContent", key+canaryToken), 403)
	a.told("no upstream", post(streamPath, "X-Proxy-Group: gone", key+canaryToken), 502)

	running := post(streamPath, key+canaryToken)
	defer running.Close()
	if !a.up.Await(patience, func() bool { return a.up.Live() == 1 }) {
		t.Fatal("nothing runs")
	}
	a.told("a full house", post(streamPath, key+canaryToken), 503)
	a.told("a full house, by the other client", post(streamPath, key+canaryToken+"B"), 503)
	a.told("too many requests", post(streamPath, key+canaryToken+"B"), 429)
	a.everywhere("while one request runs")
	close(release)
	io.Copy(io.Discard, running)
	a.idle()
	a.everywhere("after refusals")
}

// TestCanaryInTunnels sends canaries through tunnels that end in every way.
func TestCanaryInTunnels(t *testing.T) {
	r, f := newTunnels(t, func(c *proxy.Config) { c.TunnelIdleTimeout = 200 * time.Millisecond })
	a := &aviary{rig: r}
	looked := false
	for _, target := range []string{livePath + "?key=" + canaryKey, livePath + "?access_token=" + canaryToken, livePath} {
		for i, end := range []func(w *wire, c *farConn){
			func(w *wire, c *farConn) { w.Close() },
			func(w *wire, c *farConn) { c.Close() },
			func(w *wire, c *farConn) { w.SetLinger(0); w.Close() },
			func(w *wire, c *farConn) { c.SetLinger(0); c.Close() },
			func(w *wire, c *farConn) { wantEnd(t, w.r, "") }, // silence
		} {
			w := r.wire()
			w.send(handshake(target, key(i)) + canaryPrompt)
			c := f.next()
			io.WriteString(c, agreed+canaryAnswer)
			readHead(t, w)
			wantBytes(t, w.r, canaryAnswer)
			wantBytes(t, c.r, canaryPrompt)
			if !looked {
				looked = true
				a.everywhere("in a tunnel", "/debug/pprof/trace?seconds=0.01", "/debug/pprof/allocs?debug=1", "/debug/pprof/heap?debug=2")
			}
			end(w, c)
			w.Close()
			c.Close()
		}
	}
	for _, answer := range []string{"HTTP/1.1 400 " + canaryAnswer + "\r\nContent-Length: 9\r\n\r\n" + canaryAnswer, canaryAnswer + "\r\n\r\n", "HTTP/1.1 101 x\r\nUpgrade: " + canaryAnswer + "\r\n\r\n"} {
		w := r.wire()
		w.send(handshake(livePath + "?key=" + canaryKey))
		c := f.next()
		io.WriteString(c, answer)
		c.Close()
		io.Copy(io.Discard, w.r)
	}
	a.idle()
	a.everywhere("after tunnels")
}

// key is a handshake's field with a key, each time another one.
func key(i int) string {
	return [...]string{"x-goog-api-key: ", "Authorization: Bearer ", "Authorization: Token "}[i%3] + canaryKey + "\r\n"
}

// TestCanaryInUploads begins resumable uploads, whose addresses are secrets of
// their own, and breaks them off.
func TestCanaryInUploads(t *testing.T) {
	a := newAviary(t, func(q *upstream.Request) upstream.Script {
		if strings.Contains(q.Target, "upload_id=") {
			return upstream.Script{upstream.Cut()}
		}
		return upstream.Script{upstream.Status(200, map[string]string{"X-Goog-Upload-URL": "http://" + q.Host + "/upload/v1beta/files?upload_id=UPCANARYUP"}, "{}")}
	}, nil)
	for name, place := range places {
		target, body, header := place("/upload/v1beta/files", `{"file":{"displayName":"`+canaryPrompt+`"}}`, canaryKey)
		resp, _, err := a.do("POST", target, body, header...)
		if err != nil || !strings.Contains(resp.Header.Get("X-Goog-Upload-URL"), a.addr) || strings.Contains(resp.Header.Get("X-Goog-Upload-URL"), "KEY") {
			t.Errorf("the key in the %s: %v %v", name, resp, err)
		}
		if status, _ := a.ask("POST", "/upload/v1beta/files?upload_id=UPCANARYUP", strings.Repeat(canaryPrompt, 10_000), "Content-Type", "image/png"); status != 502 {
			t.Errorf("status %d", status)
		}
	}
	a.idle()
	a.everywhere("after uploads")
}
