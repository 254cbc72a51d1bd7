package proxy

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math"
	"net"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// place is a request's place among those that run.
type place struct {
	client *routing.Client // who asks, by token; nil when nobody need say
	ticket routing.Ticket
	inside bool      // the group's budget counts the request
	until  time.Time // when it waits no longer for a lease, once it does
	since  time.Time // when it was taken
}

// name is that of the client, "" where nobody need say who they are.
func (p *place) name() string {
	if p.client == nil {
		return ""
	}
	return p.client.Name
}

// bringsToken tells whether the request has what stands in for a key: an
// ephemeral token or one of OAuth in the query
// (https://cloud.google.com/apis/docs/system-parameters), or an Authorization
// of another scheme than Bearer.
func (e *exchange) bringsToken() bool {
	for _, name := range [...]string{"access_token", "oauth_token"} {
		if token, _ := routing.QueryValue(e.query, name); len(token) > 0 {
			return true
		}
	}
	return slices.ContainsFunc(e.head.fields, func(f field) bool {
		return isAuthorization(f.name) && bytes.IndexByte(f.value, ' ') > 0
	})
}

// authorize finds out who asks and whether they may, and whether the request is
// sent with a key of the group.
func (e *exchange) authorize(now time.Time) *refusal {
	g, clients := e.group, e.st.clients
	if g.keys == nil {
		if clients.Find(e.key) != nil || clients.Find(e.head.bearer) != nil {
			return refuse(403, fmt.Sprintf("group %q has no keys of its own: send a key of the API in place of the token", g.Name))
		}
		return nil
	}
	if clients.Len() == 0 {
		// Nobody but this machine can ask, see checkClients.
		e.pooled = g.replace || len(e.key) == 0 && !e.bringsToken()
		return nil
	}
	c := clients.Find(e.key)
	if c == nil && len(e.key) == 0 {
		// Some clients send what belongs to an upload without a key.
		c = clients.Named(e.from.client)
	}
	if c == nil {
		e.s.metrics.refused.WithLabelValues("token").Inc()
		return refuse(401, "the token is missing or not known; it is sent where an API key would be")
	}
	e.place.client, e.pooled = c, true
	switch {
	case !c.MayUse(g.Name) && e.from.client != c.Name:
		e.s.metrics.refused.WithLabelValues("group").Inc()
		return refuse(403, fmt.Sprintf("the client may not use group %q", g.Name))
	case !e.mayAsk(c):
		e.s.metrics.refused.WithLabelValues("model").Inc()
		if len(e.askedModel()) == 0 {
			return refuse(403, "the request names no model, and the client may ask certain models only")
		}
		return refuse(403, "the client may not ask this model")
	}
	for wait := c.Start(now); wait > 0; wait = c.Start(now) {
		if c.Short(now) && e.awaitLease() {
			now = time.Now()
			continue
		}
		if e.err() != nil {
			return e.turnedAway(routing.OverClient)
		}
		e.s.metrics.refused.WithLabelValues("rate").Inc()
		return &refusal{429, fmt.Sprintf("the client may begin %d requests a minute", c.PerMinute), wait}
	}
	return nil
}

// mayAsk tells whether a client may ask the models that the request names, in its
// path and in its body.
func (e *exchange) mayAsk(c *routing.Client) bool {
	may := c.MayAsk(e.askedModel())
	if len(c.Models) > 0 {
		stream.EachModel(e.asking, func(model []byte) { may = may && c.MayAsk(model) })
	}
	return may
}

// arrive finds the request's route, and a place for it.
func (e *exchange) arrive(host, body []byte) *refusal {
	if r := e.route(host, body); r != nil {
		return r
	}
	if len(body) > e.cfg.MaxBodyBytes {
		return bodyRefusal(errTooLarge, int64(e.cfg.MaxBodyBytes))
	}
	if f, ok := e.form(); ok && f.Dialect != stream.Native && (e.group.keys != nil || e.group.models != nil) {
		e.readModel(f.Dialect, body)
	} else if !ok && e.st.reads {
		e.readModel(stream.OpenAI, body)
	}
	return e.enter()
}

// readModel notes the model that the body names, when the path names none. It is
// not part of arrive, whose stack all requests need.
//
//go:noinline
func (e *exchange) readModel(d stream.Dialect, body []byte) {
	if model, _ := e.model(); len(model) > 0 && d == stream.OpenAI {
		return
	}
	r, _ := stream.ParseRequest(d, body)
	e.asked = stream.BodyModel(r.Model)
}

// enter lets the request run when it is its turn, at once as a rule.
func (e *exchange) enter() *refusal {
	s, g := e.s, e.group
	now := time.Now()
	if r := e.authorize(now); r != nil {
		return r
	}
	if s.memory.Over() {
		s.metrics.refused.WithLabelValues("memory").Inc()
		return &refusal{503, "the proxy is short of memory", time.Second}
	}
	patience := e.cfg.QueueTimeout
	if t := e.serverTimeout(); t > 0 {
		patience = min(patience, t)
	}
	who := routing.Entrant{Client: e.identity(), Group: g.Name, GroupLimit: g.cfg.MaxStreams, Until: now.Add(patience)}
	if c := e.place.client; c != nil {
		who.ClientLimit = c.Streams
	}
	e.place.since = now
	v := s.gate.Enter(&e.place.ticket, who, now)
	if v != routing.Admitted {
		s.share.soon()
	}
	if v == routing.Waits {
		v = e.queue(patience)
		e.place.since = time.Now()
	}
	if v != routing.Admitted {
		return e.turnedAway(v)
	}
	g.budget.Begin()
	e.place.inside = true
	return nil
}

// queue waits for the request's turn.
func (e *exchange) queue(patience time.Duration) routing.Verdict {
	s, ticket := e.s, &e.place.ticket
	e.watch()
	t := fasthttp.AcquireTimer(patience)
	defer fasthttp.ReleaseTimer(t)
	select {
	case <-ticket.Ready:
		return s.gate.Verdict(ticket)
	case <-t.C:
	case <-e.wake:
		// Others may wait for the same signal.
		e.wake <- struct{}{}
	}
	return s.gate.Cancel(ticket, time.Now())
}

// turnedAway is the answer to a request for which there is no place.
func (e *exchange) turnedAway(v routing.Verdict) *refusal {
	switch err := e.err(); err {
	case nil:
	case errGone:
		return refuse(statusGone, errGone.Error())
	default:
		return upstreamFailure(e.group.Name, err)
	}
	const soon = time.Second
	switch v {
	case routing.OverClient:
		e.s.metrics.refused.WithLabelValues("client_streams").Inc()
		return &refusal{429, fmt.Sprintf("the client may run %d requests at once", e.place.client.Streams), soon}
	case routing.OverGroup:
		e.s.metrics.refused.WithLabelValues("group_streams").Inc()
		return &refusal{503, fmt.Sprintf("group %q runs as many requests as it may", e.group.Name), soon}
	}
	e.s.metrics.refused.WithLabelValues("streams").Inc()
	return &refusal{503, "the proxy runs as many requests as it may", soon}
}

// depart gives the place to the next one.
func (e *exchange) depart() {
	now := e.now()
	e.s.gate.Leave(&e.place.ticket, now)
	if e.place.inside {
		e.group.budget.End(now)
	}
}

var identitySeed = maphash.MakeSeed()

// identity tells whose request it is: by token, by key, or by address.
func (e *exchange) identity() uint64 {
	switch {
	case e.place.client != nil:
		return clientIdentity(e.place.client)
	case len(e.key) > 0:
		return maphash.Bytes(identitySeed, e.key)
	}
	if tcp, ok := e.client.RemoteAddr().(*net.TCPAddr); ok {
		return maphash.Bytes(identitySeed, tcp.IP)
	}
	return 0
}

// clientIdentity is identity for a client with a token.
func clientIdentity(c *routing.Client) uint64 { return maphash.String(identitySeed, c.Name) }

// retryAfterSeconds is a wait as Retry-After has it: whole seconds, at least one.
func retryAfterSeconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }
