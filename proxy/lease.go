package proxy

import (
	"errors"
	"time"
	_ "time/tzdata" // for pacific, on machines that have no such data

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// lease is what an attempt has on loan: a target, and a key when the group has
// its own and the request uses them. settle ends it.
type lease struct {
	group  *group
	choice routing.Choice
	key    int // of group.keys, NoKey for a key of the client's
	open   bool
}

// failed is where the attempt before came to grief. The next one goes elsewhere
// if there is an elsewhere.
type failed struct {
	group  *group
	target int
	key    int
	again  int  // attempts in a row that failed so in the request's own group
	spent  bool // the client's key has no quota left there
}

// errParked: no key of the group is of use for now.
var errParked = errors.New("no key is admitted")

// target returns where the attempt goes.
func (l *lease) target() *target { return l.group.targets[l.choice.Index] }

// borrow takes a target and a key for the next attempt and builds the upstream
// request target. With errParked comes the time after which there is a key.
func (e *exchange) borrow(now time.Time) (wait time.Duration, err error) {
	if ok, wait, err := e.borrowThere(now); ok {
		return wait, err
	}
	home := e.group
	avoid, key := routing.NoTarget, routing.NoKey
	if e.failed.group == home {
		avoid, key = e.failed.target, e.failed.key
	}
	if other := home.fallback; other != nil && (e.failed.spent || e.failed.again > 1 && !home.hasOther(now, avoid)) {
		if _, err := e.borrowFrom(other, now, routing.NoTarget, routing.NoKey); err == nil {
			return 0, nil
		}
	}
	if wait, err = e.borrowFrom(home, now, avoid, key); err == nil {
		return 0, nil
	}
	if e.keptParked(home, now) > 0 {
		return wait, err
	}
	if home.fallback != nil {
		sooner, err := e.borrowFrom(home.fallback, now, routing.NoTarget, routing.NoKey)
		if err == nil {
			return 0, nil
		}
		wait = min(wait, sooner)
	}
	return wait, err
}

// hasOther tells whether a target beside the given one is admitted.
func (g *group) hasOther(now time.Time, index int) bool {
	return g.balancer.Others(now, index)
}

// borrowFrom takes a target and a key of a group.
func (e *exchange) borrowFrom(g *group, now time.Time, avoid, avoidKey int) (wait time.Duration, err error) {
	key, wait, err := e.borrowKey(g, now, avoidKey)
	if err == nil {
		e.take(lease{group: g, choice: g.balancer.Acquire(now, avoid), key: key, open: true})
	}
	return wait, err
}

// borrowKey takes a key of a group, where the request is sent with one: that
// which made what the request names, if it is admitted.
func (e *exchange) borrowKey(g *group, now time.Time, avoid int) (key int, wait time.Duration, err error) {
	if !e.usesKeys(g) {
		return routing.NoKey, 0, nil
	}
	model := e.modelFor(g)
	if f := &e.from; f.group == g && f.key != routing.NoKey {
		if g.keys.AcquireSame(now, model, f.key) {
			return f.key, 0, nil
		}
		if wait = e.keptParked(g, now); wait > 0 {
			return routing.NoKey, wait, errParked
		}
	}
	if key, wait = g.keys.Acquire(now, model, avoid); key == routing.NoKey {
		return key, wait, errParked
	}
	return key, 0, nil
}

// keptParked returns the time for which the key is parked that made what the
// request names, 0 when it is not, or does not matter to the group. No other key
// will do meanwhile: to one of another project the API says 403, which clients do
// not try again, and those of the same project have the same quota. What an
// upload is sent to needs no key at all.
func (e *exchange) keptParked(g *group, now time.Time) time.Duration {
	f := &e.from
	if f.group != g || f.bound || f.key == routing.NoKey || !e.usesKeys(g) {
		return 0
	}
	return g.keys.Parked(now, e.modelFor(g), f.key)
}

// borrowAgain takes the target and the key of the attempt before: what that has
// begun can be gone on with nowhere else. Another key is better than none.
func (e *exchange) borrowAgain(now time.Time) (wait time.Duration, err error) {
	l := e.lease
	if l.key != routing.NoKey && !l.group.keys.AcquireSame(now, e.modelFor(l.group), l.key) {
		if l.key, wait = l.group.keys.Acquire(now, e.modelFor(l.group), l.key); l.key == routing.NoKey {
			return wait, errParked
		}
	}
	l.choice = l.group.balancer.AcquirePinned(now, l.choice.Index)
	l.open = true
	e.take(l)
	return 0, nil
}

// take makes l the lease of the next attempt.
func (e *exchange) take(l lease) {
	e.lease = l
	t := l.target()
	e.renamed = l.group.models.AppendPath(e.renamed[:0], e.written, e.path)
	e.target = routing.AppendTarget(e.target[:0], &t.base, &t.path, e.renamed, e.rest)
	if e.viaStream {
		e.target = routing.AppendStreaming(nil, e.target)
	}
	if e.trace != nil {
		e.trace.try(e)
	}
}

// noModel stands for the model of requests that ask none, such as a list of
// files: their quota is one of its own.
var noModel = []byte("-")

// modelFor returns the name that a group's upstream has for the model.
func (e *exchange) modelFor(g *group) []byte {
	model := e.askedModel()
	if len(model) == 0 {
		return noModel
	}
	if name, known := g.models[string(model)]; known {
		return []byte(name)
	}
	return model
}

// askedModel returns the client's name for the model.
func (e *exchange) askedModel() []byte {
	if len(e.asked) > 0 {
		return e.asked
	}
	model, _ := e.model()
	if len(model) == 0 {
		_, model, _ = routing.SplitModel(e.path)
	}
	return model
}

// usesKeys tells whether requests to g are sent with a key of its own.
func (e *exchange) usesKeys(g *group) bool { return g.keys != nil && e.pooled }

// answered says that the attempt's response has begun as it should.
func (e *exchange) answered() {
	l := &e.lease
	if !l.open {
		return
	}
	if l.choice.Probe {
		l.group.balancer.Answered(&l.choice, time.Now())
	}
	if l.key != routing.NoKey {
		l.group.keys.Accepted(l.key)
	}
}

// settle ends the lease of an attempt that is over. o is how it ended, and
// status the status or the code that said so, 0 when there was none.
func (e *exchange) settle(o routing.Outcome, status int) {
	l := &e.lease
	if !l.open {
		return
	}
	l.open = false
	if e.trace != nil {
		e.trace.tried(e, o, status)
	}
	now := e.now()
	sign := o.Sign(status)
	if sign == routing.Failed {
		l.group.balancer.Blame(l.choice, o)
	}
	ejected := l.group.balancer.Release(l.choice, sign, now)
	if l.key != routing.NoKey {
		l.group.keys.Release(l.key)
	}
	if ejected > 0 {
		e.s.ejected(l, ejected)
	}
	e.failed.note(e.group, l, o, status)
}

// settleFairly is settle, but for what the client's own haste or the proxy's own
// lack of connections brought about: that is not the target's fault. cause is the
// error that ended the attempt, hurried tells that the client gave the upstream
// less time than the settings, and begun that there was an event all the same.
func (e *exchange) settleFairly(o routing.Outcome, status int, cause error, hurried, begun bool) {
	switch {
	case hurried && o == routing.Stall && !begun, hurried && status == 504, errors.Is(cause, fasthttp.ErrNoFreeConns):
		o, status = 0, 0
	}
	e.settle(o, status)
}

// note keeps where an attempt failed, for as long as it is the place's fault.
func (f *failed) note(home *group, l *lease, o routing.Outcome, status int) {
	switch o {
	case routing.ConnectFailed, routing.Stall, routing.Cut, routing.Status, routing.StreamError:
	default:
		*f = failed{}
		return
	}
	if l.key != routing.NoKey && (status == 429 || aboutKey(status)) {
		// The key's fault, not the target's: what is known of that stays.
		if f.group != l.group {
			*f = failed{group: l.group, target: routing.NoTarget}
		}
		f.key = l.key
		return
	}
	f.group, f.key = l.group, l.key
	f.target = l.choice.Index
	if l.group == home {
		f.again++
		// Of a broken answer the target is asked for the rest once more, one
		// that gives none is left for the fallback at once.
		if o != routing.Cut {
			f.again++
		}
	} else {
		f.again = 0
	}
}

// blameKey decides what becomes of the key of an attempt that the upstream
// answered with an error. It tells whether the key is at fault.
func (e *exchange) blameKey(status int, f stream.Failure, told time.Duration, hasTold bool) bool {
	l := &e.lease
	if !l.open || l.key == routing.NoKey {
		return false
	}
	now := time.Now()
	r := routing.Refusal{
		Status: status, InvalidKey: f.InvalidKey(), Elsewhere: f.Elsewhere, Spent: f.Spent, Told: told, HasTold: hasTold,
	}
	fate, until := r.Fate(now, pacific)
	switch fate {
	case routing.KeyEjected:
		reason := keyReasons[status]
		if l.group.keys.Eject(l.key, reason, now) {
			e.s.keyEjected(l, reason)
		}
	case routing.KeyParked:
		l.group.keys.Park(l.key, e.modelFor(l.group), until, now)
		e.s.metrics.keysParked.WithLabelValues(l.group.Name).Inc()
	default:
		return false
	}
	e.s.share.tell()
	return true
}

// keyReasons say why a key was ejected.
var keyReasons = map[int]string{400: "API_KEY_INVALID", 401: "status 401", 403: "status 403"}

// parkedFor returns the time until a key is admitted for the request, in its
// group or the fallback; 0 when one is now.
func (e *exchange) parkedFor(now time.Time) time.Duration {
	if wait := e.keptParked(e.group, now); wait > 0 {
		return wait
	}
	wait := time.Duration(0)
	for i, g := range [...]*group{e.group, e.group.fallback} {
		if g == nil {
			continue
		}
		if !e.usesKeys(g) {
			return 0
		}
		if w := g.keys.Wait(now, e.modelFor(g)); i == 0 || w < wait {
			wait = w
		}
	}
	return wait
}

// pacific is where the API's daily quotas begin anew at midnight.
var pacific = loadPacific()

func loadPacific() *time.Location {
	zone, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return zone
}
