package proxy

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/routing"
)

// told lets a replica tell what it has learnt.
func (one *replica) told(t *testing.T) {
	t.Helper()
	one.up.Store(true)
	for one.origins.gather() {
		ctx, cancel := context.WithTimeout(context.Background(), machinePatience)
		ok := one.origins.exchange(ctx, time.Now())
		if cancel(); !ok {
			t.Fatal("it cannot tell")
		}
	}
}

// hears asks where values came from.
func (one *replica) hears(t *testing.T, values ...string) []routing.Origin {
	t.Helper()
	var list [][]byte
	for _, v := range values {
		list = append(list, []byte(v))
	}
	q := newQuestion(list)
	one.origins.asked <- q
	one.told(t)
	<-q.done
	if !q.heard {
		t.Fatal("no answer")
	}
	return q.answers
}

func TestShelves(t *testing.T) {
	f := func(value string, on shelf, keep time.Duration) {
		t.Helper()
		if s, d := shelfOf([]byte(value)); s != on || d != keep {
			t.Errorf("%s: %v, %v", value, s, d)
		}
	}
	f("upload id", shelfKept, keepFile)
	f("kept files/x", shelfKept, keepFile)
	f("kept cachedContents/x", shelfKept, keepLong)
	f("kept operations/x", shelfKept, keepLong)
	f("kept interactions/x", shelfInteractions, keepLong)
	f("c2lnbmF0dXJl", shelfTurns, keepTurn)
	f("kept", shelfTurns, keepTurn)
}

// What one replica has learnt another finds, for as long as it is kept and no
// longer, whichever way a client writes it; and the server has hashes only.
func TestOriginsAreFound(t *testing.T) {
	r := newReplicas(t, 2)
	one, two := r.all[0], r.all[1]
	at := func(key, client string) routing.Origin {
		return routing.Origin{Group: "g", Target: "http://CANARY.a", Key: key, Client: client}
	}
	one.learned([]byte("kept files/CANARY"), at("one", ""), one.state)
	one.learned([]byte("kept cachedContents/CANARY"), at("two", ""), one.state)
	one.learned([]byte("CANARY/+8="), at("", ""), one.state)
	one.learned([]byte("upload CANARY"), at("one", "CANARY-client"), one.state)
	one.learned([]byte("kept files/elsewhere"), routing.Origin{Group: "gone", Target: "x"}, one.state)
	one.told(t)
	f := func(value string, want routing.Origin) {
		t.Helper()
		if got := two.hears(t, "kept files/unknown", value); got[0].Group != "" || got[1] != want {
			t.Errorf("%s: %+v, want %+v", value, got, want)
		}
	}
	f("kept files/CANARY", at("one", ""))
	f("kept cachedContents/CANARY", at("two", ""))
	f("CANARY/+8=", at("", ""))
	f("CANARY_-8", at("", ""))
	f("upload CANARY", at("one", "CANARY-client"))
	f("kept files/elsewhere", routing.Origin{})
	if dump := r.server.Dump(); strings.Contains(dump, "CANARY") || !strings.Contains(dump, "origins:turns") {
		t.Error("what the server holds:", dump)
	}
	// The keys of the other one stand elsewhere, and its client has another token.
	g := two.state.groups["g"]
	g.keys = routing.NewKeyring([]routing.KeySpec{{Name: "two", Secret: routing.Secret("CANARY-one")}}, 0)
	two.state = &state{table: two.state.table, groups: two.state.groups, clients: routing.NewClients([]routing.ClientSpec{{Name: "CANARY-client", Hash: [32]byte{1}}})}
	f("kept files/CANARY", at("two", ""))
	f("kept cachedContents/CANARY", at("", ""))
	f("upload CANARY", routing.Origin{})
	r.advance(keepFile + time.Second)
	f("kept files/CANARY", routing.Origin{})
	f("CANARY/+8=", at("", ""))
	r.advance(keepTurn)
	f("CANARY/+8=", routing.Origin{})
	f("kept cachedContents/CANARY", at("", ""))
	r.server.FastForward(keepLong + time.Second)
	for _, key := range r.server.Keys() {
		if strings.Contains(key, "origins") {
			t.Errorf("%s is kept for ever", key)
		}
	}
}

// Whoever can write to the server cannot act for a client: what it says of one is
// believed only with the proof of a replica that knows the token.
func TestOriginsCannotBeForged(t *testing.T) {
	r := newReplicas(t, 1)
	one := r.all[0]
	p := newSharedPlaces(one.state)
	name := valueName([]byte("upload CANARY"))
	from := routing.Origin{Group: "g", Target: "http://CANARY.a", Key: "one", Client: "CANARY-client"}
	good := placeName(one.state, name, from)
	if o, known := p.origin(name, good); !known || o != from {
		t.Errorf("%+v, %t", o, known)
	}
	parts := strings.Split(good, " ")
	other := placeName(one.state, name, routing.Origin{Group: "g", Target: "http://CANARY.b", Key: "one"})
	for _, bad := range []string{"", " ", "   ", parts[0], strings.Join(parts[:3], " "), good + " x", good[:len(good)-1] + "_", strings.Join(parts[:3], " ") + " ",
		other + " " + parts[2] + " " + parts[3], "x " + parts[1], parts[0] + " " + parts[1] + " " + parts[2] + " x"} {
		if o, known := p.origin(name, bad); known {
			t.Errorf("%q: %+v", bad, o)
		}
	}
	if o, known := p.origin(valueName([]byte("upload other")), good); known {
		t.Errorf("the proof of another upload is taken: %+v", o)
	}
}

// The server keeps a bounded number, the newest and what is asked for.
func TestSharedOriginsAreBounded(t *testing.T) {
	r := newReplicas(t, 1)
	const most, batch, notes = 50, 7, 2000
	ctx, c, keys := context.Background(), r.all[0].client, shelfKept.keys()
	find := func(n int) any {
		t.Helper()
		said, err := c.Eval(ctx, findScript, keys, most, fmt.Sprint("value", n)).Slice()
		if err != nil || len(said) != 1 {
			t.Fatal(said, err)
		}
		return said[0]
	}
	for i := 0; i < notes; i += batch {
		args := []any{most, keepLong.Milliseconds()}
		for k := range batch {
			args = append(args, fmt.Sprint("value", i+k), 3600, fmt.Sprint("place ", i+k))
		}
		if err := c.Eval(ctx, noteScript, keys, args...).Err(); err != nil {
			t.Fatal(err)
		}
		if find(0) != "place 0" {
			t.Fatalf("after %d: what is asked for is forgotten", i)
		}
		if n := c.HLen(ctx, keys[0]).Val() + c.HLen(ctx, keys[1]).Val(); n > 2*(most+batch) {
			t.Fatalf("%d are kept", n)
		}
	}
	if got := find(notes - 1); got != fmt.Sprint("place ", notes-1) {
		t.Errorf("a new one is %v", got)
	}
	if got := find(notes / 2); got != nil {
		t.Errorf("an old one is %v", got)
	}
	for _, key := range keys {
		if c.TTL(ctx, key).Val() <= 0 {
			t.Errorf("%s is kept for ever", key)
		}
	}
}

// What a replica cannot tell is bounded, and what requests learn waits for nothing.
func TestUntoldOriginsAreBounded(t *testing.T) {
	r := newReplicas(t, 2)
	one, two := r.all[0], r.all[1]
	from := routing.Origin{Group: "g", Target: "http://CANARY.b"}
	learn := func(form string, n int) {
		for i := range n {
			one.learned(fmt.Appendf(nil, form, i), from, one.state)
			if i%100 == 0 {
				one.origins.gather()
			}
		}
		one.origins.gather()
	}
	learn("kept files/%d", 100)
	learn("signature%d", 3*maxUntold)
	if n := one.origins.notes[shelfTurns].untold; n != maxUntold {
		t.Errorf("%d are to be told", n)
	}
	if got := testValue(t, one.metrics.untold); got != 2*maxUntold {
		t.Errorf("%v were dropped", got)
	}
	one.told(t)
	if got := two.hears(t, "kept files/0", "signature0", fmt.Sprint("signature", 3*maxUntold-1)); got[0] != from || got[1].Group != "" || got[2] != from {
		t.Errorf("%+v", got)
	}
	// Nobody takes what is learnt.
	for range 2 * cap(one.origins.kept) {
		one.learned([]byte("kept files/x"), from, one.state)
	}
	one.learned(make([]byte, maxLearned+1), from, one.state)
	one.origins.gather()
	one.told(t)
	if n := one.origins.bytes.Load(); n != 0 {
		t.Errorf("%d bytes are counted and not there", n)
	}
}

// A server that fails is left alone for a while and tried again, and what was not
// told is told then.
func TestOriginsSurviveNonsense(t *testing.T) {
	r := newReplicas(t, 2)
	one, two := r.all[0], r.all[1]
	from := routing.Origin{Group: "g", Target: "http://CANARY.b"}
	one.up.Store(true)
	r.server.Set(shelfKept.keys()[0], "not a hash")
	one.learned([]byte("kept files/x"), from, one.state)
	q := newQuestion([][]byte{[]byte("kept files/y")})
	one.origins.asked <- q
	if one.origins.gather(); one.origins.talk() {
		t.Error("nonsense is taken")
	}
	one.origins.answerNone()
	if <-q.done; q.heard || one.mayAsk() {
		t.Error("a server that fails is asked")
	}
	if one.origins.talk() {
		t.Error("it is tried again at once")
	}
	r.server.Del(shelfKept.keys()[0])
	one.origins.until = time.Time{}
	if one.told(t); !one.mayAsk() {
		t.Error("a server that is back is not asked")
	}
	if got := two.hears(t, "kept files/x"); got[0] != from {
		t.Errorf("%+v", got)
	}
	var none *sharer
	none.learned([]byte("x"), from, one.state)
	if none.mayAsk() {
		t.Error("nobody is asked")
	}
}

// A request that brings nothing of the kind costs nothing, with a server and
// without.
func TestOrdinaryRequestsAskNobody(t *testing.T) {
	r := newReplicas(t, 1)
	one := r.all[0]
	one.up.Store(true)
	one.g.bound, one.g.signs = true, true
	for _, share := range []*sharer{nil, one.sharer} {
		e := &exchange{s: &Server{origins: routing.NewOrigins(10), share: share}, st: one.state, group: one.g, path: []byte("/v1beta/models/m:streamGenerateContent")}
		body := []byte(`{"contents":[{"role":"user","parts":[{"text":"` + strings.Repeat("fileUri continuationToken ", 1000) + `"}]}]}`)
		allocates := func() bool {
			return testing.AllocsPerRun(100, func() { e.findOrigin(body); e.findUpload() }) != 0
		}
		// What others allocate meanwhile does not come every time.
		if allocates() && allocates() && allocates() {
			t.Error("it allocates")
		}
	}
	if len(one.origins.asked) != 0 {
		t.Error("it was asked")
	}
}
