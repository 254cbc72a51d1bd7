package proxy

import (
	"encoding/json"
	"net/http"
	"time"
)

// The answer of GET /groups. Times are RFC 3339 in UTC, absent when there is
// none.
type (
	groupsView struct {
		DefaultGroup string       `json:"default_group"`
		Groups       []groupView  `json:"groups"`
		Clients      []clientView `json:"clients,omitempty"`
		Running      int          `json:"running"`
		Waiting      int          `json:"waiting"`
		Loaded       *time.Time   `json:"loaded,omitempty"`
		Mistakes     string       `json:"mistakes,omitempty"` // of the last configuration, which is not the one that runs
	}
	groupView struct {
		Name     string       `json:"name"`
		Fallback string       `json:"fallback,omitempty"`
		Heal     string       `json:"heal"`
		Targets  []targetView `json:"targets"`
		Keys     []keyView    `json:"keys,omitempty"`
		More     int          `json:"more_keys,omitempty"`    // that are not shown
		Retries  *int         `json:"retries_left,omitempty"` // of the budget
	}
	targetView struct {
		URL       string     `json:"url"`
		Weight    int        `json:"weight"`
		Priority  int        `json:"priority"`
		Zone      string     `json:"zone,omitempty"`
		State     string     `json:"state"` // admitted, ejected, probing
		Running   int        `json:"running"`
		Failures  int        `json:"failures"`
		Ejections int        `json:"ejections"`
		Reason    string     `json:"reason,omitempty"` // of the last failure
		Until     *time.Time `json:"until,omitempty"`
	}
	keyView struct {
		Name    string               `json:"name"`
		Tail    string               `json:"tail,omitempty"` // the last four characters
		State   string               `json:"state"`          // admitted, parked (for some models), ejected
		Reason  string               `json:"reason,omitempty"`
		Until   *time.Time           `json:"until,omitempty"`
		Parked  map[string]time.Time `json:"parked,omitempty"` // by model
		Running int                  `json:"running"`
		Recent  int                  `json:"last_minute"`
	}
	clientView struct {
		Name string `json:"name"`
	}
)

// showGroups answers GET /groups of the admin listener.
func (s *Server) showGroups(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	encoder.Encode(s.groupsView())
}

func (s *Server) groupsView() groupsView {
	st, now := s.state.Load(), time.Now().UTC()
	view := groupsView{DefaultGroup: st.cfg.DefaultGroup}
	for _, name := range st.names() {
		view.Groups = append(view.Groups, st.groups[name].view(now))
	}
	for _, c := range st.cfg.Clients {
		view.Clients = append(view.Clients, clientView{c.Name})
	}
	view.Running, view.Waiting = s.gate.Load()
	s.reloads.result.Lock()
	view.Loaded = optional(s.reloads.at)
	if s.reloads.err != nil {
		view.Mistakes = s.reloads.err.Error()
	}
	s.reloads.result.Unlock()
	return view
}

func (g *group) view(now time.Time) groupView {
	v := groupView{Name: g.Name, Heal: g.cfg.Heal}
	if g.fallback != nil {
		v.Fallback = g.fallback.Name
	}
	if g.budget != nil {
		left := g.budget.Balance(now)
		v.Retries = &left
	}
	for _, t := range g.balancer.States(nil) {
		state := "admitted"
		switch {
		case t.Probing:
			state = "probing"
		case !t.Until.IsZero():
			state = "ejected"
		}
		reason := ""
		if t.Reason != 0 {
			reason = t.Reason.String()
		}
		v.Targets = append(v.Targets, targetView{
			Reason: reason,
			URL:    t.Name, Weight: t.Weight, Priority: t.Priority, Zone: t.Zone, State: state,
			Running: t.Running, Failures: t.Failures, Ejections: t.Ejections, Until: optional(t.Until),
		})
	}
	if g.keys == nil {
		return v
	}
	for _, k := range g.keys.States(now) {
		state := "admitted"
		switch {
		case !k.Until.IsZero():
			state = "ejected"
		case len(k.Parked) > 0:
			state, k.Reason = "parked", "status 429"
		}
		v.Keys = append(v.Keys, keyView{
			Name: k.Name, Tail: k.Tail, State: state, Reason: k.Reason, Until: optional(k.Until), Parked: inUTC(k.Parked),
			Running: k.Running, Recent: k.Recent,
		})
	}
	return v
}

// optional is nil for the zero time, which JSON would show as the year one.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

// serveReload answers POST /reload of the admin listener.
func (s *Server) serveReload(w http.ResponseWriter, _ *http.Request) {
	if err := s.Reload(); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	w.Write([]byte("loaded\n"))
}

// inUTC shows times as all others are.
func inUTC(times map[string]time.Time) map[string]time.Time {
	for name, t := range times {
		times[name] = t.UTC().Truncate(time.Second)
	}
	return times
}
