package proxy

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// sharePrefix is that of all keys in the server. The braces keep them on one
// node of a cluster, as a script needs them
// (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags).
const sharePrefix = "{gemini_proxy}:"

// The scripts run on Redis 6 and above, and on Valkey.
var (
	//go:embed share_marks.lua
	marksScript string
	//go:embed share_limits.lua
	limitsScript string
)

var errShareAnswer = errors.New("the answer makes no sense")

// exchange tells and hears everything in one round trip, which ends with ctx. lease
// is how long the others are to count what is leased; with 0 it is given back.
func (s *sharer) exchange(ctx context.Context, now time.Time, lease time.Duration) error {
	pipe := s.client.Pipeline()
	fields := s.news(now)
	args := []any{s.me, lease.Milliseconds(), s.epoch, s.last}
	for field, until := range fields {
		args = append(args, field, until.Sub(now).Milliseconds())
	}
	keys := []string{sharePrefix + "replicas", sharePrefix + "marks", sharePrefix + "order", sharePrefix + "count"}
	marks := pipe.Eval(ctx, marksScript, keys, args...)
	talks, busy := s.shared.ask(ctx, pipe, s.me, lease, now, s.pace.full(now))
	s.pace.busy = busy
	if _, err := pipe.Exec(ctx); err != nil {
		s.changed.Store(true)
		s.pace.next = time.Time{}
		return err
	}
	for field, until := range fields {
		s.known[field] = until
	}
	if err := s.hear(marks, now); err != nil {
		return err
	}
	for i := range talks {
		if err := talks[i].answer(&s.shared, now, lease); err != nil {
			return err
		}
	}
	if len(s.shared.less) > 0 {
		s.soon()
	}
	return nil
}

// news returns the marks that the server does not have.
func (s *sharer) news(now time.Time) map[string]time.Time {
	if !s.changed.Swap(false) {
		return nil
	}
	for field, until := range s.known {
		if !until.After(now) {
			delete(s.known, field)
		}
	}
	fields := s.shared.marks(now)
	for field, until := range fields {
		// A time that has been to the server and back is not quite the same.
		if !until.After(s.known[field].Add(time.Second)) {
			delete(fields, field)
		}
	}
	return fields
}

// hear takes over what others have told.
func (s *sharer) hear(marks *redis.Cmd, now time.Time) error {
	said, err := marks.Slice()
	if err != nil {
		return err
	}
	if len(said) < 3 || len(said)%2 == 0 {
		return errShareAnswer
	}
	replicas, isCount := said[0].(int64)
	epoch, isEpoch := said[1].(string)
	last, isLast := said[2].(int64)
	if !isCount || !isEpoch || !isLast {
		return errShareAnswer
	}
	if epoch != s.epoch && s.epoch != "" {
		// The server has lost what it was told.
		clear(s.known)
		s.changed.Store(true)
	}
	if epoch != s.data && s.data != "" {
		s.origins.tellAgain()
	}
	s.data = epoch
	for i := 3; i < len(said); i += 2 {
		field, isField := said[i].(string)
		left, isLeft := said[i+1].(int64)
		if !isField || !isLeft {
			return errShareAnswer
		}
		until := now.Add(time.Duration(left) * time.Millisecond)
		s.known[field] = until
		if s.shared.heed(field, until, now) {
			s.metrics.heard.Inc()
		}
	}
	if len(said) > 3 {
		// What is over is forgotten with the next news.
		s.changed.Store(true)
	}
	s.metrics.replicas.Set(float64(replicas))
	s.pace.replicas = int(replicas)
	s.epoch, s.last = epoch, last
	return nil
}
