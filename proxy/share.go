package proxy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	mathrand "math/rand/v2"
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
	// shareTimeout is how long an answer may take, which nothing waits for: a
	// second one is waited for before the replica is alone, and a lease lasts
	// for both. Joining may take longer.
	shareTimeout = 500 * time.Millisecond
	joinTimeout  = 2 * time.Second
	// leaseTicks is how many ticks a lease lasts, and how long a replica that
	// is gone is counted.
	leaseTicks = 12
	// aloneFirst and aloneMost bound the time between two tries to join.
	aloneFirst = 250 * time.Millisecond
	aloneMost  = 5 * time.Second
	// idleMost is how long a connection may have been idle that is used again.
	idleMost = time.Minute
)

// sharer keeps limits and what is left out together with other replicas, over a
// server that may be slow or gone: one goroutine talks to it, and requests see
// what it has last heard. A nil sharer shares nothing.
type sharer struct {
	client  *redis.Client
	me      string
	current func() *state
	gate    *routing.Gate
	log     *slog.Logger
	metrics *shareMetrics
	wake    chan struct{}
	life    context.Context // done when the sharer is to end
	done    chan struct{}   // closed when nothing is shared any more
	origins *originShare
	up      atomic.Bool  // it has joined
	talks   atomic.Int64 // exchanges that went well
	changed atomic.Bool  // there may be marks to tell of
	seekers atomic.Int64 // requests that ask for an origin
	waiting atomic.Int64 // requests that wait for a lease

	// What follows is the goroutine's.
	joined bool
	since  time.Time   // when it joined
	causes shareCauses // of its being alone
	alone  time.Duration
	st     *state
	shared sharedState
	pace   pace
	epoch  string               // of the server's data, empty when that is to be heard of anew
	data   string               // the same, also over the times alone
	last   int64                // the number of the last mark heard of
	known  map[string]time.Time // marks that the server has
}

// newSharer returns the sharer of a valid REDIS_URL, nil for none.
func newSharer(url routing.Secret, current func() *state, gate *routing.Gate, log *slog.Logger, m *metrics) (*sharer, error) {
	if len(url) == 0 {
		return nil, nil
	}
	opts, err := redis.ParseURL(string([]byte(url)))
	if err != nil {
		// The error repeats the URL, which may hold a password.
		return nil, errRedisURL
	}
	opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout, opts.PoolTimeout = joinTimeout, joinTimeout, joinTimeout, joinTimeout
	opts.ContextTimeoutEnabled = true
	opts.MaxRetries, opts.DialerRetries, opts.PoolSize = -1, 1, 2
	// Nothing may have been asked of origins for long, and what is in between may
	// have forgotten the connection.
	opts.ConnMaxIdleTime = idleMost
	opts.Dialer = dialReplies(opts)
	opts.DisableIdentity = true
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	redis.SetLogger(quietRedis{})
	var name [8]byte
	rand.Read(name[:])
	s := &sharer{
		client: redis.NewClient(opts), me: "r" + hex.EncodeToString(name[:]), current: current, gate: gate, log: log,
		metrics: newShareMetrics(m), wake: make(chan struct{}, 1), life: context.Background(), done: make(chan struct{}), known: map[string]time.Time{},
	}
	s.causes.password, s.causes.tls = routing.Secret(opts.Password), opts.TLSConfig != nil
	s.origins = newOriginShare(s)
	s.origins.causes = s.causes
	return s, nil
}

// quietRedis drops what go-redis logs: the sharer says what matters, once.
type quietRedis struct{}

func (quietRedis) Printf(context.Context, string, ...any) {}

// run talks to the other replicas until stop is closed.
func (s *sharer) run(stop <-chan struct{}) {
	if s == nil {
		return
	}
	defer close(s.done)
	life, cancel := context.WithCancel(context.Background())
	s.life = life
	go func() { <-stop; cancel() }()
	told := make(chan struct{})
	go func() { s.origins.run(stop); close(told) }()
	defer func() { <-told; s.client.Close() }()
	for {
		rest := s.turn()
		if s.joined {
			// Whoever calls meanwhile is heard after a moment.
			if !pause(stop, nil, shareSoon) || !pause(stop, s.wake, rest-shareSoon) {
				s.leave()
				return
			}
		} else if !pause(stop, nil, rest) {
			return
		}
	}
}

// pause waits until wake, and is false when stop was closed.
func pause(stop, wake <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-stop:
		return false
	case <-wake:
	case <-t.C:
	}
	return true
}

// ended waits until nothing is shared any more, for a moment at most.
func (s *sharer) ended() {
	if s != nil {
		<-s.done
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

// turn talks to the others and returns how long to rest then.
func (s *sharer) turn() time.Duration {
	err := s.meet()
	if err != nil && s.joined {
		// A connection may end any time, and a packet be lost; the lease lasts
		// for a second try.
		s.metrics.failures.Inc()
		err = s.meet()
	}
	if err != nil {
		s.part(err)
		rest := s.alone/2 + time.Duration(mathrand.Int64N(int64(s.alone)))
		s.alone = min(2*s.alone, aloneMost)
		return rest
	}
	if time.Since(s.since) > s.pace.lease() {
		// It does not come and go.
		s.alone = aloneFirst
	}
	return s.pace.tick()
}

// meet joins the others if that is to be done, and exchanges news with them.
func (s *sharer) meet() error {
	if !s.joined {
		ctx, cancel := context.WithTimeout(s.life, joinTimeout)
		defer cancel()
		if err := s.client.Ping(ctx).Err(); err != nil {
			return err
		}
		s.changed.Store(true)
	}
	s.adopt(s.current())
	if err := s.talk(s.pace.lease()); err != nil {
		return err
	}
	s.talks.Add(1)
	if !s.joined {
		s.joined, s.since = true, time.Now()
		s.causes.over()
		s.up.Store(true)
		select {
		case s.origins.wake <- struct{}{}:
		default:
		}
		s.metrics.joined.Set(1)
		s.log.Info("limits are shared with other replicas")
	}
	return nil
}

// talk exchanges news, for as long as an answer may take.
func (s *sharer) talk(lease time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.pace.timeout())
	defer cancel()
	return s.exchange(ctx, time.Now(), lease)
}

// adopt takes what of st is shared.
func (s *sharer) adopt(st *state) {
	if st == s.st {
		return
	}
	before := s.shared
	s.st, s.shared = st, newSharedState(st, s.gate)
	before.drop(&s.shared, time.Now())
	s.pace = pace{limits: len(s.shared.limits), replicas: s.pace.replicas}
	// A key or a target that is new here may have marks already.
	s.last = 0
	s.changed.Store(true)
}

// part makes the replica go on alone.
func (s *sharer) part(err error) {
	s.up.Store(false)
	s.shared.alone(time.Now())
	s.metrics.failures.Inc()
	s.metrics.joined.Set(0)
	s.metrics.replicas.Set(0)
	if text, isNew := s.causes.news(err); isNew {
		s.log.Warn("limits are not shared, this replica goes on alone", "error", text)
	}
	if s.alone == 0 {
		s.alone = aloneFirst
	}
	s.joined = false
	// What the server has by the time that it is back is not known.
	s.epoch, s.last = "", 0
	clear(s.known)
	s.pace.next = time.Time{}
}

// leave gives the leases back.
func (s *sharer) leave() {
	s.pace.next = time.Time{}
	if err := s.talk(0); err != nil {
		s.metrics.failures.Inc()
	}
	s.shared.alone(time.Now())
	s.metrics.joined.Set(0)
}
