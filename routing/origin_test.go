package routing

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestOrigins(t *testing.T) {
	o := NewOrigins(10)
	a, b := Origin{Group: "g", Target: "a", Key: "env:K#1"}, Origin{Group: "g", Target: "b", Client: "anna"}
	o.Note([]byte("c2ln"), a)
	o.Note([]byte("other"), b)
	f := func(value string, want Origin, known bool) {
		t.Helper()
		if got, ok := o.Find([]byte(value)); ok != known || got != want {
			t.Errorf("%s: %+v, %t", value, got, ok)
		}
	}
	f("c2ln", a, true)
	f("other", b, true)
	f("nobody", Origin{}, false)
	f("", Origin{}, false)
	o.Note([]byte("c2ln"), b)
	f("c2ln", b, true)
	o.Note(nil, a)
	f("", Origin{}, false)
	(&Origins{}).Note([]byte("x"), a)
	if _, known := (&Origins{}).Find([]byte("x")); known {
		t.Error("the zero value remembers")
	}
}

// A client may have decoded the value, and written it in another way.
func TestOriginsOfBothAlphabets(t *testing.T) {
	o := NewOrigins(10)
	long := strings.Repeat("ab+/", 100)
	o.Note([]byte(long+"a+/="), Origin{Target: "a"})
	for _, same := range []string{long + "a+/", long + "a-_", strings.Repeat("ab-_", 100) + "a-_=="} {
		if plain := string(AppendPlain(nil, []byte(same))); plain != long+"a+/" {
			t.Errorf("%s is %s", tail(same), tail(plain))
		}
		if _, known := o.Find([]byte(same)); !known {
			t.Errorf("%s is not known", tail(same))
		}
	}
	for _, other := range []string{long + "a+", long + "a+/a", "ab+/" + long + "a+/", long[1:] + "a+/"} {
		if _, known := o.Find([]byte(other)); known {
			t.Errorf("%s is known", tail(other))
		}
	}
}

func tail(s string) string { return s[max(0, len(s)-20):] }

// The newest are kept, and what is asked for; memory is bounded.
func TestOriginsAreBounded(t *testing.T) {
	o := NewOrigins(100)
	value := func(i int) []byte { return fmt.Appendf(nil, "value %d", i) }
	for i := range 10_000 {
		o.Note(value(i), Origin{Target: fmt.Sprint(i % 300)})
		if _, known := o.Find(value(0)); !known {
			t.Fatalf("after %d: what is asked for is forgotten", i)
		}
		if got, known := o.Find(value(max(0, i-30))); !known || got.Target != fmt.Sprint(max(0, i-30)%300) {
			t.Fatalf("after %d: a new one is forgotten", i)
		}
	}
	if n := len(o.young) + len(o.old); n > 200 || len(o.shared) > 200 {
		t.Errorf("%d values and %d places are kept", n, len(o.shared))
	}
	if _, known := o.Find(value(5000)); known {
		t.Error("an old one is not forgotten")
	}
}

func TestOriginsAreSafeForConcurrentUse(t *testing.T) {
	o := NewOrigins(20)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 1000 {
				v := fmt.Appendf(nil, "%d", i%50)
				o.Note(v, Origin{Target: fmt.Sprint(g)})
				o.Find(v)
			}
		})
	}
	wg.Wait()
}
