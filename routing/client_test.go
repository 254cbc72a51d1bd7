package routing

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

func testClient(name string, change func(*ClientSpec)) ClientSpec {
	s := ClientSpec{Name: name, Hash: sha256.Sum256([]byte("token-of-" + name))}
	if change != nil {
		change(&s)
	}
	return s
}

func TestFindClient(t *testing.T) {
	c := NewClients([]ClientSpec{testClient("a", nil), testClient("b", nil), testClient("c", nil)})
	f := func(token, want string) {
		t.Helper()
		got := ""
		if found := c.Find([]byte(token)); found != nil {
			got = found.Name
		}
		if got != want {
			t.Errorf("%q is %q, want %q", token, got, want)
		}
	}
	f("token-of-a", "a")
	f("token-of-b", "b")
	f("token-of-c", "c")
	f("token-of-d", "")
	f("token-of-", "")
	f("token-of-a ", "")
	f("Token-of-a", "")
	f("", "")
	c = NewClients([]ClientSpec{{Name: "nobody", Hash: sha256.Sum256(nil)}})
	f("", "")
	c = NewClients([]ClientSpec{testClient("a", nil)})
	hash := sha256.Sum256([]byte("token-of-a"))
	f(string(hash[:]), "")
	f(HashToken([]byte("token-of-a")), "")
	var none *Clients
	if none.Find([]byte("x")) != nil || none.Len() != 0 {
		t.Error("no clients, but one is found")
	}
}

func TestParseTokenHash(t *testing.T) {
	good := HashToken([]byte("a"))
	if good != "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" {
		t.Error(good)
	}
	hash, err := ParseTokenHash(good)
	if err != nil || hash != sha256.Sum256([]byte("a")) {
		t.Error(hash, err)
	}
	if _, err := ParseTokenHash("sha256:CA978112CA1BBDCAFAC231B39A23DC4DA786EFF8147C4E72B9807785AFEE48BB"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "a", "sha256:", good[7:], good[:70], good + "0", "sha1:" + good[7:], good[:70] + "g", "SHA256:" + good[7:], HashToken(nil)} {
		if _, err := ParseTokenHash(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestClientMayUse(t *testing.T) {
	c := NewClients([]ClientSpec{
		testClient("all", nil),
		testClient("some", func(s *ClientSpec) {
			s.Groups, s.Models = []string{"a", "b"}, []string{"gemini-2.5-flash", "gemini-3*"}
		}),
	})
	all, some := c.list[0], c.list[1]
	if !all.MayUse("x") || !some.MayUse("a") || some.MayUse("c") || some.MayUse("") {
		t.Error("groups")
	}
	f := func(model string, want bool) {
		t.Helper()
		if !all.MayAsk([]byte(model)) {
			t.Errorf("one without a list may not ask %q", model)
		}
		if got := some.MayAsk([]byte(model)); got != want {
			t.Errorf("%q: %t, want %t", model, got, want)
		}
	}
	f("gemini-2.5-flash", true)
	f("gemini-2.5-flash-lite", false)
	f("gemini-3", true)
	f("gemini-3.1-pro", true)
	f("gemini-2.5", false)
	f("*", false)
	f("", false)
}

// In no sixty seconds more than allowed, and all that is allowed.
func TestClientRequestsPerMinute(t *testing.T) {
	c := NewClients([]ClientSpec{testClient("a", func(s *ClientSpec) { s.PerMinute = 30 })}).list[0]
	var begun []time.Duration
	for at := time.Duration(0); at < 10*time.Minute; at += 137 * time.Millisecond {
		wait := c.Start(noon.Add(at))
		if wait == 0 {
			begun = append(begun, at)
			continue
		}
		ahead := c.started.window
		ahead.slots = slices.Clone(ahead.slots)
		if again := ahead.untilBelow(noon.Add(at+wait), 30); again != 0 {
			t.Fatalf("told to wait %v, and then %v more", wait, again)
		}
	}
	for i := range begun {
		if i >= 30 && begun[i]-begun[i-30] < time.Minute {
			t.Fatalf("31 requests between %v and %v", begun[i-30], begun[i])
		}
	}
	if len(begun) < 290 {
		t.Errorf("%d requests in ten minutes, want nearly 300", len(begun))
	}
}

func TestClientRequestsPerMinuteAreSafeForConcurrentUse(t *testing.T) {
	c := NewClients([]ClientSpec{testClient("a", func(s *ClientSpec) { s.PerMinute = 100 })}).list[0]
	var wg sync.WaitGroup
	var mu sync.Mutex
	begun := 0
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if c.Start(noon) == 0 {
					mu.Lock()
					begun++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if begun != 100 {
		t.Errorf("%d requests, want 100", begun)
	}
}

func TestClientsAdopt(t *testing.T) {
	spec := testClient("a", func(s *ClientSpec) { s.PerMinute = 1 })
	old := NewClients([]ClientSpec{spec})
	old.list[0].Start(noon)
	fresh := NewClients([]ClientSpec{testClient("b", nil), spec})
	fresh.Adopt(nil)
	fresh.Adopt(old)
	if fresh.list[1].Start(noon) == 0 {
		t.Error("a reload made room")
	}
}

func BenchmarkFindClient(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			specs := make([]ClientSpec, n)
			for i := range specs {
				specs[i] = testClient(fmt.Sprint(i), nil)
			}
			c := NewClients(specs)
			token := []byte("token-of-0")
			b.ReportAllocs()
			for b.Loop() {
				c.Find(token)
			}
		})
	}
}
