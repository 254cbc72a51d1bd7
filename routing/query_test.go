package routing

import (
	"net/url"
	"strings"
	"testing"
)

func TestSplitQuery(t *testing.T) {
	table := testTable(t)
	f := func(raw, rest, key, group string) {
		t.Helper()
		q, err := SplitQuery(table, []byte(raw), nil)
		if err != nil {
			t.Errorf("SplitQuery(%q): %v", raw, err)
			return
		}
		if string(q.Rest) != rest || string(q.Key) != key || string(q.Group) != group {
			t.Errorf("SplitQuery(%q) = %q, key %q, group %q, want %q, %q, %q", raw, q.Rest, []byte(q.Key), q.Group, rest, key, group)
		}
	}
	// Neither parameter: as it came.
	f("", "", "", "")
	f("alt=sse", "alt=sse", "", "")
	f("a&&b", "a&&b", "", "")
	f("&=&%zz=+&a=b=c;key=d", "&=&%zz=+&a=b=c;key=d", "", "")
	f("Key=K&KEY=K&keys=K&xkey=K&key[]=K&GROUP=g", "Key=K&KEY=K&keys=K&xkey=K&key[]=K&GROUP=g", "", "")
	f("%2565key=K", "%2565key=K", "", "")
	// Taken out at every place.
	f("key=K", "", "K", "")
	f("key=K&alt=sse", "alt=sse", "K", "")
	f("alt=sse&key=K", "alt=sse", "K", "")
	f("a=1&key=K&b=2", "a=1&b=2", "K", "")
	f("a=1&&key=K&&b=%20+&", "a=1&&&b=%20+&", "K", "")
	f("key", "", "", "")
	f("key=", "", "", "")
	f("a&key&b", "a&b", "", "")
	f("group=group-a", "", "", "group-a")
	f("x=1&group=group-a&key=K&y=2", "x=1&y=2", "K", "group-a")
	// The name, decoded.
	f("%6bey=K", "", "K", "")
	f("%6B%65%79=K&gr%6Fup=group-a&a", "a", "K", "group-a")
	// The value, decoded; plus is plus.
	f("key=group-a%3AK%2b+=", "", "group-a:K++=", "")
	f("key=a%zz%4", "", "a%zz%4", "")
	f("group=group%2Da", "", "", "group-a")
	// The first key that is not empty; all go.
	f("key=&key=A&a&key=B", "a", "A", "")
	// The first known group, else the first.
	f("group=nobody&group=group-a&group=group-b", "", "", "group-a")
	f("group=nobody&group=other&a", "a", "", "nobody")
	f("group=&group=other", "", "", "")
}

func TestSplitQueryHas(t *testing.T) {
	for raw, want := range map[string][2]bool{
		"a=1": {false, false}, "key": {true, false}, "group=": {false, true}, "key=K&group=g": {true, true},
	} {
		q, err := SplitQuery(testTable(t), []byte(raw), nil)
		if err != nil || q.HasKey != want[0] || q.HasGroup != want[1] {
			t.Errorf("SplitQuery(%q): HasKey %t, HasGroup %t, %v", raw, q.HasKey, q.HasGroup, err)
		}
	}
}

func TestSplitQueryRefusesKey(t *testing.T) {
	const want = "the key parameter holds a character that is not allowed in a header"
	for _, raw := range []string{"key=a%0d%0ab", "key=%00", "key=%7f", "key=caf%c3%a9", "a&key=&key=%0a"} {
		q, err := SplitQuery(testTable(t), []byte(raw), nil)
		if err == nil || err.Error() != want {
			t.Errorf("SplitQuery(%q): %v, want %q", raw, err, want)
		}
		if q.Key != nil || q.Rest != nil {
			t.Errorf("SplitQuery(%q) gave a query besides the error", raw)
		}
	}
	if _, err := SplitQuery(testTable(t), []byte("key=a%20b~&key=%0a"), nil); err != nil {
		t.Errorf("a space in the key, and a later key that is dropped: %v", err)
	}
}

func TestSplitQueryScratch(t *testing.T) {
	raw := []byte("a=1&key=K%41&group=group-a&b=2")
	scratch := make([]byte, 0, len(raw))
	q, err := SplitQuery(testTable(t), raw, scratch)
	if err != nil {
		t.Fatal(err)
	}
	if &q.Rest[0] != &scratch[:1][0] {
		t.Error("Rest is not in the scratch")
	}
	// Appending to one part must not reach into the next.
	_ = append(q.Rest, "XXXXXX"...)
	_ = append(q.Key, "XXXXXX"...)
	if string(q.Rest) != "a=1&b=2" || string(q.Key) != "KA" || string(q.Group) != "group-a" {
		t.Errorf("after appends: %q, %q, %q", q.Rest, []byte(q.Key), q.Group)
	}
	if string(raw) != "a=1&key=K%41&group=group-a&b=2" {
		t.Errorf("raw was changed to %q", raw)
	}
}

func TestQueryHas(t *testing.T) {
	f := func(raw string, want bool) {
		t.Helper()
		if got := QueryHas([]byte(raw), "alt", "sse"); got != want {
			t.Errorf("QueryHas(%q) = %t", raw, got)
		}
	}
	f("alt=sse", true)
	f("a&alt=sse&b", true)
	f("alt=json&alt=sse", true)
	f("%61lt=%73se", true)
	f("", false)
	f("alt", false)
	f("alt=", false)
	f("alt=SSE", false)
	f("alt=sse1", false)
	f("alt=ss", false)
	f("xalt=sse", false)
	f("alt=sse=", false)
	f("x=alt=sse", false)
	if !QueryHas([]byte("a"), "a", "") {
		t.Error("a parameter without a value has the empty one")
	}
}

func FuzzSplitQuery(f *testing.F) {
	for _, s := range []string{"a&&b", "key=K&alt=sse", "%6bey=a%41&group=x&group=group-a", "key=%0a", "&key&=&"} {
		f.Add(s)
	}
	table := testTable(f)
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := SplitQuery(table, []byte(raw), make([]byte, 0, len(raw)))
		if err != nil {
			return
		}
		// The same by plain means.
		var kept []string
		key := ""
		for part := range strings.SplitSeq(raw, "&") {
			name, value, _ := strings.Cut(part, "=")
			if plain, err := url.PathUnescape(name); err == nil {
				name = plain
			}
			if name == "key" && key == "" {
				if plain, err := url.PathUnescape(value); err == nil {
					value = plain
				} else {
					value = string(q.Key) // a broken escape: no second opinion
				}
				key = value
			}
			if name != "key" && name != "group" {
				kept = append(kept, part)
			}
		}
		if got, want := string(q.Rest), strings.Join(kept, "&"); got != want {
			t.Fatalf("SplitQuery(%q): rest %q, want %q", raw, got, want)
		}
		if string(q.Key) != key {
			t.Fatalf("SplitQuery(%q): key %q, want %q", raw, []byte(q.Key), key)
		}
		again, err := SplitQuery(table, q.Rest, nil)
		if err != nil || again.HasKey || again.HasGroup {
			t.Fatalf("SplitQuery(%q): rest %q still has a parameter of ours", raw, q.Rest)
		}
	})
}

func TestQueryValueIsTheFirstAsItStands(t *testing.T) {
	f := func(raw, name, want string, ok bool) {
		t.Helper()
		if got, has := QueryValue([]byte(raw), name); string(got) != want || has != ok {
			t.Errorf("%q of %q: %q %t, want %q %t", name, raw, got, has, want, ok)
		}
	}
	f("", "alt", "", false)
	f("a=1&alt=json&alt=sse", "alt", "json", true)
	f("%61lt=%6a", "alt", "%6a", true)
	f("%24alt=json;x=1", "$alt", "json;x=1", true)
	f("alt", "alt", "", true)
	f("alto=1&ALT=2", "alt", "", false)
}
