package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/routing"
)

// What one replica leaves out, the others leave out too, also one that comes
// later, and after the server has forgotten everything.
func TestMarksAreHeard(t *testing.T) {
	r := newReplicas(t, 3)
	one, two, three := r.all[0], r.all[1], r.all[2]
	r.meet(one)
	r.meet(two)
	two.skew = -time.Hour
	model := []byte("gemini:x")
	one.g.keys.Park(0, model, r.now.Add(time.Minute), r.now)
	one.g.keys.Eject(1, "status 403", r.now)
	choice := one.g.balancer.Acquire(r.now, 1)
	one.g.balancer.Release(choice, routing.Failed, r.now)
	one.tell()
	r.meet(one)
	heard := func(one *replica) {
		t.Helper()
		now := r.now.Add(one.skew)
		states := one.g.keys.States(now)
		if until := states[0].Parked["gemini:x"]; until.Sub(now).Round(time.Second) != time.Minute {
			t.Errorf("the key is parked until %v", until)
		}
		if states[1].Reason != "status 403" {
			t.Error("the key is not ejected")
		}
		if one.g.balancer.Others(now, 1) {
			t.Error("the target is not ejected")
		}
	}
	r.meet(two)
	heard(two)
	if dump := r.server.Dump(); strings.Contains(dump, "CANARY") || !strings.Contains(dump, "gemini:x") {
		t.Error("what the server holds:", dump)
	}
	for _, key := range r.server.Keys() {
		if !strings.HasPrefix(key, "{gemini_proxy}:") {
			t.Errorf("%s may be on another node of a cluster", key)
		}
	}
	if got := testValue(t, two.metrics.heard); got != 3 {
		t.Errorf("%v marks were news", got)
	}
	r.server.FlushAll()
	r.meet(two) // notices
	r.meet(two) // tells again
	r.meet(three)
	heard(three)
	// A configuration that is loaded again hears of what it did not know.
	three.load(t, 1)
	three.state.groups["g"].keys = routing.NewKeyring([]routing.KeySpec{{Name: "two", Secret: routing.Secret("CANARY-two")}}, 0)
	r.meet(three)
	if three.g.keys.States(r.now)[0].Reason != "status 403" {
		t.Error("a key that was added is not ejected")
	}
	for range 5 {
		r.advance(time.Minute)
		r.meetAll()
	}
	if n := len(one.known) + len(two.known) + len(three.known); n != 0 {
		t.Errorf("%d marks that are over are kept", n)
	}
}

// Whatever the server answers, the replica goes on.
func TestSharerSurvivesNonsense(t *testing.T) {
	r := newReplicas(t, 1)
	s := r.all[0]
	r.meet(s)
	for _, field := range []string{"", ":", "park", "park:x:y", "target:" + shareName("key", "g", "CANARY-one") + ":", "eject:" + shareName("target", "g", "http://CANARY.b") + ":x"} {
		s.shared.heed(field, r.now.Add(time.Hour), r.now)
	}
	nonsense := func(key, value string) {
		t.Helper()
		r.server.FlushAll()
		r.meet(s)
		r.server.Del(key)
		r.server.Set(key, value)
		s.pace.next = time.Time{}
		if err := r.exchange(s); err == nil {
			t.Errorf("%s: no error", key)
		}
	}
	nonsense(sharePrefix+"order", "not a sorted set")
	nonsense(sharePrefix+"limit:"+shareName("client rate", "CANARY-client"), "nor this")
	nonsense(sharePrefix+"count", "nor this")
	r.server.FlushAll()
	// A lease of another version is none.
	r.server.HSet(sharePrefix+"limit:"+shareName("client rate", "CANARY-client"), "r1", "100")
	r.meet(s)
	if !s.start(r.now) {
		t.Error("it does not go on")
	}
	var none *sharer
	none.soon()
	none.tell()
	none.ended()
	none.run(nil)
}

// Many limits are told of less often, and the leases last for that.
func TestPace(t *testing.T) {
	f := func(limits, replicas, busy int, tick, round time.Duration) {
		t.Helper()
		p := pace{limits: limits, replicas: replicas, busy: busy}
		if p.tick() != tick || p.round() != round || p.lease() < 4*round || p.timeout() < shareTimeout {
			t.Errorf("%d limits of %d replicas: %v, %v, %v", limits, replicas, p.tick(), p.round(), p.lease())
		}
		now := time.Unix(1, 0)
		if !p.full(now) || p.full(now.Add(shareSoon)) || !p.full(now.Add(round)) {
			t.Errorf("%d limits: the full rounds come at the wrong time", limits)
		}
	}
	f(0, 0, 0, shareTick, shareTick)
	f(20, 10, 5, shareTick, shareTick)
	f(5000, 10, 10, shareTick, 5*time.Second)
	f(5000, 10, 1000, time.Second, 5*time.Second)
}

// REDIS_URL is taken as go-redis takes it, and never shown.
func TestRedisURL(t *testing.T) {
	for _, good := range []string{"off", "redis://127.0.0.1:6379", "rediss://u:CANARY@h:1/2", "unix:///run/valkey.sock"} {
		c := DefaultConfig()
		if err := redisCodec.parse(&c, good); err != nil || redisCodec.format(&c) != good {
			t.Errorf("%q: %v", good, err)
		}
		if strings.Contains(fmt.Sprintf("%v %+v", c, c), "CANARY") {
			t.Error("the password is shown")
		}
	}
	for _, bad := range []string{"127.0.0.1:6379", "CANARY", "http://u:CANARY@h", "redis://u:CANARY@h:x", "redis://h/CANARY", "redis://u:CANARY%@h", "redis://u:CANARY@h:0", "redis://u:CANARY@h:65536", "rediss://u:CANARY@[::1]:99999/1"} {
		_, err := LoadConfig("", func(name string) (string, bool) { return bad, name == "REDIS_URL" })
		if err == nil || strings.Contains(err.Error(), "CANARY") || !strings.Contains(err.Error(), "redis://[USER") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
