package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/proxy"
)

// message is a request as a server of net/http understands it.
type message struct {
	Method, Target, Host string
	Header               http.Header
	Body                 string
}

// withoutEmptyLines returns raw without the empty lines before requests. The
// proxy skips them (RFC 9112 2.2), net/http does not.
func withoutEmptyLines(raw string) string {
	var out strings.Builder
	for {
		for strings.HasPrefix(raw, "\n") || strings.HasPrefix(raw, "\r\n") {
			_, raw, _ = strings.Cut(raw, "\n")
		}
		sr := strings.NewReader(raw)
		br := bufio.NewReader(sr)
		r, err := http.ReadRequest(br)
		if err == nil {
			_, err = io.Copy(io.Discard, r.Body)
		}
		if err != nil {
			out.WriteString(raw)
			return out.String()
		}
		n := len(raw) - sr.Len() - br.Buffered()
		out.WriteString(raw[:n])
		raw = raw[n:]
	}
}

// parse reads the one request that raw is.
func parse(raw string) (message, error) {
	br := bufio.NewReader(strings.NewReader(raw))
	r, err := http.ReadRequest(br)
	if err != nil {
		return message{}, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return message{}, err
	}
	if rest, _ := io.ReadAll(br); len(rest) > 0 {
		return message{}, fmt.Errorf("%d bytes follow the request: %.100q", len(rest), rest)
	}
	for _, line := range headLines([]byte(strings.SplitAfter(raw, "\r\n\r\n")[0])) {
		if strings.ContainsAny(line, "\r\n\x00") {
			return message{}, fmt.Errorf("line %q", line)
		}
	}
	if n := len(r.Header.Values("Content-Length")) + strings.Count(strings.ToLower(raw[:strings.Index(raw, "\r\n\r\n")]), "\r\ntransfer-encoding:"); n > 1 {
		return message{}, errors.New("framed twice")
	}
	return message{r.Method, r.RequestURI, r.Host, r.Header, string(body)}, nil
}

// ofTheHop are the fields that end at the proxy, or that it writes anew.
var ofTheHop = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding",
	"Upgrade", "Http2-Settings", "Forwarded", "Via", "X-Real-Ip", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Server",
	"X-Forwarded-Proto", "X-Forwarded-Host", "Alt-Used", "Cookie", "Content-Length", "Expect", "X-Proxy-Group", "X-Proxy-Heal",
}

// endToEnd returns what of a request's fields is for the upstream. Of those that
// the proxy reads itself and that may stand but once, it sends one.
func endToEnd(h http.Header) http.Header {
	h = maps.Clone(h)
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			switch name = textproto.CanonicalMIMEHeaderKey(strings.Trim(name, " \t")); name {
			case "X-Goog-Api-Key", "X-Server-Timeout":
				// They are the proxy's own to send.
			case "Authorization":
				// So is a token.
				if h[name] = slices.DeleteFunc(slices.Clone(h[name]), func(s string) bool { return !isBearer(s) }); len(h[name]) == 0 {
					delete(h, name)
				}
			default:
				delete(h, name)
			}
		}
	}
	for _, name := range ofTheHop {
		delete(h, name)
	}
	once := func(name string, which func([]string) string) {
		if v := h[name]; len(v) > 0 {
			if h[name] = []string{which(v)}; h[name][0] == "" {
				delete(h, name)
			}
		}
	}
	first := func(v []string) string {
		return v[max(0, slices.IndexFunc(v, func(s string) bool { return s != "" }))]
	}
	last := func(v []string) string { return v[len(v)-1] }
	once("X-Goog-Api-Key", first)
	once("Accept-Encoding", func(v []string) (list string) {
		for _, s := range v {
			if list != "" {
				s = list + ", " + s
			}
			list = s
		}
		return list
	})
	once("X-Server-Timeout", last)
	if v := h["Authorization"]; len(v) > 0 {
		// The scheme may come in any case, and the token behind any spaces.
		all := []string{}
		for _, s := range v {
			if isBearer(s) {
				s = "Bearer " + strings.TrimLeft(s[7:], " ")
			}
			all = append(all, s)
		}
		slices.Sort(all)
		h["Authorization"] = all
	}
	return h
}

func isBearer(s string) bool { return len(s) > 7 && strings.EqualFold(s[:7], "bearer ") }

// forTheProxy tells whether a target has parameters that the proxy takes out.
func forTheProxy(target string) bool {
	_, query, _ := strings.Cut(target, "?")
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		if plain, err := url.PathUnescape(name); err == nil && (plain == "key" || plain == "group") {
			return true
		}
	}
	return false
}

// differs says how what arrived differs from what was sent, "" when it does not.
func differs(sent, came message) string {
	target, _ := strings.CutSuffix(sent.Target, "?")
	got, _ := strings.CutSuffix(came.Target, "?")
	if forTheProxy(sent.Target) {
		// Its parameters stay behind; see FuzzSplitQuery.
		target, _, _ = strings.Cut(target, "?")
		got, _, _ = strings.Cut(got, "?")
	}
	switch {
	case sent.Method != came.Method:
		return fmt.Sprintf("method %q for %q", came.Method, sent.Method)
	case target != got:
		return fmt.Sprintf("target %q for %q", came.Target, sent.Target)
	case sent.Body != came.Body:
		return fmt.Sprintf("body %.100q for %.100q", came.Body, sent.Body)
	}
	want, have := endToEnd(sent.Header), endToEnd(came.Header)
	if slices.Equal(have["Accept-Encoding"], []string{"identity"}) {
		// An answer that is healed must not be coded.
		want["Accept-Encoding"] = have["Accept-Encoding"]
	}
	if forTheProxy(sent.Target) {
		delete(want, "X-Goog-Api-Key")
		delete(have, "X-Goog-Api-Key")
	}
	if !maps.EqualFunc(want, have, slices.Equal) {
		return fmt.Sprintf("fields %q for %q", have, want)
	}
	return ""
}

// differential is a proxy between a client that writes what it likes and an
// upstream that sees each byte, and a server of net/http to compare with.
type differential struct {
	*rig
	ref *reference
	rec *recorder
}

func newDifferential(t testing.TB, change func(*proxy.Config)) *differential {
	t.Helper()
	d := &differential{ref: newReference(t), rec: newRecorder(t)}
	d.rig = newRig(t, plain, func(c *proxy.Config) {
		c.UpstreamURLBase = "http://" + d.rec.l.Addr().String()
		c.CORSAllowOrigin = "" // a preflight is answered by the proxy
		c.MaxConsecutiveFailures = 0
		if change != nil {
			change(c)
		}
	})
	return d
}

// compare sends raw and returns how many requests got through. Each must be one
// that net/http reads in raw, in order, and nothing else may arrive.
func (d *differential) compare(t testing.TB, raw string) (passed int) {
	t.Helper()
	raw += sentinel
	replies := d.exchange(t, raw)
	want, came := d.ref.reads(t, withoutEmptyLines(raw)), d.rec.take()
	next := 0
	for _, r := range came {
		m, err := parse(r)
		if err != nil {
			t.Errorf("%q\narrived as %q: %v", raw, r, err)
			continue
		}
		why := "net/http reads no such request"
		for at := next; at < len(want); at++ {
			if why = differs(want[at], m); why == "" {
				next = at + 1
				break
			}
		}
		if why != "" {
			t.Errorf("%q\narrived as %q: %s", raw, r, why)
		}
		if m.Host != d.rec.l.Addr().String() {
			t.Errorf("%q\narrived for host %q", raw, m.Host)
		}
	}
	d.answered(t, raw, want, replies, len(came))
	return len(came)
}

// exchange sends raw and returns all that comes back.
func (d *differential) exchange(t testing.TB, raw string) string {
	t.Helper()
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	go io.WriteString(c, raw)
	got, err := io.ReadAll(c)
	if isHang(err) {
		t.Errorf("%q: hangs after %q", raw, got)
	}
	return string(got)
}

// answered checks that what came back is responses to the requests, at most one
// for each and one to what is none, and nothing else.
func (d *differential) answered(t testing.TB, raw string, want []message, replies string, least int) {
	t.Helper()
	br := bufio.NewReader(strings.NewReader(replies))
	n := 0
	for ; ; n++ {
		if _, err := br.Peek(1); err != nil {
			break
		}
		method := "GET"
		if n < len(want) {
			method = want[n].Method
		}
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		if err != nil {
			t.Errorf("%q\nwas answered %q: %v", raw, replies, err)
			return
		}
		if resp.StatusCode < 200 {
			n--
		}
	}
	if n < least || n > len(want)+1 {
		t.Errorf("%q\nholds %d requests, %d arrived, and %d answers came: %q", raw, len(want), least, n, replies)
	}
}
