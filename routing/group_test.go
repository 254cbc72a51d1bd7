package routing

import (
	"slices"
	"strings"
	"testing"
)

// testTable has a group for every shape of name.
func testTable(t testing.TB) *Table {
	t.Helper()
	table, err := NewTable(map[string]string{
		"default": "",
		"group-a": "/a",
		"group-b": "/b/nested/",
		"Mixed":   "/mixed",
		"127":     "/number",
		"under_1": "/under",
	}, "default")
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestNewTable(t *testing.T) {
	table := testTable(t)
	if g := table.Default(); g.Name != "default" || g.Path != "" {
		t.Errorf("default group = %+v", g)
	}
	if g := table.Lookup([]byte("group-b")); g == nil || g.Path != "/b/nested" {
		t.Errorf("group-b = %+v, want the path without the slash at its end", g)
	}
	for _, name := range []string{"", "Group-A", "group-a:", "mixed", "nobody"} {
		if g := table.Lookup([]byte(name)); g != nil {
			t.Errorf("Lookup(%q) = %+v, want nil", name, g)
		}
	}
	want := []string{"127", "Mixed", "default", "group-a", "group-b", "under_1"}
	if got := table.Names(); !slices.Equal(got, want) {
		t.Errorf("Names() = %q, want %q", got, want)
	}
	table.Names()[0] = "changed"
	if got := table.Names(); !slices.Equal(got, want) {
		t.Errorf("Names() after a change of the result = %q, want %q", got, want)
	}
}

func TestNewTableErrors(t *testing.T) {
	const (
		name  = "a name is 1 to 64 letters, digits, dots, hyphens and underscores, and begins with a letter or a digit"
		bytes = `the path must not hold spaces, control characters, "?", "#" or "\"`
		dots  = `the path must not hold "." or ".." as a segment, percent-encoded or not`
	)
	long := strings.Repeat("n", 65)
	f := func(groups map[string]string, def string, want ...string) {
		t.Helper()
		table, err := NewTable(groups, def)
		if err == nil {
			t.Fatalf("NewTable(%q, %q): no error", groups, def)
		}
		if table != nil {
			t.Errorf("NewTable(%q, %q): a table besides the error", groups, def)
		}
		if got := strings.Split(err.Error(), "\n"); !slices.Equal(got, want) {
			t.Errorf("NewTable(%q, %q):\n got %q\nwant %q", groups, def, got, want)
		}
	}
	f(nil, "", `group "": the default group is not one of the known groups`)
	f(map[string]string{"a": ""}, "b", `group "b": the default group is not one of the known groups`)
	f(map[string]string{"": ""}, "", `group "": `+name)
	f(map[string]string{"a:b": ""}, "a:b", `group "a:b": `+name)
	f(map[string]string{".a": ""}, ".a", `group ".a": `+name)
	f(map[string]string{"a b\n": ""}, "a b\n", `group "a b\n": `+name)
	f(map[string]string{"\u00e9": ""}, "\u00e9", `group "\u00e9": `+name)
	f(map[string]string{long: ""}, long, `group "`+long[:40]+`"...: `+name)
	f(map[string]string{"a": "x"}, "a", `group "a": the path must begin with "/"`)
	f(map[string]string{"a": "/x?y"}, "a", `group "a": `+bytes)
	f(map[string]string{"a": "/x#y"}, "a", `group "a": `+bytes)
	f(map[string]string{"a": "/x y"}, "a", `group "a": `+bytes)
	f(map[string]string{"a": "/x\ty"}, "a", `group "a": `+bytes)
	f(map[string]string{"a": `/x\y`}, "a", `group "a": `+bytes)
	f(map[string]string{"a": "/\u00e9"}, "a", `group "a": the path must not hold characters outside ASCII`)
	f(map[string]string{"a": "/x/../y"}, "a", `group "a": `+dots)
	f(map[string]string{"a": "/x/%2e"}, "a", `group "a": `+dots)
	// All of them at once, in the order of the names.
	f(map[string]string{"b:": "x", "a": "/.", "c": ""}, "d",
		`group "a": `+dots,
		`group "b:": `+name,
		`group "b:": the path must begin with "/"`,
		`group "d": the default group is not one of the known groups`)
}

func TestGroupNameOfGreatestLength(t *testing.T) {
	name := strings.Repeat("n", 64)
	table, err := NewTable(map[string]string{name: "/long"}, name)
	if err != nil {
		t.Fatal(err)
	}
	if g := table.LookupHost([]byte(strings.ToUpper(name) + ".example")); g == nil {
		t.Error("a label of 64 bytes was not found")
	}
	if g := table.LookupHost([]byte(name + "n.example")); g != nil {
		t.Errorf("a label of 65 bytes gave %+v", g)
	}
}
