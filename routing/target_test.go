package routing

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
)

func TestCheckPath(t *testing.T) {
	f := func(path string, want error) {
		t.Helper()
		if err := CheckPath([]byte(path)); err != want {
			t.Errorf("CheckPath(%q): %v, want %v", path, err, want)
		}
	}
	f("/", nil)
	f("//", nil)
	f("/v1beta/models/gemini-2.5-pro:streamGenerateContent", nil)
	f("/v1beta/models/a%2Fb:generateContent", nil)
	f("/v1beta/openai/chat/completions", nil)
	f("/100%25/a%2525", nil)
	f("/a%2520b", nil)
	f("/...", nil)
	f("/..a/.b/c./d..", nil)
	f("/a;b/;../x..;", nil)
	f("/caf\u00e9/%c3%a9/\xff", nil)
	f("/*", nil)

	f("", errPathStart)
	f("v1beta", errPathStart)
	f("*", errPathStart)
	f("http://example.com/", errPathStart)

	f("/a b", errPathCharacter)
	f("/a\tb", errPathCharacter)
	f("/a\r\nb", errPathCharacter)
	f("/\x00", errPathCharacter)
	f("/\x7f", errPathCharacter)
	f("/a?b", errPathCharacter)
	f("/a#b", errPathCharacter)
	f(`/a\b`, errPathCharacter)
	f(`/..\b`, errPathCharacter)

	f("/%", errPathEscape)
	f("/%2", errPathEscape)
	f("/%zz", errPathEscape)
	f("/%2g", errPathEscape)
	f("/%%41", errPathEscape)
	f("/a%", errPathEscape)

	f("/.", errPathDots)
	f("/..", errPathDots)
	f("/./", errPathDots)
	f("/a/../b", errPathDots)
	f("/a/..", errPathDots)
	f("//..//", errPathDots)
	f("/.;x", errPathDots)
	f("/..;/a", errPathDots)
	f("/a/..;x=y/b", errPathDots)
	// Decoded once.
	f("/%2e", errPathDots)
	f("/%2E%2e/a", errPathDots)
	f("/.%2e", errPathDots)
	f("/a%2f..%2fb", errPathDots)
	f("/a%2F%2e%2E", errPathDots)
	f("/a%5c..%5cb", errPathDots)
	f("/..%5c", errPathDots)
	f("/..%2f", errPathDots)
	f("/..%3bx", errPathDots)
	f("/%2e%3b", errPathDots)
	// Decoded twice.
	f("/%252e%252e/a", errPathDots)
	f("/%252e.", errPathDots)
	f("/%25%32%65", errPathDots)
	f("/a%252f..%252fb", errPathDots)
	f("/a%255c%2e%252e", errPathDots)
	f("/..%253b", errPathDots)
	// Three times is nobody's habit; the segment is "%2e" upstream.
	f("/%25252e", nil)
}

func TestCheckQuery(t *testing.T) {
	f := func(query string, want error) {
		t.Helper()
		if err := CheckQuery([]byte(query)); err != want {
			t.Errorf("CheckQuery(%q): %v, want %v", query, err, want)
		}
	}
	f("", nil)
	f("alt=sse&a&&=b?/../%zz;\\\xff", nil)
	f("a b", errQuery)
	f("a\r\nb", errQuery)
	f("a\x00", errQuery)
	f("a\x7f", errQuery)
	f("a#b", errQuery)
}

func TestAppendTarget(t *testing.T) {
	f := func(base, group, path, query, want string) {
		t.Helper()
		b, err := ParseBase(base)
		if err != nil {
			t.Fatal(err)
		}
		got := AppendTarget([]byte("POST "), &b, &Group{Path: group}, []byte(path), []byte(query))
		if string(got) != "POST "+want {
			t.Errorf("AppendTarget(%q, %q, %q, %q) = %q, want %q", base, group, path, query, got, want)
		}
	}
	f("https://example.com", "", "/v1beta/models", "", "/v1beta/models")
	f("https://example.com/", "", "/", "", "/")
	f("https://example.com/base/", "/a", "/v1/x:y", "alt=sse", "/base/a/v1/x:y?alt=sse")
	f("https://example.com", "/a", "//x%2Fy;z", "q=a%20b&&r", "/a//x%2Fy;z?q=a%20b&&r")
}

func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"/", "/a/../b", "/%2e%2e", "/%252e", "/a%2f..%5cb", "/%", "/..;x", "/%25%32%65"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		err := CheckPath([]byte(path))
		if err != nil {
			if len(path) > 8 && strings.Contains(err.Error(), path) {
				t.Fatalf("%q repeats the path", err)
			}
			return
		}
		// What passed is free of dot segments by an independent decoder.
		for range 3 {
			for _, segment := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' }) {
				name, _, _ := strings.Cut(segment, ";")
				if name == "." || name == ".." {
					t.Fatalf("segment %q passed", segment)
				}
			}
			decoded, err := url.PathUnescape(path)
			if err != nil {
				break // broken after the first round: not decoded as a whole by others
			}
			path = decoded
		}
		got := AppendTarget(nil, &Base{Path: "/base"}, &Group{Path: "/g"}, []byte(path), nil)
		if !bytes.HasPrefix(got, []byte("/base/g/")) {
			t.Fatalf("target %q left the group's path", got)
		}
	})
}
