package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"gemini-resilient-proxy/routing"
)

// sharedState is what of a state is shared. Names in the server are hashes: no
// key, no token and no name of a client or an upstream is there.
type sharedState struct {
	limits []sharedLimit
	less   map[string]bool // limits of which the others count more than is leased
	rings  []sharedRing
	places map[string]sharedPlace // by the hash of a key or a target
}

type sharedLimit struct {
	name string
	routing.Shared
}

// sharedRing is a group with the hashes of its keys and its targets.
type sharedRing struct {
	g             *group
	keys, targets []string
}

// sharedPlace is a key or a target of a group.
type sharedPlace struct {
	g     *group
	index int
}

// shareName is a hash that replicas of the same configuration agree on.
func shareName(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:12])
}

func newSharedState(st *state, gate *routing.Gate) sharedState {
	s := sharedState{places: map[string]sharedPlace{}, less: map[string]bool{}}
	add := func(limit routing.Shared, name ...string) {
		s.limits = append(s.limits, sharedLimit{shareName(name...), limit})
	}
	for _, name := range st.names() {
		g := st.groups[name]
		ring := sharedRing{g: g}
		if g.budget != nil {
			add(g.budget, "budget", name)
		}
		if g.cfg.MaxStreams > 0 {
			add(gate.SharedGroup(name, g.cfg.MaxStreams), "group streams", name)
		}
		for i, t := range g.targets {
			id := shareName("target", name, t.Name)
			ring.targets = append(ring.targets, id)
			s.places[id] = sharedPlace{g, i}
		}
		for i := 0; g.keys != nil && i < g.keys.Len(); i++ {
			secret := string([]byte(g.keys.Secret(i)))
			id := shareName("key", name, secret)
			ring.keys = append(ring.keys, id)
			s.places[id] = sharedPlace{g, i}
			if g.perKey > 0 {
				add(g.keys.Shared(i), "key rate", name, secret)
			}
		}
		s.rings = append(s.rings, ring)
	}
	for _, c := range st.clients.All() {
		if c.PerMinute > 0 {
			add(c, "client rate", c.Name)
		}
		if c.Streams > 0 {
			add(gate.SharedClient(clientIdentity(c), c.Streams), "client streams", c.Name)
		}
	}
	return s
}

// alone makes every limit the replica's own.
func (s *sharedState) alone(now time.Time) {
	for _, l := range s.limits {
		l.Alone(now)
	}
}

// drop ends the leases that next does not go on with.
func (s *sharedState) drop(next *sharedState, now time.Time) {
	kept := map[string]bool{}
	for _, l := range next.limits {
		kept[l.name] = true
	}
	for _, l := range s.limits {
		if !kept[l.name] {
			l.Alone(now)
		}
	}
}

// marks returns all that is left out now, each as "park", "eject" or "target",
// the hash, and the model or the reason, and until when.
func (s *sharedState) marks(now time.Time) map[string]time.Time {
	fields := map[string]time.Time{}
	var list []routing.Mark
	for _, r := range s.rings {
		list = r.g.balancer.Marks(list[:0], now)
		for _, m := range list {
			fields["target:"+r.targets[m.Index]+":"] = m.Until
		}
		if r.g.keys == nil {
			continue
		}
		list = r.g.keys.Marks(list[:0], now)
		for _, m := range list {
			if m.Ejected {
				fields["eject:"+r.keys[m.Index]+":"+m.Reason] = m.Until
			} else {
				fields["park:"+r.keys[m.Index]+":"+m.Model] = m.Until
			}
		}
	}
	return fields
}

// heed takes over a mark of another replica. What is not known here is none of
// this replica's: the configurations may differ for a while.
func (s *sharedState) heed(field string, until, now time.Time) bool {
	kind, rest, _ := strings.Cut(field, ":")
	id, detail, _ := strings.Cut(rest, ":")
	p, here := s.places[id]
	if !here {
		return false
	}
	m := routing.Mark{Index: p.index, Until: until}
	switch kind {
	case "target":
		return p.g.balancer.Heed(m, now)
	case "eject":
		m.Ejected, m.Reason = true, detail
	case "park":
		m.Model = detail
	default:
		return false
	}
	return p.g.keys != nil && p.g.keys.Heed(m, now)
}

// inquiry is a script under way with what it is about.
type inquiry struct {
	limits []sharedLimit
	before []int64 // the lease before of each, less what need not be told soon
	cmd    *redis.Cmd
}

// shareChunk is how many limits one script is about: a server does nothing else
// meanwhile.
const shareChunk = 100

// ask sends the use of all limits in a full round, and else of those in use. It
// returns how many are in use.
func (s *sharedState) ask(ctx context.Context, pipe redis.Pipeliner, me string, lease time.Duration, now time.Time, full bool) (talks []inquiry, busy int) {
	var t inquiry
	keys, args := []string{sharePrefix + "replicas"}, []any{me, lease.Milliseconds()}
	send := func() {
		if len(t.limits) > 0 {
			t.cmd = pipe.Eval(ctx, limitsScript, keys, args...)
			talks = append(talks, t)
		}
		t, keys, args = inquiry{}, keys[:1:1], args[:2:2]
	}
	for _, l := range s.limits {
		u := l.Use(now)
		used := u.Used > 0 || u.Want > 0
		if u.Limit == 0 && u.Deposit == 0 || !used && !full && !s.less[l.name] {
			continue
		}
		if used {
			busy++
		}
		t.limits, t.before = append(t.limits, l), append(t.before, u.Hold-u.Limit/100)
		keys = append(keys, sharePrefix+"limit:"+l.name)
		args = append(args, u.Limit, int64(u.Span/time.Second), u.Deposit, u.Used, u.Want, u.Hold)
		if len(t.limits) == shareChunk {
			send()
		}
	}
	send()
	return talks, busy
}

// answer takes what the script says. now is when it was asked: the lease is over
// here before it is over for the others.
func (t *inquiry) answer(s *sharedState, now time.Time, lease time.Duration) error {
	said, err := t.cmd.Int64Slice()
	if err != nil {
		return err
	}
	if len(said) != 2*len(t.limits) {
		return errShareAnswer
	}
	for i, l := range t.limits {
		l.Grant(routing.Grant{
			Left: said[2*i], Until: now.Add(lease), Room: now.Add(time.Duration(said[2*i+1]) * time.Millisecond),
		}, now)
		// Of a lease that has become smaller the others are told soon: until
		// then they count with the one before.
		if delete(s.less, l.name); said[2*i] < t.before[i] {
			s.less[l.name] = true
		}
	}
	return nil
}
