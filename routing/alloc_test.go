//go:build !race

package routing

import (
	"testing"
	"time"
)

func TestNoAllocations(t *testing.T) {
	table := testTable(t)
	base, err := ParseBase("https://example.com/base")
	if err != nil {
		t.Fatal(err)
	}
	policy := testPolicy()
	var (
		key     = []byte("nobody:KEY")
		name    = []byte("nobody")
		host    = []byte("MIXED.example.com:8080")
		path    = []byte("/v1beta/models/a%2Fb%252F:streamGenerateContent")
		plain   = []byte("alt=sse&a=b")
		query   = []byte("alt=sse&%6bey=K%41&group=nobody&group=group-a")
		refused = []byte("/a/%2e%2e")
		scratch = make([]byte, 0, 256)
		target  = make([]byte, 0, 256)
		ledger  Ledger
	)
	f := func(what string, run func()) {
		t.Helper()
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	f("Choose", func() { table.Choose(Hints{Key: key, Header: name, Query: name, Host: host}) })
	f("SplitKey", func() { table.SplitKey(key) })
	f("CheckPath", func() { _ = CheckPath(path) })
	f("CheckPath, refused", func() { _ = CheckPath(refused) })
	f("CheckQuery", func() { _ = CheckQuery(query) })
	f("SplitQuery, nothing to do", func() { _, _ = SplitQuery(table, plain, nil) })
	f("SplitQuery", func() { _, _ = SplitQuery(table, query, scratch) })
	f("QueryHas", func() { QueryHas(query, "alt", "json") })
	f("AppendTarget", func() { AppendTarget(target, &base, table.Default(), path, plain) })
	f("Decide", func() {
		ledger = Ledger{}
		policy.Decide(&ledger, Status, false, time.Second, true, time.Hour)
	})
}
