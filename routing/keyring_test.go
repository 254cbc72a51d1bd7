package routing

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func testKeyring(n, perMinute int) *Keyring {
	specs := make([]KeySpec, n)
	for i := range specs {
		specs[i] = KeySpec{Name: fmt.Sprintf("env:KEYS#%d", i+1), Secret: Secret(fmt.Sprintf("AIzaSecretOfKey-%08d", i))}
	}
	return NewKeyring(specs, perMinute)
}

var pro, flash = []byte("gemini-pro"), []byte("gemini-flash")

// take acquires and releases a key.
func (k *Keyring) take(now time.Time, model []byte, avoid int) int {
	i, _ := k.Acquire(now, model, avoid)
	if i != NoKey {
		k.Release(i)
	}
	return i
}

func TestKeysTakeTurns(t *testing.T) {
	k := testKeyring(5, 0)
	var got [5]int
	for range 100 {
		got[k.take(noon, pro, NoKey)]++
	}
	if got != [5]int{20, 20, 20, 20, 20} {
		t.Errorf("%v", got)
	}
	// The one that begins later gets what it has room for.
	k.Park(3, pro, noon.Add(time.Second), noon)
	for range 80 {
		if k.take(noon, pro, NoKey) == 3 {
			t.Fatal("a parked key was taken")
		}
	}
	for range 20 {
		if i := k.take(noon.Add(time.Second), pro, NoKey); i != 3 {
			t.Fatalf("key %d, want the one with the most room", i)
		}
	}
}

// With many keys not all are looked at, but all get their share.
func TestManyKeysTakeTurns(t *testing.T) {
	k := testKeyring(1000, 0)
	var got [1000]int
	for range 5000 {
		got[k.take(noon, pro, NoKey)]++
	}
	for i, n := range got {
		if n != 5 {
			t.Fatalf("key %d was taken %d times, want 5", i, n)
		}
	}
	for i := range 1000 {
		if i != 777 {
			k.Park(i, pro, noon.Add(time.Hour), noon)
		}
	}
	for range 10 {
		if i := k.take(noon, pro, 777); i != 777 {
			t.Fatalf("key %d, want the only one admitted", i)
		}
	}
}

func TestKeyIsParkedForItsModelAlone(t *testing.T) {
	k := testKeyring(2, 0)
	k.Park(0, pro, noon.Add(time.Minute), noon)
	k.Park(1, pro, noon.Add(30*time.Second), noon)
	k.Park(1, pro, noon.Add(10*time.Second), noon) // an older answer
	f := func(at time.Duration, model []byte, want int, wait time.Duration) {
		t.Helper()
		i, w := k.Acquire(noon.Add(at), model, NoKey)
		if i != want || w != wait {
			t.Errorf("at %v: key %d, wait %v, want %d, %v", at, i, w, want, wait)
		}
		if got := k.Wait(noon.Add(at), model); i == NoKey && got != wait || i != NoKey && got != 0 {
			t.Errorf("at %v: Wait = %v", at, got)
		}
		if i != NoKey {
			k.Release(i)
		}
	}
	f(0, pro, NoKey, 30*time.Second)
	f(29*time.Second, pro, NoKey, time.Second)
	f(30*time.Second, pro, 1, 0)
	f(0, flash, 0, 0)
	f(0, flash, 1, 0)
}

func TestAnotherKeyIsPreferred(t *testing.T) {
	k := testKeyring(3, 0)
	for range 30 {
		if k.take(noon, pro, 1) == 1 {
			t.Fatal("the key that failed was taken again")
		}
	}
	k.Park(0, pro, noon.Add(time.Minute), noon)
	k.Park(2, pro, noon.Add(time.Minute), noon)
	if i := k.take(noon, pro, 1); i != 1 {
		t.Errorf("key %d, want the only one there is", i)
	}
}

func TestKeyLimitPerMinute(t *testing.T) {
	k := testKeyring(2, 3)
	for n := range 6 {
		if k.take(noon.Add(time.Duration(n)*time.Second), pro, NoKey) == NoKey {
			t.Fatalf("request %d found no key", n)
		}
	}
	i, wait := k.Acquire(noon.Add(6*time.Second), pro, NoKey)
	// A second counts until it is a whole minute ago.
	if i != NoKey || wait != 55*time.Second {
		t.Errorf("key %d, wait %v", i, wait)
	}
	if k.take(noon.Add(61*time.Second), pro, NoKey) == NoKey {
		t.Error("no key after a minute")
	}
}

func TestKeyEjection(t *testing.T) {
	k := testKeyring(2, 0)
	now := noon
	for n, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		if first := k.Eject(0, "status 403", now); first != (n == 0) {
			t.Errorf("ejection %d: first = %t", n, first)
		}
		if k.Eject(0, "status 403", now) {
			t.Error("a request that was under way counts again")
		}
		until := k.States(now)[0].Until
		if got := until.Sub(now); got != want*time.Minute {
			t.Errorf("ejection %d is for %v, want %v", n, got, want*time.Minute)
		}
		if k.take(until.Add(-1), flash, 1) != 1 || k.take(until, flash, 1) != 0 {
			t.Errorf("ejection %d does not end when it should", n)
		}
		now = until
	}
	k.Accepted(0)
	if !k.Eject(0, "status 401", now) {
		t.Error("an accepted key is not forgiven")
	}
	if s := k.States(now)[0]; s.Reason != "status 401" || s.Until.Sub(now) != time.Minute {
		t.Errorf("%+v", s)
	}
}

func TestKeyStatesTellNoKey(t *testing.T) {
	k := NewKeyring([]KeySpec{{"env:A#1", Secret("AIzaSyCANARY-long-enough-1234")}, {"env:A#2", Secret("short")}}, 0)
	k.Park(0, pro, noon.Add(time.Minute), noon)
	text := fmt.Sprintf("%+v", k.States(noon))
	if strings.Contains(text, "CANARY") || strings.Contains(text, "short") || !strings.Contains(text, "Tail:1234") {
		t.Error(text)
	}
}

func TestParkedModelsAreBounded(t *testing.T) {
	k := testKeyring(1, 0)
	for i := range 3 * maxParkedModels {
		k.Park(0, fmt.Appendf(nil, "model-%d", i), noon.Add(time.Minute), noon)
	}
	if n := len(k.parks); n > maxParkedModels+1 {
		t.Errorf("%d models", n)
	}
	// With more than that, it is parked for all.
	if k.take(noon, []byte("another"), NoKey) != NoKey {
		t.Error("not parked")
	}
	later := noon.Add(time.Minute)
	k.Park(0, pro, later.Add(time.Minute), later)
	if len(k.parks) != 1 || k.take(later, flash, NoKey) != 0 {
		t.Errorf("%d models are still known", len(k.parks))
	}
}

func TestKeyringAdopt(t *testing.T) {
	old := testKeyring(3, 2)
	old.take(noon, pro, NoKey) // 0
	old.Park(1, pro, noon.Add(time.Hour), noon)
	old.Eject(2, "status 403", noon)
	k := NewKeyring([]KeySpec{{"file:k#1", old.Secret(2)}, {"file:k#2", old.Secret(1)}, {"file:k#3", old.Secret(0)}, {"file:k#4", Secret("fresh")}}, 2)
	k.Adopt(old)
	s := k.States(noon)
	if s[0].Reason != "status 403" || s[1].Parked["gemini-pro"].IsZero() || s[2].Recent != 1 || s[3].Recent != 0 {
		t.Errorf("%+v", s)
	}
	if old.States(noon)[0].Recent != 1 || k.take(noon, pro, NoKey) != 3 {
		t.Error("the states are not apart")
	}
}

func TestKeyringIsSafeForConcurrentUse(t *testing.T) {
	k := testKeyring(10, 0)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				n, _ := k.Acquire(noon, pro, g)
				switch i % 50 {
				case 0:
					k.Park(n, flash, noon.Add(time.Second), noon)
				case 1:
					k.Accepted(n)
				}
				k.Release(n)
			}
		})
	}
	wg.Wait()
	total := 0
	for _, s := range k.States(noon) {
		total += s.Recent
		if s.Running != 0 {
			t.Errorf("%+v", s)
		}
	}
	if total != 4000 {
		t.Errorf("%d requests counted, want 4000", total)
	}
}

func BenchmarkKeyring(b *testing.B) {
	for _, n := range []int{1, 20, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			k := testKeyring(n, 0)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					k.take(noon, pro, NoKey)
				}
			})
		})
	}
}

func TestKeyParked(t *testing.T) {
	k := testKeyring(3, 2)
	f := func(index int, model []byte, want time.Duration) {
		t.Helper()
		if got := k.Parked(noon, model, index); got != want {
			t.Errorf("key %d for %s: %v, want %v", index, model, got, want)
		}
	}
	k.Park(1, pro, noon.Add(time.Second), noon)
	k.Eject(2, "status 401", noon)
	f(0, pro, 0)
	f(1, pro, time.Second)
	f(1, flash, 0)
	f(2, pro, 0)
	for range 2 {
		k.AcquireSame(noon, flash, 0)
	}
	if k.Parked(noon, flash, 0) == 0 {
		t.Error("a key that began what it may is admitted")
	}
}
