package routing

import (
	"strings"
	"testing"
)

func TestParseBase(t *testing.T) {
	f := func(s string, want Base) {
		t.Helper()
		got, err := ParseBase(s)
		if err != nil {
			t.Errorf("ParseBase(%q): %v", s, err)
		} else if got != want {
			t.Errorf("ParseBase(%q)\n got %+v\nwant %+v", s, got, want)
		}
	}
	f("https://generativelanguage.googleapis.com",
		Base{true, "generativelanguage.googleapis.com", "generativelanguage.googleapis.com:443", "generativelanguage.googleapis.com", ""})
	f("http://localhost", Base{false, "localhost", "localhost:80", "localhost", ""})
	f("HTTP://LocalHost:08080/", Base{false, "LocalHost:08080", "LocalHost:08080", "LocalHost", ""})
	f("https://example.com:8443/v1/a%20b/", Base{true, "example.com:8443", "example.com:8443", "example.com", "/v1/a%20b"})
	f("https://example.com.//", Base{true, "example.com.", "example.com.:443", "example.com", ""})
	f("http://127.0.0.1:1", Base{false, "127.0.0.1:1", "127.0.0.1:1", "127.0.0.1", ""})
	f("http://[::1]", Base{false, "[::1]", "[::1]:80", "::1", ""})
	f("https://[2001:db8::1]:65535/p", Base{true, "[2001:db8::1]:65535", "[2001:db8::1]:65535", "2001:db8::1", "/p"})
	f("http://a_b-c.internal/user@host:1", Base{false, "a_b-c.internal", "a_b-c.internal:80", "a_b-c.internal", "/user@host:1"})
}

func TestParseBaseErrors(t *testing.T) {
	f := func(s string, want error) {
		t.Helper()
		got, err := ParseBase(s)
		if err != want {
			t.Errorf("ParseBase(%q): %v, want %v", s, err, want)
		}
		if got != (Base{}) {
			t.Errorf("ParseBase(%q) = %+v besides the error", s, got)
		}
	}
	f("", errBaseScheme)
	f("example.com", errBaseScheme)
	f("//example.com", errBaseScheme)
	f("https:/example.com", errBaseScheme)
	f("ftp://example.com", errBaseScheme)
	f("user:hunter2@example.com", errBaseScheme)
	f("https://", errBaseNoHost)
	f("https:///path", errBaseNoHost)
	f("https://:80", errBaseNoHost)
	f("https://?q", errBaseQuery)
	f("https://user@example.com", errBaseUserinfo)
	f("https://user:hunter2@example.com/p?q#f", errBaseUserinfo)
	f("https://@example.com", errBaseUserinfo)
	f("https://example.com?", errBaseQuery)
	f("https://example.com/p?q", errBaseQuery)
	f("https://example.com#", errBaseFragment)
	f("https://example.com/p#f?", errBaseFragment)
	f("https://example.com:", errBasePort)
	f("https://example.com:0", errBasePort)
	f("https://example.com:65536", errBasePort)
	f("https://example.com:+1", errBasePort)
	f("https://example.com:https", errBasePort)
	f("https://[::1]:", errBasePort)
	f("https://::1", errBaseHost)
	f("https://2001:db8::1", errBaseHost)
	f("https://[::1", errBaseHost)
	f("https://[::1]x", errBaseHost)
	f("https://[127.0.0.1]", errBaseHost)
	f("https://[fe80::1%25eth0]", errBaseHost)
	f("https://[]", errBaseHost)
	f("https://.", errBaseHost)
	f("https://a..b", errBaseHost)
	f("https://a,b", errBaseHost)
	f("https://a%2eb", errBaseHost)
	f("https://"+strings.Repeat("a", 64), errBaseHost)
	f("https://"+strings.Repeat("a.", 127)+"b", errBaseHost)
	f("https://example.com/a/../b", errPathDots)
	f("https://example.com/a/%2E%2e", errPathDots)
	f("https://example.com/.", errPathDots)
	f("https://example.com/%", errPathEscape)
	f("https://example.com/a\nb", errBaseCharacter)
	f("https://example.com\x00", errBaseCharacter)
	f(" https://example.com", errBaseCharacter)
	f("https://example.com ", errBaseCharacter)
	f("https://exam\u00e9ple.com", errBaseCharacter)
	f(`https://example.com\@other`, errBaseCharacter)
}

func FuzzParseBase(f *testing.F) {
	f.Add("https://generativelanguage.googleapis.com")
	f.Add("http://[::1]:80/a/b/")
	f.Add("https://user:hunter2@example.com:1/p?q#f")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := ParseBase(s)
		if err != nil {
			return
		}
		scheme := "http://"
		if b.TLS {
			scheme = "https://"
		}
		again, err := ParseBase(scheme + b.Host + b.Path)
		if err != nil || again != b {
			t.Fatalf("ParseBase(%q) = %+v, which reads back as %+v, %v", s, b, again, err)
		}
		if strings.ContainsAny(b.Host, "@/?# ") || !strings.Contains(b.Addr, ":") || b.ServerName == "" {
			t.Fatalf("ParseBase(%q) = %+v", s, b)
		}
	})
}
