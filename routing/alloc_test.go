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
	balancer := NewBalancer(make([]TargetSpec, 4), testEjection, func() float64 { return 0.5 })
	keys := testKeyring(20, 100)
	keys.Park(3, pro, noon.Add(time.Hour), noon)
	budget := NewBudget(0.2, 10)
	gate, ticket := NewGate(Limits{Streams: 10}), &Ticket{}
	clients := NewClients([]ClientSpec{testClient("a", nil), testClient("b", nil)})
	renames := Renames{"a%2Fb%252F": "gemini-2.5-flash"}
	f("Balancer", func() {
		c := balancer.Acquire(noon, 1)
		balancer.Answered(&c, noon)
		balancer.Release(c, Alive, noon)
	})
	f("Keyring", func() { keys.take(noon, pro, 2) })
	f("Budget", func() { budget.Begin(); budget.Withdraw(noon); budget.End(noon) })
	f("Gate", func() {
		gate.Enter(ticket, Entrant{Client: 7, ClientLimit: 3, Group: "default", GroupLimit: 3}, noon)
		gate.Leave(ticket, noon)
	})
	shared := gate.SharedGroup("default", 3)
	shared.Use(noon)
	shared.Grant(Grant{Left: 2}, noon)
	f("Gate, shared", func() {
		gate.Enter(ticket, Entrant{Client: 7, ClientLimit: 3, Group: "default", GroupLimit: 3}, noon)
		gate.Leave(ticket, noon)
	})
	origins, came := NewOrigins(10), Origin{Group: "g", Target: "t"}
	origins.Note(path, came)
	f("Origins", func() { origins.Note(path, came); origins.Find(path); origins.Find(host) })
	f("Find", func() { clients.Find(name) })
	f("AppendPath", func() { renames.AppendPath(target, path, PlainPath(path)) })
	f("Decide", func() {
		ledger = Ledger{}
		policy.Decide(&ledger, Status, false, time.Second, true, time.Hour)
	})
}
