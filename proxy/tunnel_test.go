package proxy_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/proxy"
)

// TestTunnelHandshake looks at what goes upstream and at what comes back.
func TestTunnelHandshake(t *testing.T) {
	r, f := newTunnels(t, func(c *proxy.Config) {
		c.GroupMapping = map[string]string{"default": "", "group-a": "/proxy/a"}
	})
	const secret = "SECRETKEY"
	play := func(target, header, wantTarget, wantKey, wantBearer string) {
		t.Helper()
		w := r.wire()
		w.send(handshake(target, header, "Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Extensions: permessage-deflate\r\nCookie: a=b\r\n"))
		c := f.next()
		h := c.req.Header
		if c.req.RequestURI != wantTarget || h.Get("X-Goog-Api-Key") != wantKey || h.Get("Authorization") != wantBearer {
			t.Errorf("%s %s: %s %v", target, header, c.req.RequestURI, h)
		}
		if h.Get("Upgrade") != "websocket" || h.Get("Connection") != "Upgrade" || h.Get("Sec-Websocket-Key") != "dGhlIHNhbXBsZSBub25jZQ==" ||
			h.Get("Sec-Websocket-Protocol") != "x" || h.Get("Sec-Websocket-Extensions") != "permessage-deflate" || h.Get("Cookie") != "" || h.Get("X-Proxy-Group") != "" {
			t.Errorf("%s: %v", target, h)
		}
		io.WriteString(c, strings.Replace(agreed, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: x\r\nX-Other: y\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: z\r\nContent-Length: 0\r\n\r\n", 1))
		head := string(readHead(t, w))
		want := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: x\r\nX-Other: y\r\n\r\n"
		if head != want {
			t.Errorf("%s: the client got\n%s", target, head)
		}
		w.Close()
		wantEnd(t, c.r, "")
		c.Close()
	}
	play(livePath, "", livePath, "", "")
	play("/"+livePath+"?key="+secret, "", "/"+livePath, secret, "")
	play(livePath+"?key=group-a:"+secret+"&alt=x", "", "/proxy/a"+livePath+"?alt=x", secret, "")
	play(livePath+"?group=group-a", "x-goog-api-key: "+secret+"\r\n", "/proxy/a"+livePath, secret, "")
	play(livePath, "Authorization: Bearer group-a:"+secret+"\r\n", "/proxy/a"+livePath, "", "Bearer "+secret)
	play(livePath+"?access_token=auth_tokens/x", "X-Proxy-Group: group-a\r\n", "/proxy/a"+livePath+"?access_token=auth_tokens/x", "", "")
	play(livePath, "Authorization: Token auth_tokens/x\r\n", livePath, "", "Token auth_tokens/x")
	r.idle()
	if log := r.log.String(); strings.Contains(log, secret) || strings.Contains(log, "auth_tokens") || strings.Count(log, `"kind":"tunnel"`) != 7 {
		t.Errorf("the log:\n%s", log)
	}
}

// TestTunnelSplits sends each side's bytes cut at every place, and everything
// that may come with the heads: early data of both sides included.
func TestTunnelSplits(t *testing.T) {
	r, f := newTunnels(t, nil)
	request, up, down := handshake(livePath), "up \x00\xff data", "down \x01\xfe data"
	for cut := 1; cut < len(request)+len(up); cut += 7 {
		w := r.wire()
		all := request + up
		w.SetNoDelay(true)
		w.send(all[:cut])
		go w.send(all[cut:])
		c := f.next()
		answer := agreed + down
		at := cut % len(answer)
		io.WriteString(c, answer[:at])
		go io.WriteString(c, answer[at:])
		readHead(t, w)
		wantBytes(t, w.r, down)
		wantBytes(t, c.r, up)
		for i := range down {
			io.WriteString(c, down[i:i+1])
			wantBytes(t, w.r, down[i:i+1])
			w.send(up[:1])
			wantBytes(t, c.r, up[:1])
		}
		w.Close()
		wantEnd(t, c.r, "")
		c.Close()
	}
	r.idle()
}

// TestTunnelNot leaves other requests as they were: they are relayed without
// their upgrade, or refused.
func TestTunnelNot(t *testing.T) {
	r := newRig(t, plain, nil)
	for _, request := range []string{
		strings.Replace(handshake(livePath), "/ws/", "/v1/", 1),
		strings.Replace(handshake(livePath), "Upgrade: websocket", "Upgrade: h2c", 1),
		strings.Replace(handshake(livePath), "Connection: Upgrade\r\n", "", 1),
		strings.Replace(handshake(livePath), "\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello", 1),
		strings.Replace(handshake(livePath), "GET", "POST", 1),
		strings.Replace(handshake(livePath), "\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1),
	} {
		w := r.wire()
		w.send(request)
		w.wants("GET", 200)
		if q := r.arrived(r.up.Count() - 1); countLines(q.Raw, "Upgrade") != 0 {
			t.Errorf("an upgrade went upstream:\n%s", q.Raw)
		}
	}
	if got := r.raw(strings.Replace(handshake(livePath), "/ws/", "/ws/../", 1)); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("dots: %s", got)
	}
}

// TestTunnelRefused relays whatever the upstream answers instead, and closes:
// early data must not be taken for a request.
func TestTunnelRefused(t *testing.T) {
	r, f := newTunnels(t, func(c *proxy.Config) { c.FirstEventTimeout = time.Second })
	play := func(answer string, status int, body string) {
		t.Helper()
		w := r.wire()
		w.t = t
		w.send(handshake(livePath+"?key=k") + "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
		c := f.next()
		io.WriteString(c, answer)
		if !strings.Contains(answer, "Length") {
			c.Close()
		}
		if _, got := w.wants("GET", status); !strings.Contains(got, body) {
			t.Errorf("%q: %s", answer, got)
		}
		if !w.closed() {
			t.Errorf("%q: the connection stays open", answer)
		}
		c.Close()
	}
	play("HTTP/1.1 400 Bad\r\nContent-Length: 5\r\n\r\nwrong", 400, "wrong")
	play("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\nX-Length: 1\r\n\r\n2\r\nno\r\n0\r\n\r\n", 403, "no")
	play("HTTP/1.1 200 OK\r\n\r\nto the end", 200, "to the end")
	play("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 502, "cannot be read")
	play("HTTP/1.1 101 Switching Protocols\r\n\r\n", 502, "cannot be read")
	play("", 502, "without an answer")
	w := r.wire()
	w.send(handshake(livePath))
	c := f.next()
	w.wants("GET", 504)
	wantEnd(t, c.r, "")
	f.l.Close()
	w = r.wire()
	w.send(handshake(livePath))
	w.wants("GET", 502)
	r.idle()
}

// TestTunnelHalfClose lets the other side speak when one has said its last.
func TestTunnelHalfClose(t *testing.T) {
	r, f := newTunnels(t, nil)
	w, c := r.open(f)
	w.send("last")
	w.CloseWrite()
	wantEnd(t, c.r, "last")
	io.WriteString(c, "more")
	wantBytes(t, w.r, "more")
	c.CloseWrite()
	wantEnd(t, w.r, "")
	r.idle()

	w, c = r.open(f)
	io.WriteString(c, "last")
	c.CloseWrite()
	wantEnd(t, w.r, "last")
	w.send("more")
	wantBytes(t, c.r, "more")
	w.CloseWrite()
	wantEnd(t, c.r, "")
	r.idle()
}

// TestTunnelGone ends the other side when one has gone.
func TestTunnelGone(t *testing.T) {
	r, f := newTunnels(t, nil)
	w, c := r.open(f)
	w.SetLinger(0)
	w.Close()
	wantEnd(t, c.r, "")
	r.idle()

	w, c = r.open(f)
	c.SetLinger(0)
	c.Close()
	wantEnd(t, w.r, "")
	r.idle()
	if log := r.log.String(); !strings.Contains(log, `"verdicts":"client_gone"`) || !strings.Contains(log, `"verdicts":"cut"`) {
		t.Errorf("the log:\n%s", log)
	}
}

// TestTunnelLastWords: an upstream that says why it ends and closes is heard by
// a client that is still sending.
func TestTunnelLastWords(t *testing.T) {
	r, f := newTunnels(t, nil)
	for range 20 {
		w, c := r.open(f)
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			for chunk := make([]byte, 32<<10); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}()
		io.CopyN(io.Discard, c.r, 1<<20)
		why := strings.Repeat("because ", 1000)
		io.WriteString(c, why)
		c.Close() // over unread bytes: a reset
		got, _ := io.ReadAll(w.r)
		if !strings.HasPrefix(why, string(got)) {
			t.Errorf("%d bytes that were never said", len(got))
		}
		w.Close()
		<-stop
	}
	r.idle()
}

// A tunnel goes on with another key of the group when the first is refused, for a
// client that says who it is where keys stand.
func TestTunnelWithKeysOfTheGroup(t *testing.T) {
	r, f := newTunnels(t, func(c *proxy.Config) {
		c.ListenAddr, c.GroupMapping, c.DefaultGroup = "127.0.0.1:0", map[string]string{"default": ""}, "g"
		c.Groups = []proxy.GroupConfig{{Name: "g", Secrets: secrets(3)}}
		c.Clients = []proxy.ClientConfig{tokenOf("anna", nil)}
	})
	for i, by := range [][2]string{{"?key=anna", ""}, {"?key=g:anna", ""}, {"", "x-goog-api-key: g:anna\r\n"}, {"", "Authorization: Bearer anna\r\n"}} {
		w := r.wire()
		w.send(handshake(livePath+by[0], by[1]))
		c := f.next()
		if i == 0 {
			io.WriteString(c, "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
			first := c.req.Header.Get("X-Goog-Api-Key")
			if c = f.next(); c.req.Header.Get("X-Goog-Api-Key") == first {
				t.Errorf("the same key again: %v", c.req.Header)
			}
		}
		if h := c.req.Header; strings.Contains(fmt.Sprint(h, c.req.RequestURI), "anna") || !strings.Contains(h.Get("X-Goog-Api-Key")+h.Get("Authorization"), "CANARY") || h.Get("Upgrade") == "" {
			t.Errorf("%q: upstream got %s %v", by, c.req.RequestURI, h)
		}
		io.WriteString(c, agreed)
		if head := string(readHead(t, w)); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
			t.Errorf("%q: %s", by, head)
		}
		w.Close()
		wantEnd(t, c.r, "")
		c.Close()
	}
	w := r.wire()
	w.send(handshake(livePath + "?key=nobody"))
	if head := string(readHead(t, w)); !strings.HasPrefix(head, "HTTP/1.1 401 ") {
		t.Error(head)
	}
	r.idle()
	if strings.Contains(r.log.String(), "CANARY") {
		t.Error("the log says a key")
	}
}
