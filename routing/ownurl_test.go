package routing

import (
	"bytes"
	"testing"
)

func ownTable(t testing.TB) *Table {
	t.Helper()
	table, err := NewTable(map[string]string{"default": "", "a": "/proxy/a", "slash": "/upload"}, "default")
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestAppendOwnURL(t *testing.T) {
	table := ownTable(t)
	f := func(base, group, host, url, want string) {
		t.Helper()
		b, err := ParseBase(base)
		if err != nil {
			t.Fatal(err)
		}
		own := Own{Origin: []byte("http://own:8080"), Host: []byte(host)}
		got, ok := AppendOwnURL([]byte("x"), table, &b, table.Lookup([]byte(group)), own, []byte(url))
		if string(got) != "x"+want || ok != (want != "") {
			t.Errorf("%s %s %s %s: %q %v, want %q", base, group, host, url, got[1:], ok, want)
		}
	}
	const api, gate = "https://generativelanguage.googleapis.com", "http://gate.example:8000/base"
	const up = "/upload/v1beta/files?upload_id=A-b_%2f&upload_protocol=resumable"
	// The API itself.
	f(api, "default", "own", api+up, "http://own:8080"+up)
	f(api, "default", "own", "HTTPS://GenerativeLanguage.googleapis.com:443"+up, "http://own:8080"+up)
	f(api, "default", "own", "https://storage.googleapis.com"+up, "http://own:8080"+up)
	f(api, "a", "own", api+"/proxy/a"+up, "http://own:8080"+up+"&group=a")
	f(api, "a", "a.own.example", api+"/proxy/a"+up, "http://own:8080"+up)
	f(api, "default", "a.own.example", api+up, "http://own:8080"+up+"&group=default")
	f(api, "a", "own", api+"/proxy/a/x", "http://own:8080/x?group=a")
	// A key never comes along, nor another group.
	f(api, "default", "own", api+"/x?key=K&y=1&%6bey=L&group=a", "http://own:8080/x?y=1")
	f(api, "a", "own", api+"/x?key=K", "http://own:8080/x?group=a")
	f(api, "default", "own", api+"/x?key=%0a", "")
	// A gateway, which may or may not take its own path away.
	f(gate, "a", "own", "http://gate.example:8000/base/proxy/a"+up, "http://own:8080"+up+"&group=a")
	f(gate, "a", "own", "http://gate.example:8000/base"+up, "http://own:8080"+up+"&group=a")
	f(gate, "a", "own", "http://gate.example:8000"+up, "http://own:8080"+up+"&group=a")
	f(gate, "a", "own", "https://gate.example"+up, "http://own:8080"+up+"&group=a")
	f(gate, "a", "own", api+up, "http://own:8080"+up+"&group=a")
	f(gate, "a", "own", "http://gate.example:8000/based/x", "http://own:8080/based/x?group=a")
	f(gate, "slash", "own", "http://gate.example:8000/base/upload/upload/x", "http://own:8080/upload/x?group=slash")
	// Paths stay paths.
	f(gate, "a", "own", "/base/proxy/a"+up, up+"&group=a")
	f(gate, "default", "own", "/base"+up, up)
	f(gate, "default", "own", api, "http://own:8080/")
	f(gate, "default", "own", api+"?x", "http://own:8080/?x")
	// Somebody else's.
	for _, url := range []string{
		"https://storage.example" + up, "http://gate.example:8001" + up, "https://evilgoogleapis.com" + up, "http://www.googleapis.com" + up,
		"https://www.googleapis.com:444" + up, "https://x@www.googleapis.com" + up, "https://gate.example@evil.example" + up,
		"//gate.example:8000" + up, "", "x", "ftp://gate.example:8000" + up, "https://.googleapis.com" + up,
	} {
		f(gate, "default", "own", url, "")
	}
	// What the proxy would refuse.
	f(gate, "default", "own", "http://gate.example:8000/base/a/../b", "")
	f(gate, "default", "own", "/base//evil.example/x", "")
	f(gate, "default", "own", "http://gate.example:8000/a b", "")
	f(gate, "default", "own", "http://gate.example:8000/a#b", "")
	f(gate, "default", "own", "http://gate.example:8000/a?b#c", "")
}

// FuzzAppendOwnURL: whatever the upstream says, the result leads to the proxy,
// is fit for a header, and is something that the proxy accepts.
func FuzzAppendOwnURL(f *testing.F) {
	for _, url := range []string{
		"https://generativelanguage.googleapis.com/upload/v1beta/files?upload_id=x", "http://gate.example:8000/base/proxy/a/x?key=k",
		"/base/x", "//x/y", "https://a.googleapis.com?x", "http://gate.example:8000/base/%2e%2e/x", "https://x\r\n.googleapis.com/",
	} {
		f.Add([]byte(url), true)
	}
	table := ownTable(f)
	base, _ := ParseBase("http://gate.example:8000/base")
	f.Fuzz(func(t *testing.T, url []byte, named bool) {
		g := table.Default()
		if named {
			g = table.Lookup([]byte("a"))
		}
		before := bytes.Clone(url)
		got, ok := AppendOwnURL(nil, table, &base, g, Own{Origin: []byte("http://own"), Host: []byte("own")}, url)
		if !bytes.Equal(url, before) {
			t.Fatal("the argument was changed")
		}
		if !ok {
			return
		}
		if bytes.HasPrefix(got, []byte("//")) {
			t.Fatalf("%q names a host", got)
		}
		rest, absolute := bytes.CutPrefix(got, []byte("http://own"))
		if !absolute && url[0] != '/' {
			t.Fatalf("%q leads elsewhere", got)
		}
		path, query, _ := bytes.Cut(rest, []byte("?"))
		if CheckPath(path) != nil || CheckQuery(query) != nil {
			t.Fatalf("the proxy refuses %q", got)
		}
		q, err := SplitQuery(table, query, nil)
		if err != nil || q.HasKey {
			t.Fatalf("a key in %q", got)
		}
		if found, _ := table.Choose(Hints{Query: q.Group, Host: []byte("own")}); found != g {
			t.Fatalf("%q leads to another group", got)
		}
	})
}
