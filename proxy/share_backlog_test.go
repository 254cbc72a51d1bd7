package proxy

import (
	"fmt"
	"testing"

	"gemini-resilient-proxy/routing"
)

// TestBacklog: what is told is what came, in order, less what nobody took in time.
func TestBacklog(t *testing.T) {
	var b backlog
	came, known, lost := 0, 0, 0
	add := func(n int) {
		for range n {
			if !b.add(note{name: fmt.Sprint(came)}) {
				lost++
				known++
			}
			came++
		}
	}
	tell := func(n int) {
		t.Helper()
		if b.untold != came-known {
			t.Fatalf("%d are to be told, want %d", b.untold, came-known)
		}
		for i := range n {
			if got := b.next(i).name; got != fmt.Sprint(known+i) {
				t.Fatalf("%s is told in the place of %d", got, known+i)
			}
		}
		b.told(n)
		known += n
	}
	tell(0)
	for _, step := range [][2]int{{1, 1}, {300, 256}, {0, 44}, {maxUntold - 1, 5}, {7, 256}, {3*maxUntold + 11, 0}, {1, maxUntold}, {maxUntold, maxUntold}, {2, 1}, {0, 1}} {
		add(step[0])
		tell(step[1])
	}
	if lost == 0 {
		t.Error("none were lost")
	}
}

// BenchmarkUntold is what a request learns while the server is away for long.
func BenchmarkUntold(b *testing.B) {
	r := newReplicas(b, 1)
	one := r.all[0]
	from := routing.Origin{Group: "g", Target: "http://CANARY.a"}
	value := []byte("signature")
	for i := range 2 * maxUntold {
		one.learned(fmt.Append(value, i), from, one.state)
		one.origins.gather()
	}
	b.ResetTimer()
	for b.Loop() {
		one.learned(value, from, one.state)
		one.origins.gather()
	}
}
