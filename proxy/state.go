package proxy

import (
	"fmt"
	"math/rand/v2"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// state is what a configuration makes. It does not change once made, but for
// what its groups learn; a request keeps the one that it began with, so that a
// new configuration harms nothing that runs.
type state struct {
	cfg     Config
	table   *routing.Table
	groups  map[string]*group
	clients *routing.Clients
	// heals tells that some group heals, and maxBody is the largest body that
	// one holds for it: what group it is, is known when the body is there.
	heals   bool
	maxBody int
	// reads tells that some group has keys or other names for models, so that
	// the bodies of requests that are relayed are read before they are sent.
	reads bool
}

// group is a group at work.
type group struct {
	*routing.Group
	cfg      Config
	policy   routing.Policy
	reasons  *stream.Reasons
	targets  []*target
	balancer *routing.Balancer
	keys     *routing.Keyring // nil: clients bring their own
	perKey   int              // requests a minute, 0 for no limit
	budget   *routing.Budget
	models   routing.Renames
	fallback *group
	bound    bool // there are several places that the token of a long decode may be of
	signs    bool // and that a thought signature may be of
	replace  bool // keys that clients bring are replaced by the group's
}

// heals tells whether the group's answers are healed.
func (g *group) heals() bool { return g.cfg.Heal == "on" && g.policy.MaxConsecutive > 0 }

// target is a target of a group: where its requests go.
type target struct {
	routing.TargetSpec
	base routing.Base
	path routing.Group // between the base's path and the client's
	conn *transport
}

// newState builds what cfg describes. Connections are those of the server, and
// what old has learnt of targets and keys that are still there is kept.
func (s *Server) newState(cfg Config, old *state) (*state, error) {
	all := cfg.AllGroups()
	paths := make(map[string]string, len(all))
	for i := range all {
		paths[all[i].Name] = all[i].Path
	}
	table, err := routing.NewTable(paths, cfg.DefaultGroup)
	if err != nil {
		return nil, fmt.Errorf("GROUP_MAPPING: %w", err)
	}
	specs := make([]routing.ClientSpec, len(cfg.Clients))
	for i := range cfg.Clients {
		specs[i] = cfg.Clients[i].ClientSpec
	}
	st := &state{cfg: cfg, table: table, groups: make(map[string]*group, len(all)), clients: routing.NewClients(specs), maxBody: 1}
	for i := range all {
		g, err := s.newGroup(&cfg, &all[i], table)
		if err != nil {
			return nil, fmt.Errorf("group %q: %w", all[i].Name, err)
		}
		st.groups[g.Name] = g
		st.heals = st.heals || g.heals()
		st.reads = st.reads || g.keys != nil || len(g.models) > 0
		st.maxBody = max(st.maxBody, g.cfg.MaxBodyBytes)
	}
	for i := range all {
		g := st.groups[all[i].Name]
		g.fallback = st.groups[all[i].Fallback]
		g.signs = len(g.targets) > 1 || g.fallback != nil
		g.bound = g.signs || g.keys != nil && g.keys.Len() > 1
	}
	if old != nil {
		st.adopt(old)
	}
	return st, nil
}

func (s *Server) newGroup(cfg *Config, gc *GroupConfig, table *routing.Table) (*group, error) {
	own := cfg.forGroup(gc)
	g := &group{
		Group: table.Lookup([]byte(gc.Name)),
		cfg:   own,
		policy: routing.Policy{
			MaxConsecutive: own.MaxConsecutiveFailures,
			MaxAttempts:    own.MaxAttempts,
			RetryAfterMax:  own.RetryAfterMax,
			Backoff:        routing.Backoff{Base: own.RetryBaseDelay, Max: own.RetryMaxDelay, Rand: rand.Float64},
		},
		reasons: stream.NewReasons(own.RetryFinishReasons),
		models:  gc.Models,
		replace: gc.ClientKeys == replaceClientKeys,
	}
	if own.RetryBudget == "on" || own.RetryBudget == "auto" && !gc.short {
		g.budget = routing.NewBudget(float64(own.RetryBudgetPercent)/100, float64(own.RetryBudgetPerSecond))
	}
	if len(gc.Secrets) > 0 {
		g.keys, g.perKey = routing.NewKeyring(gc.Secrets, gc.KeyRequestsPerMinute), gc.KeyRequestsPerMinute
	}
	targets := gc.Targets
	if len(targets) == 0 {
		targets = []TargetConfig{{URL: own.UpstreamURLBase}}
	}
	specs := make([]routing.TargetSpec, len(targets))
	for i := range targets {
		t, err := s.newTarget(&own, gc, &targets[i])
		if err != nil {
			return nil, err
		}
		g.targets = append(g.targets, t)
		specs[i] = t.TargetSpec
	}
	e := routing.Ejection{After: own.EjectAfter, Base: own.EjectTime, Max: own.EjectMaxTime}
	g.balancer = routing.NewBalancer(specs, e, rand.Float64)
	return g, nil
}

func (s *Server) newTarget(cfg *Config, gc *GroupConfig, tc *TargetConfig) (*target, error) {
	base, err := routing.ParseBase(tc.URL)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	path := tc.Path
	if path == "" {
		path = gc.Path
	}
	// A table checks the path and takes the slashes off its end.
	one, err := routing.NewTable(map[string]string{gc.Name: path}, gc.Name)
	if err != nil {
		return nil, err
	}
	scheme := "http://"
	if base.TLS {
		scheme = "https://"
	}
	t := &target{base: base, path: *one.Default(), conn: s.transport(&base, cfg)}
	t.TargetSpec = routing.TargetSpec{
		Name: scheme + base.Host + base.Path + t.path.Path, Weight: max(1, tc.Weight), Priority: tc.Priority, Zone: tc.Zone,
	}
	return t, nil
}

// adopt takes over what old has learnt.
func (st *state) adopt(old *state) {
	st.clients.Adopt(old.clients)
	for name, g := range st.groups {
		before := old.groups[name]
		if before == nil {
			continue
		}
		g.balancer.Adopt(before.balancer)
		if g.keys != nil && before.keys != nil {
			g.keys.Adopt(before.keys)
		}
		if g.budget != nil && before.budget != nil && g.cfg.RetryBudgetPercent == before.cfg.RetryBudgetPercent && g.cfg.RetryBudgetPerSecond == before.cfg.RetryBudgetPerSecond {
			g.budget = before.budget
		}
	}
}

// keyed tells whether a group has keys of its own.
func (st *state) keyed() bool {
	for _, g := range st.groups {
		if g.keys != nil {
			return true
		}
	}
	return false
}

// names returns the names of all groups in order.
func (st *state) names() []string { return st.table.Names() }

// transportKey tells connections apart that must not be shared.
type transportKey struct {
	addr, serverName string
	tls              bool
	cfg              dialSettings
}

// transport returns the connections to an upstream, those that there are
// already when they were made with the same settings.
func (s *Server) transport(base *routing.Base, cfg *Config) *transport {
	key := transportKey{base.Addr, base.ServerName, base.TLS, dialSettings{cfg.ConnectTimeout, cfg.StallTimeout, cfg.MaxHeaderBytes}}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.transports[key]
	if t == nil {
		t = newTransport(base, cfg, maxConns(), s.recovered, s.closeIdle)
		s.transports[key] = t
	}
	return t
}
