package proxy

import (
	"context"
	"crypto/rand"
	_ "embed" // the scripts
	"encoding/hex"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"gemini-resilient-proxy/routing"
)

// Times of the talk between replicas.
const (
	// shareTick is how often a replica tells and hears, and shareSoon how long
	// after the last time it does when a lease is used up or there is news.
	shareTick = 250 * time.Millisecond
	shareSoon = 50 * time.Millisecond
	// shareTimeout is how long an answer may take before the replica goes on
	// alone; a first connection may take longer.
	shareTimeout     = 100 * time.Millisecond
	shareDialTimeout = 2 * time.Second
	// leaseTime is how long a lease lasts, and how long a replica that is gone
	// is counted.
	leaseTime = 3 * time.Second
	// shareAlone bounds the time between two tries to join again.
	shareAlone = 5 * time.Second
	// shareChunk is how many limits one script counts: a server does nothing
	// else meanwhile.
	shareChunk = 100
)

// sharePrefix is that of all keys in the server. The braces keep them on one
// node of a cluster (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/).
const sharePrefix = "{gemini_proxy}:"

//go:embed share_marks.lua
var marksScript string

//go:embed share_limits.lua
var limitsScript string

// sharer keeps limits and what is left out together with other replicas, over a
// server that may be slow or gone: one goroutine talks to it, and requests see
// what it has last heard. A nil sharer shares nothing.
type sharer struct {
	client  *redis.Client
	me      string
	current func() *state
	log     *slog.Logger
	metrics *shareMetrics
	wake    chan struct{}
	changed atomic.Bool // there may be marks to tell of

	// What follows is the goroutine's.
	joined bool
	st     *state
	shared sharedState
	since  int64                // the last mark heard of
	known  map[string]time.Time // marks that the server has
}

// newSharer returns the sharer of a valid REDIS_URL, nil for none.
func newSharer(url routing.Secret, current func() *state, log *slog.Logger, m *metrics) (*sharer, error) {
	if len(url) == 0 {
		return nil, nil
	}
	opts, err := redis.ParseURL(string([]byte(url)))
	if err != nil {
		// The error repeats the URL, which may hold a password.
		return nil, errRedisURL
	}
	opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout, opts.PoolTimeout = shareDialTimeout, shareDialTimeout, shareDialTimeout, shareDialTimeout
	opts.ContextTimeoutEnabled = true
	opts.MaxRetries, opts.DialerRetries, opts.PoolSize = -1, 1, 1
	opts.DisableIdentity = true
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	redis.SetLogger(quietRedis{})
	var name [8]byte
	rand.Read(name[:])
	return &sharer{
		client: redis.NewClient(opts), me: "r" + hex.EncodeToString(name[:]), current: current, log: log,
		metrics: newShareMetrics(m), wake: make(chan struct{}, 1),
	}, nil
}

// quietRedis drops what go-redis logs: the sharer says what matters, once.
type quietRedis struct{}

func (quietRedis) Printf(context.Context, string, ...any) {}

// run talks to the other replicas until stop is closed.
func (s *sharer) run(stop <-chan struct{}) {
	if s == nil {
		return
	}
	defer s.client.Close()
	alone := shareTick
	for {
		if err := s.meet(); err != nil {
			s.part(err)
			if !pause(stop, alone) {
				return
			}
			alone = min(2*alone, shareAlone)
			continue
		}
		alone = shareTick
		if !pause(stop, shareSoon) {
			return
		}
		select {
		case <-stop:
			return
		case <-s.wake:
		case <-time.After(shareTick - shareSoon):
		}
	}
}

// pause waits, and is false when stop was closed.
func pause(stop <-chan struct{}, d time.Duration) bool {
	select {
	case <-stop:
		return false
	case <-time.After(d):
		return true
	}
}

// soon asks for news before their time: a lease is used up. It does not wait.
func (s *sharer) soon() {
	if s == nil {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// tell says that a key or a target is left out, which others should know.
func (s *sharer) tell() {
	if s != nil {
		s.changed.Store(true)
		s.soon()
	}
}

// meet joins the others if that is to be done, and exchanges news with them.
func (s *sharer) meet() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the answer makes no sense")
		}
	}()
	if !s.joined {
		ctx, cancel := context.WithTimeout(context.Background(), shareDialTimeout)
		defer cancel()
		if err := s.client.Ping(ctx).Err(); err != nil {
			return err
		}
		s.since, s.known = 0, map[string]time.Time{}
		s.changed.Store(true)
	}
	if st := s.current(); st != s.st {
		s.st, s.shared = st, newSharedState(st)
		s.since = 0
		s.changed.Store(true)
	}
	if err := s.exchange(time.Now()); err != nil {
		return err
	}
	if !s.joined {
		s.joined = true
		s.metrics.joined.Set(1)
		s.log.Info("limits are shared with other replicas")
	}
	return nil
}

// part makes the replica go on alone.
func (s *sharer) part(err error) {
	s.shared.alone()
	s.metrics.failures.Inc()
	s.metrics.joined.Set(0)
	s.metrics.replicas.Set(0)
	if s.joined {
		s.log.Warn("limits are no longer shared, each replica goes on alone", "error", err.Error())
	}
	s.joined = false
}

// exchange tells and hears everything in one round trip.
func (s *sharer) exchange(now time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), shareTimeout)
	defer cancel()
	pipe := s.client.Pipeline()
	fields := s.news(now)
	args := []any{s.me, leaseTime.Milliseconds(), s.since}
	for field, until := range fields {
		args = append(args, field, until.Sub(now).Milliseconds())
	}
	keys := []string{sharePrefix + "replicas", sharePrefix + "marks", sharePrefix + "order", sharePrefix + "last"}
	marks := pipe.Eval(ctx, marksScript, keys, args...)
	talks := s.shared.ask(ctx, pipe, s.me, now)
	if _, err := pipe.Exec(ctx); err != nil {
		s.changed.Store(true)
		return err
	}
	for field, until := range fields {
		s.known[field] = until
	}
	heard, err := marks.Slice()
	if err != nil {
		return err
	}
	s.hear(heard, now)
	for i := range talks {
		if err := talks[i].answer(now); err != nil {
			return err
		}
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
		if !until.After(s.known[field].Add(time.Second)) {
			delete(fields, field)
		}
	}
	return fields
}

// hear takes over what others have told.
func (s *sharer) hear(heard []any, now time.Time) {
	s.metrics.replicas.Set(float64(heard[0].(int64)))
	last := heard[1].(int64)
	if last < s.since {
		// The server has lost what it was told.
		s.known = map[string]time.Time{}
		s.changed.Store(true)
	}
	s.since = last
	for i := 2; i+1 < len(heard); i += 2 {
		field := heard[i].(string)
		until := now.Add(time.Duration(heard[i+1].(int64)) * time.Millisecond)
		s.known[field] = until
		if s.shared.heed(field, until, now) {
			s.metrics.heard.Inc()
		}
	}
}
