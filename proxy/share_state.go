package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"gemini-resilient-proxy/routing"
)

// sharedState is what of a state is shared. Names in the server are hashes: no
// key, no token and no name of a client or an upstream is there.
type sharedState struct {
	limits []sharedLimit
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

func newSharedState(st *state) sharedState {
	s := sharedState{places: map[string]sharedPlace{}}
	for _, name := range st.names() {
		g := st.groups[name]
		ring := sharedRing{g: g}
		if g.budget != nil {
			s.limits = append(s.limits, sharedLimit{shareName("budget", name), g.budget})
		}
		for i, t := range g.targets {
			id := shareName("target", name, t.Name)
			ring.targets = append(ring.targets, id)
			s.places[id] = sharedPlace{g, i}
		}
		for i := 0; g.keys != nil && i < g.keys.Len(); i++ {
			id := shareName("key", name, string([]byte(g.keys.Secret(i))))
			ring.keys = append(ring.keys, id)
			s.places[id] = sharedPlace{g, i}
			s.limits = append(s.limits, sharedLimit{id, g.keys.Shared(i)})
		}
		s.rings = append(s.rings, ring)
	}
	for _, c := range st.clients.All() {
		s.limits = append(s.limits, sharedLimit{shareName("client", c.Name), c})
	}
	return s
}

// alone gives back all leases.
func (s *sharedState) alone() {
	for _, l := range s.limits {
		l.Alone()
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
	cmd    *redis.Cmd
}

// ask sends the use of all limits.
func (s *sharedState) ask(ctx context.Context, pipe redis.Pipeliner, me string, now time.Time) (talks []inquiry) {
	var t inquiry
	keys, args := []string{sharePrefix + "replicas"}, []any{me, leaseTime.Milliseconds()}
	send := func() {
		if len(t.limits) > 0 {
			t.cmd = pipe.Eval(ctx, limitsScript, keys, args...)
			talks = append(talks, t)
		}
		t, keys, args = inquiry{}, keys[:1:1], args[:2:2]
	}
	for _, l := range s.limits {
		u := l.Use(now)
		if u.Limit == 0 && u.Deposit == 0 {
			continue
		}
		idle := 0
		if u.Idle {
			idle = 1
		}
		t.limits = append(t.limits, l)
		keys = append(keys, sharePrefix+"limit:"+l.name)
		args = append(args, u.Limit, int64(u.Span/time.Second), u.Deposit, u.Used, u.Want, idle)
		if len(t.limits) == shareChunk {
			send()
		}
	}
	send()
	return talks
}

var errShareAnswer = errors.New("the answer makes no sense")

// answer takes what the script says. now is when it was asked.
func (t *inquiry) answer(now time.Time) error {
	said, err := t.cmd.Int64Slice()
	if err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	if len(said) != 3*len(t.limits) {
		return errShareAnswer
	}
	for i, l := range t.limits {
		l.Grant(routing.Grant{
			Left: said[3*i], Rest: said[3*i+1], Until: now.Add(leaseTime),
			Room: now.Add(time.Duration(said[3*i+2]) * time.Millisecond),
		})
	}
	return nil
}
