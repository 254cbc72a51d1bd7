package proxy_test

import (
	"fmt"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// TestSeriesOfGroupsThatGo: a group that is gone keeps its series for one more
// configuration, and no longer; one that comes again has them again.
func TestSeriesOfGroupsThatGo(t *testing.T) {
	r := newReloaded(t)
	r.play(whole)
	load := func(names ...string) {
		t.Helper()
		r.mu.Lock()
		targets := r.next.Groups[0].Targets
		r.next.Groups, r.next.DefaultGroup = nil, names[0]
		for _, name := range names {
			r.next.Groups = append(r.next.Groups, proxy.GroupConfig{Name: name, Targets: targets})
		}
		r.mu.Unlock()
		if err := r.server.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	ask := func() {
		t.Helper()
		if a := r.ask(streamPath, r.body); a.err != nil || a.status != 200 {
			t.Fatalf("%+v", a)
		}
		r.idle()
	}
	of := func(group string) (n int) {
		_, text := r.admin("GET", "/metrics")
		return strings.Count(text, fmt.Sprintf("{group=%q}", group)) + strings.Count(text, fmt.Sprintf("{group=%q,", group)) +
			strings.Count(text, fmt.Sprintf(",group=%q", group))
	}
	load("base", "one")
	all := of("one")
	load("one", "base")
	ask()
	if of("one") <= all {
		t.Error("the request made no series")
	}
	load("base")
	if of("one") <= all {
		t.Error("what the group counted last is not to be collected any more")
	}
	load("base")
	if n := of("one"); n != 0 {
		t.Errorf("%d series of a group that is gone", n)
	}
	load("base", "one")
	if n := of("one"); n != all {
		t.Errorf("%d series of a group that came again, want %d", n, all)
	}
	for i := range 10 {
		load("base", fmt.Sprint("n", i))
	}
	if n := of("n1"); n != 0 || of("base") == 0 || of("n9") != all {
		t.Errorf("%d, %d and %d series", n, of("base"), of("n9"))
	}

	// A request that is over only when its group is forgotten makes series again,
	// which are forgotten, too.
	load("late", "base")
	release := make(chan struct{})
	r.ups[1].SetHandler(upstream.Always(append(upstream.Script{upstream.Hold(release)}, whole...)))
	got := make(chan answer)
	go func() { got <- r.ask(streamPath, r.body) }()
	if !r.ups[1].Await(patience, func() bool { return r.ups[1].Live() == 1 }) {
		t.Fatal("the request does not reach its upstream")
	}
	load("base")
	load("base")
	if n := of("late"); n != 0 {
		t.Errorf("%d series of a group that is gone", n)
	}
	close(release)
	if a := <-got; a.err != nil || a.status != 200 {
		t.Fatalf("%+v", a)
	}
	r.idle()
	if of("late") == 0 {
		t.Error("the request is not counted")
	}
	load("base")
	load("base")
	if n := of("late"); n != 0 {
		t.Errorf("%d series of a group that is gone, whose last request is over", n)
	}
}
