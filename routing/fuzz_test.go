package routing

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzAppendStreaming compares the rewritten target with what net/url reads: the
// same path but for its action, and the same parameters but for the format.
func FuzzAppendStreaming(f *testing.F) {
	for _, s := range []string{"", "alt=json", "a=b&alt=sse&c", "%61lt=x&&$alt=json;enum-encoding=int", "key=a%26b&alt", "&&=&a=%zz"} {
		f.Add("/v1beta/models/m:", s)
	}
	f.Fuzz(func(t *testing.T, before, query string) {
		if strings.ContainsAny(before, "?#") || strings.ContainsAny(query, "#;") {
			return
		}
		got := string(AppendStreaming(nil, []byte(before+"generateContent?"+query)))
		path, rest, _ := strings.Cut(got, "?")
		if path != before+"streamGenerateContent" {
			t.Fatalf("path %q", got)
		}
		want, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		have, err := url.ParseQuery(rest)
		if err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if v := have["alt"]; len(v) != 1 || v[0] != "sse" || len(have["$alt"]) > 0 {
			t.Fatalf("format of %q", got)
		}
		for _, name := range []string{"alt", "$alt"} {
			delete(want, name)
			delete(have, name)
		}
		if want.Encode() != have.Encode() {
			t.Fatalf("%q became %q", query, got)
		}
	})
}

// FuzzAppendPath renames a model: whatever the path, the parts around its name
// stay to the byte, and no other path is touched.
func FuzzAppendPath(f *testing.F) {
	for _, s := range []string{"/v1beta/models/fast:generateContent", "/models/fast", "/models/", "/models/fast/models/fast:x", "/a/fast", "", "/models/fast%3Ax", "//models//fast"} {
		f.Add(s)
	}
	names := Renames{"fast": "gemini-2.5-flash"}
	f.Fuzz(func(t *testing.T, path string) {
		before, model, after := SplitModel([]byte(path))
		if string(before)+string(model)+string(after) != path || strings.ContainsAny(string(model), "/:") {
			t.Fatalf("%q is not %q %q %q", path, before, model, after)
		}
		want := path
		if string(model) == "fast" {
			want = string(before) + "gemini-2.5-flash" + string(after)
		}
		if got := string(names.AppendPath([]byte("x"), []byte(path), []byte(path))); got != "x"+want {
			t.Errorf("%q became %q", path, got)
		}
	})
}

// FuzzQueryValue compares values with those of net/url, where that reads the
// query at all. A "+" stands for itself here.
func FuzzQueryValue(f *testing.F) {
	for _, s := range []string{"alt=sse", "a=b&alt=sse&alt=json", "%61lt=s%73e", "alt", "alt=", "&&alt==", "$alt=json", "last_event_id=a%2Fb", "alt=%zz"} {
		f.Add(s, "alt")
	}
	f.Fuzz(func(t *testing.T, query, name string) {
		value, ok := QueryValue([]byte(query), name)
		if !strings.Contains(query, string(value)) {
			t.Fatalf("%q: value %q is not in it", query, value)
		}
		if strings.ContainsAny(query, ";+") || strings.ContainsAny(name, "%") {
			return
		}
		want, err := url.ParseQuery(query)
		if err != nil || name == "" {
			return
		}
		if want.Has(name) != ok {
			t.Fatalf("%q has %q: %t, net/url says %t", query, name, ok, want.Has(name))
		}
		if got := string(appendDecoded(nil, value)); ok && got != want.Get(name) {
			t.Fatalf("%q of %q: %q, net/url says %q", name, query, got, want.Get(name))
		}
		for _, v := range want[name] {
			if !strings.Contains(v, "%") && !QueryHas([]byte(query), name, v) {
				t.Fatalf("%q is said not to have %q=%q", query, name, v)
			}
		}
		WantsPlainJSON([]byte(query))
	})
}

// FuzzCheckQuery looks for a query that passes and would end a request line, or be
// cut by who reads it.
func FuzzCheckQuery(f *testing.F) {
	for _, s := range []string{"", "a=b", "a#b", "a\x00", "a b", "\x7f", "ä"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if CheckQuery([]byte(query)) == nil && strings.ContainsAny(query, "#\r\n\x00 ") {
			t.Errorf("%q passes", query)
		}
	})
}
