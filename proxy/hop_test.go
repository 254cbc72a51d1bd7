package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

// fieldsOf returns the header lines of a raw head in order of their names,
// those in without left out.
func fieldsOf(raw []byte, without ...string) []string {
	lines := headLines(raw)[1:]
	lines = slices.DeleteFunc(lines, func(line string) bool {
		name, _, _ := strings.Cut(line, ":")
		return slices.ContainsFunc(without, func(w string) bool { return strings.EqualFold(w, name) })
	})
	slices.Sort(lines)
	return lines
}

// TestWhatPassesIsTheSame sends random requests and compares what arrives with
// what was sent: method, target, fields and body.
func TestWhatPassesIsTheSame(t *testing.T) {
	r := newRig(t, plain, nil)
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	w := r.wire()
	for i := range 300 {
		method := pick("GET", "POST", "PUT", "PATCH", "DELETE", "QUERY", "X-1")
		target := "/" + pick("v1", "v1beta", "upload/v1beta", "%41", "a%2Fb", "~x", "a:b", "ä") + "/" + pick("", "x", "m;p=1", "%7E")
		target = strings.ReplaceAll(target, "ä", "%C3%A4") +
			pick("", "?", "?a=b", "?a=b&a=c", "?x=%20y+z", "?a&&b=", "?pageToken=a%3D%3D", "?q=a/b?c", "?alt=media")
		fields := []string{"X-Number: " + itoa(i)}
		if rnd.IntN(3) == 0 {
			fields = append(fields, pick("Authorization", "authorization")+": "+pick("", "Basic eA==", "two  parts", "Bearer"))
		}
		for range rnd.IntN(6) {
			fields = append(fields, pick("X-A", "x-a", "X-LONG-name", "Accept", "User-Agent", "If-None-Match", "Range", "X-Goog-Upload-Command",
				"x-goog-api-client", "Referer")+": "+pick("", "1", "a, b", `"quoted, \"string\""`, "two  spaces", "\xc3\xa4", "a:b", "Basic eA=="))
		}
		body := strings.Repeat("z", pick2(rnd, 0, 0, 1, 5, 100, 5000, 70000))
		sent := method + " " + target + " HTTP/1.1\r\nHost: a\r\n" + strings.Join(fields, "\r\n") + "\r\n"
		if chunked := rnd.IntN(2) == 0; chunked {
			fields = append(fields, "Transfer-Encoding: chunked")
			sent += "Transfer-Encoding: chunked\r\n\r\n"
			for rest := body; rest != ""; {
				n := 1 + rnd.IntN(len(rest))
				sent += fmt.Sprintf("%x\r\n%s\r\n", n, rest[:n])
				rest = rest[n:]
			}
			sent += "0\r\n\r\n"
		} else {
			sent += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
		}
		w.send(sent)
		w.wants(method, 200)
		q := r.arrived(i)
		slices.Sort(fields)
		got := fieldsOf(q.Raw, "Host", "Content-Length", "Transfer-Encoding")
		want := slices.DeleteFunc(fields, func(f string) bool { return strings.HasPrefix(f, "Transfer-Encoding") })
		if q.Method != method || strings.TrimSuffix(target, "?") != strings.TrimSuffix(q.Target, "?") || !slices.Equal(got, want) || string(q.Body) != body {
			t.Fatalf("request %d\n sent %s %s %q %d bytes\n came %s %s %q %d bytes", i, method, target, want, len(body), q.Method, q.Target, got, len(q.Body))
		}
	}
}

func pick2(rnd *rand.Rand, of ...int) int { return of[rnd.IntN(len(of))] }

// TestHopByHopRequest checks what of a request's header stays behind, and that
// a Connection header takes nothing away that the proxy itself adds.
func TestHopByHopRequest(t *testing.T) {
	r := newRig(t, plain, nil)
	f := func(sent string, want ...string) {
		t.Helper()
		r.up.Reset()
		w := r.wire()
		w.t = t
		body := `{"contents":[]}`
		w.send("POST /v1/m:countTokens HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + sent + "Content-Length: 15\r\n\r\n" + body)
		w.wants("POST", 200)
		q := r.arrived(0)
		want = append(want, "Content-Length: 15", "Host: "+r.up.Addr())
		slices.Sort(want)
		if got := fieldsOf(q.Raw); !slices.Equal(got, want) || string(q.Body) != body {
			t.Errorf("%q\n got %q\nwant %q", sent, got, want)
		}
	}
	json := "Content-Type: application/json"
	f("", json)
	f("X-A: 1\r\nX-A: 2\r\nx-a: 1\r\n", json, "X-A: 1", "X-A: 2", "x-a: 1")
	f("Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n", json)
	f("Connection: X-A, x-b\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n", json, "X-C: 3")
	f("X-A: 1\r\nConnection: ,, x-a ,\r\n", json)
	f("Connection: x-a\r\nConnection: x-b\r\nX-A: 1\r\nX-B: 1\r\n", json)
	f("Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nProxy-Authenticate: Basic\r\n", json)
	f("TE: trailers\r\nTrailer: X-Sum\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n", json)
	f("Cookie: a=b\r\nVia: 1.1 x\r\nForwarded: for=1.2.3.4\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: x\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 1.2.3.4\r\nAlt-Used: front\r\n", json)
	f("x-goog-api-key: K\r\nConnection: x-goog-api-key, host, content-length\r\n", json, "x-goog-api-key: K")
	f("Connection: Content-Type\r\n")
	f("Authorization: Bearer default:K\r\nConnection: authorization\r\n", json, "Authorization: Bearer K")
	f("Authorization: Basic eA==\r\n", json, "Authorization: Basic eA==")
	f("Accept-Encoding: gzip, br\r\n", json, "Accept-Encoding: gzip, br")
	f("Accept-Encoding: gzip\r\nX-A: 1\r\naccept-encoding: br;q=0\r\n", json, "X-A: 1", "Accept-Encoding: gzip, br;q=0")
	f("Accept-Encoding: gzip\r\nConnection: accept-encoding\r\n", json)
	f("X-Server-Timeout: 30\r\nx-goog-api-client: gl-go\r\nUser-Agent: u\r\n", json, "X-Server-Timeout: 30", "x-goog-api-client: gl-go", "User-Agent: u")
	f("X-Proxy-Group: default\r\nX-PROXY-GROUP: x\r\n", json)
	f("Expect: 100-continue\r\n", json)
}

// TestHopByHopResponse checks what of a response's header reaches the client.
// The date is left out: it is the proxy's.
func TestHopByHopResponse(t *testing.T) {
	r := newRig(t, plain, nil)
	f := func(sent []string, want ...string) {
		t.Helper()
		r.up.SetHandler(upstream.Always(upstream.Script{upstream.Head(200, upstream.Chunked, sent...), upstream.Send("x")}))
		w := r.wire()
		w.t = t
		w.send("GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n")
		raw := readHead(t, w)
		want = append(want, "Transfer-Encoding: chunked", "Access-Control-Allow-Origin: *", "Access-Control-Expose-Headers: *")
		slices.Sort(want)
		if got := fieldsOf(raw, "Date"); !slices.Equal(got, want) || countLines(raw, "Date") != 1 {
			t.Errorf("%q\n got %q\nwant %q", sent, got, want)
		}
	}
	f(nil)
	f([]string{"Set-Cookie", "a=1", "Set-Cookie", "b=2"}, "Set-Cookie: a=1", "Set-Cookie: b=2")
	f([]string{"X-A", "1", "x-a", "2", "X-A", "1"}, "X-A: 1", "x-a: 2", "X-A: 1")
	f([]string{"Server", "ESF", "Date", "Sun, 06 Nov 1994 08:49:37 GMT", "Vary", "Origin", "Vary", "Referer"},
		"Server: ESF", "Vary: Origin", "Vary: Referer")
	f([]string{"Content-Type", "text/plain", "ETag", `"x"`, "Content-Encoding", "br", "Content-Disposition", "attachment"},
		"Content-Type: text/plain", `ETag: "x"`, "Content-Encoding: br", "Content-Disposition: attachment")
	f([]string{"Connection", "X-A, close", "X-A", "1", "X-B", "2"}, "X-B: 2")
	f([]string{"Connection", "x-a", "Connection", "x-b", "X-A", "1", "X-B", "2", "X-C", "3"}, "X-C: 3")
	f([]string{"Keep-Alive", "timeout=5", "Proxy-Connection", "x", "Proxy-Authenticate", "Basic", "Upgrade", "h3", "TE", "x", "Trailer", "X-T"})
	f([]string{"X-Empty", ""}, "X-Empty: ")
	f([]string{"Server-Timing", "gfet4t7; dur=1", "X-Frame-Options", "SAMEORIGIN", "X-Content-Type-Options", "nosniff", "Alt-Svc-X", "1"},
		"Server-Timing: gfet4t7; dur=1", "X-Frame-Options: SAMEORIGIN", "X-Content-Type-Options: nosniff", "Alt-Svc-X: 1")
	f([]string{"Location", "https://evil/", "Retry-After", "7"}, "Location: https://evil/", "Retry-After: 7")
	f([]string{"Access-Control-Allow-Origin", "https://x", "Access-Control-Expose-Headers", "a"})
}

// ofOrigin are fields by which the upstream says something of its own origin.
var ofOrigin = []string{
	"Alt-Svc", `h3=":443"; ma=2592000,h3-29=":443"; ma=2592000`, "alt-svc", "clear",
	"Strict-Transport-Security", "max-age=31536000; includeSubDomains; preload",
	"Public-Key-Pins", `pin-sha256="x"; max-age=1`, "Public-Key-Pins-Report-Only", `pin-sha256="x"`, "Expect-CT", "max-age=1, enforce",
	"NEL", `{"report_to":"x","max_age":1}`, "Report-To", `{"group":"x"}`, "Reporting-Endpoints", `x="https://x"`,
	"Accept-CH", "Sec-CH-UA-Model", "Critical-CH", "Sec-CH-UA-Model", "Clear-Site-Data", `"*"`,
}

// TestOriginsOwnFields checks that what the upstream says of its own origin
// reaches no client, which would take it for the proxy's, on any surface.
func TestOriginsOwnFields(t *testing.T) {
	r := newRig(t, plain, nil)
	fields := append([]string{"X-A", "1", "Content-Type", "text/event-stream"}, ofOrigin...)
	wants := func(what string, raw []byte) {
		t.Helper()
		if countLines(raw, "X-A") != 1 {
			t.Errorf("%s: not the upstream's head: %s", what, raw)
		}
		for i := 0; i < len(ofOrigin); i += 2 {
			if countLines(raw, ofOrigin[i]) > 0 {
				t.Errorf("%s: the client got %s", what, ofOrigin[i])
			}
		}
	}
	f := func(target, body string, code int, steps ...upstream.Step) {
		t.Helper()
		r.up.SetHandler(upstream.Always(append(upstream.Script{upstream.Head(code, upstream.Chunked, fields...)}, steps...)))
		w := r.wire()
		w.t = t
		w.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", target, len(body), body))
		wants(target, readHead(t, w))
	}
	f("/v1/relayed", "{}", 200, upstream.Send("x"))
	f("/v1/relayed", "{}", 404, upstream.Send("x"))
	f(streamPath, ask("x"), 200, upstream.TextFinish("x", "STOP"))
	f(streamPath, ask("x"), 400, upstream.Send("{}"))
	f("/v1beta/models/m:generateContent", ask("x"), 200, upstream.TextFinish("x", "STOP"))
	f("/v1beta/models/m:generateContent", ask("x"), 400, upstream.Send("{}"))
	f(interPath, interBody, 200, upstream.Send(interWhole))

	tunnels, far := newTunnels(t, nil)
	w := tunnels.wire()
	w.send(handshake(livePath))
	c := far.next()
	var said strings.Builder
	for i := 0; i < len(fields); i += 2 {
		fmt.Fprintf(&said, "%s: %s\r\n", fields[i], fields[i+1])
	}
	io.WriteString(c, strings.Replace(agreed, "\r\n\r\n", "\r\n"+said.String()+"\r\n", 1))
	wants("tunnel", readHead(t, w))
	w.Close()
	wantEnd(t, c.r, "")
	c.Close()
}

// readHead reads a response head as it stands on the wire.
func readHead(t testing.TB, w *wire) []byte {
	t.Helper()
	var raw []byte
	for !bytes.HasSuffix(raw, []byte("\r\n\r\n")) {
		line, err := w.r.ReadBytes('\n')
		if raw = append(raw, line...); err != nil {
			t.Fatalf("no whole head: %v: %q", err, raw)
		}
	}
	return raw
}

// TestConnectionHeaders checks the proxy's own hop to the client: a response
// says close exactly when the connection ends.
func TestConnectionHeaders(t *testing.T) {
	r := newRig(t, plain, nil)
	w := r.wire()
	w.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
	if resp, _ := w.wants("GET", 200); resp.Close {
		t.Error("close on a connection that stays")
	}
	w.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if resp, _ := w.wants("GET", 200); !resp.Close {
		t.Error("no close in the last response")
	}
	if !w.closed() {
		t.Error("still open")
	}
}
