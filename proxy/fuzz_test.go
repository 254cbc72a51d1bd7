package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"
)

// FuzzSettings gives any setting any value. Either a configuration comes of it
// that is valid, or an error that names the setting and is fit for a terminal.
func FuzzSettings(f *testing.F) {
	names := Settings()
	for i := range names {
		f.Add(uint(i), names[i].Default)
	}
	for i, s := range []string{"", "90", "-1s", "99999999999h", "1e9", `{"default":""}`, `{"a":"/../b"}`, "http://x\x00", "SAFETY,,OTHER", "tRuE", "\xff", ":8080\n"} {
		f.Add(uint(i*7), s)
	}
	f.Fuzz(func(t *testing.T, which uint, value string) {
		name := names[which%uint(len(names))].Name
		cfg, err := LoadConfig("", envOf(name, value))
		if err == nil {
			if err := cfg.Validate(); err != nil {
				t.Fatalf("%s=%q is loaded, and then not valid: %v", name, value, err)
			}
			return
		}
		if text := err.Error(); !strings.Contains(text, name) || strings.ContainsAny(text, "\x00\x1b\r") || !utf8.ValidString(text) || len(text) > 4096+len(value) {
			t.Fatalf("%s=%q: %q", name, value, text)
		}
	})
}

// FuzzKeys reads a file of keys. Each can be sent in a header, none comes twice,
// and no mistake repeats a piece of the file.
func FuzzKeys(f *testing.F) {
	for _, s := range []string{"", "a", "AIzaOne\nAIzaTwo\n", "# x\n\n  AIza\t\r\n", "a\na\n", "\xef\xbb\xbfa", "a b", "a\x00", "ä", strings.Repeat("k", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, errs := readKeys([]string{"env:KEYS"}, envOf("KEYS", text))
		seen := map[string]bool{}
		for _, k := range keys {
			secret := string([]byte(k.Secret))
			if !strings.Contains(text, secret) || seen[secret] || secret == "" || strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Fatalf("%q of %q", secret, text)
			}
			seen[secret] = true
		}
		for _, err := range errs {
			for line := range strings.Lines(text) {
				if line = strings.TrimSpace(line); len(line) > 20 && strings.Contains(err.Error(), line) {
					t.Fatalf("%q repeats a line", err)
				}
			}
		}
	})
}

// FuzzServerTimeout reads X-Server-Timeout: a time that can be added to now, or
// none, and never less than nothing.
func FuzzServerTimeout(f *testing.F) {
	for _, s := range []string{"", "30", "0.5", " 7 ", "-1", "NaN", "+Inf", "1e300", "1e-300", "0x10", "1_000", "9999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		e := exchange{head: head{serverTimeout: []byte(value)}}
		d := e.serverTimeout()
		want, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(want > 0) || want > 1e6 {
			want = 0
		}
		if d < 0 || math.Abs(d.Seconds()-want) > want*1e-6+1e-6 || time.Now().Add(d).Before(time.Now().Add(-time.Second)) {
			t.Errorf("%q: %v", value, d)
		}
	})
}

// FuzzSwitch passes an upstream's answer to a handshake on: what the client gets
// is one head that net/http reads, without what is for one hop only.
func FuzzSwitch(f *testing.F) {
	const switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	for _, s := range []string{"", "Sec-WebSocket-Accept: x\r\n", "X: a\rb\r\n", "X: a\r\n b\r\n", "X : a\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Set-Cookie: a=b\r\n", "Upgrade: h2c\r\n"} {
		f.Add(switching + s + "\r\n")
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var h fasthttp.ResponseHeader
		h.DisableNormalizing()
		h.SetNoDefaultContentType(true)
		if h.Read(bufio.NewReader(strings.NewReader(raw))) != nil || h.StatusCode() != 101 || !switches(&h) {
			return
		}
		got := appendSwitch(nil, &h)
		br := bufio.NewReader(bytes.NewReader(got))
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != 101 || br.Buffered() > 0 {
			t.Fatalf("%q became %q: %v", raw, got, err)
		}
		if fmt.Sprint(resp.Header["Upgrade"], resp.Header["Connection"]) != "[websocket] [Upgrade]" || len(resp.Header["Content-Length"])+len(resp.TransferEncoding) > 0 {
			t.Fatalf("%q became %q", raw, got)
		}
	})
}

// FuzzLoggedName has the log name what a path names: one line, bounded, and no
// key of the API.
func FuzzLoggedName(f *testing.F) {
	for _, s := range []string{"/v1beta/models/m:generateContent", "/v1/m:x&key=g:AIzaK", "/v1/AIzaK:x", "/v1/%0a:\x1b[31m", "/v1/m%3Ax%26key=AIzaK", "::", "/a:AIAIzaza"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		model, action := modelOf(beforeParameters([]byte(path)))
		for _, got := range []string{loggedName(model), loggedName(action), loggedMethod([]byte(path))} {
			plain := strings.TrimRight(got, more)
			if strings.Contains(got, "AIza") || len(got) > maxLogged+3*len(more) || strings.ContainsAny(plain, "&=;? \n\r\x1b\x00") || !utf8.ValidString(got) {
				t.Errorf("%q is logged as %q", path, got)
			}
		}
	})
}

// FuzzClaim reads a Content-Type as mime does, where the two can be compared.
func FuzzClaim(f *testing.F) {
	for _, s := range []string{"", "text/event-stream", "TEXT/Event-Stream; charset=utf-8", " application/json ", "application/json;", "application/jsonx", strings.Repeat("a", 100), "text/event-stream,application/json"} {
		f.Add(s)
	}
	known := map[string]claim{"": claimsNothing, "text/event-stream": claimsEvents, "application/json": claimsJSON}
	lines := []string{"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/json-seq", "application/stream+json"}
	f.Fuzz(func(t *testing.T, value string) {
		plain, _, _ := strings.Cut(value, ";")
		plain = string(bytes.ToLower(bytes.TrimSpace([]byte(plain))))
		want, ok := known[plain]
		if !ok {
			want = claimsOther
			if slices.Contains(lines, plain) {
				want = claimsLines
			}
		}
		if got := claimOf([]byte(value)); got != want && isASCII(plain) {
			t.Errorf("%q: %d, want %d", value, got, want)
		}
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
