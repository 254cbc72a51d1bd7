package routing

import "testing"

func TestLookupHost(t *testing.T) {
	table := testTable(t)
	f := func(host, want string) {
		t.Helper()
		got := ""
		if g := table.LookupHost([]byte(host)); g != nil {
			got = g.Name
		}
		if got != want {
			t.Errorf("LookupHost(%q) = %q, want %q", host, got, want)
		}
	}
	f("group-a.example.com", "group-a")
	f("group-a.example.com:8080", "group-a")
	f("group-a.example.com.", "group-a")
	f("group-a.example.com.:443", "group-a")
	f("group-a.localhost", "group-a")
	f("GROUP-A.Example.COM", "group-a")
	f("mixed.example", "Mixed")
	f("MIXED.example", "Mixed")
	f("under_1.example", "under_1")
	f("127.example", "127")
	// One label.
	f("", "")
	f(".", "")
	f("group-a", "")
	f("group-a.", "")
	f("group-a:8080", "")
	f("group-a.:8080", "")
	f("group-a..", "")
	// Addresses.
	f("127.0.0.1", "")
	f("127.0.0.1:8080", "")
	f("127.0.0.1.", "")
	f("127.1", "")
	f("[::1]", "")
	f("[::1]:8080", "")
	f("[::ffff:127.0.0.1]:80", "")
	f("::1", "")
	f("::ffff:127.0.0.1", "")
	// Not the first label, not known, not a host.
	f("www.group-a.example", "")
	f(".group-a.example", "")
	f("nobody.example", "")
	f("group-a:x.example", "")
	f("group-a.example:80:80", "")
}

func TestLookupHostPrefersTheExactName(t *testing.T) {
	table, err := NewTable(map[string]string{"AB": "/upper", "Ab": "/mixed", "ab": "/lower"}, "ab")
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"AB.example": "/upper", "Ab.example": "/mixed", "ab.example": "/lower", "aB.example": "/lower",
	} {
		if g := table.LookupHost([]byte(host)); g == nil || g.Path != want {
			t.Errorf("LookupHost(%q) = %+v, want %q", host, g, want)
		}
	}
}

func TestChoose(t *testing.T) {
	table := testTable(t)
	f := func(key, header, query, host, group, source string) {
		t.Helper()
		g, s := table.Choose(Hints{Key: []byte(key), Header: []byte(header), Query: []byte(query), Host: []byte(host)})
		if g.Name != group || s.String() != source {
			t.Errorf("Choose(%q, %q, %q, %q) = %q by %s, want %q by %s", key, header, query, host, g.Name, s, group, source)
		}
	}
	f("", "", "", "", "default", "default")
	f("KEY", "", "", "localhost:8080", "default", "default")
	// Each alone.
	f("group-a:KEY", "", "", "", "group-a", "key")
	f("", "group-a", "", "", "group-a", "header")
	f("", "", "group-a", "", "group-a", "query")
	f("", "", "", "group-a.example", "group-a", "host")
	// Each before the next.
	f("group-a:KEY", "group-b", "group-b", "group-b.example", "group-a", "key")
	f("KEY", "group-a", "group-b", "group-b.example", "group-a", "header")
	f("KEY", "", "group-a", "group-b.example", "group-a", "query")
	// An unknown name falls through to the next source.
	f("nobody:KEY", "group-a", "", "", "group-a", "header")
	f("nobody:KEY", "nobody", "group-a", "", "group-a", "query")
	f("nobody:KEY", "nobody", "nobody", "group-a.example", "group-a", "host")
	f("nobody:KEY", "nobody", "nobody", "nobody.example", "default", "default")
	// The default group can be named, too.
	f("default:KEY", "group-a", "", "", "default", "key")
}

func FuzzChoose(f *testing.F) {
	f.Add("group-a:KEY", "group-a", "group-b", "group-a.example.com:80")
	f.Add(":", "", "", "[::1]:80")
	table := testTable(f)
	f.Fuzz(func(t *testing.T, key, header, query, host string) {
		g, source := table.Choose(Hints{Key: []byte(key), Header: []byte(header), Query: []byte(query), Host: []byte(host)})
		if g == nil || table.Lookup([]byte(g.Name)) != g {
			t.Fatalf("group %+v is not one of the table", g)
		}
		if (source == FromDefault) && g != table.Default() {
			t.Fatalf("group %q by default", g.Name)
		}
		prefix, rest := table.SplitKey([]byte(key))
		if (prefix != nil) != (source == FromKey) {
			t.Fatalf("prefix %+v, source %s", prefix, source)
		}
		if prefix != nil && prefix.Name+":"+string(rest) != key {
			t.Fatalf("SplitKey(%q) = %q, %q", key, prefix.Name, rest)
		}
	})
}
