package proxy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gemini-resilient-proxy/routing"
)

// GroupConfig is a group of the file: where its requests go, with whose keys,
// and which settings are its own.
type GroupConfig struct {
	// Name is what clients call the group.
	Name string
	// Path goes between the base of a target and the client's path, for
	// targets that have none of their own.
	Path string
	// Targets are where requests go; none is one at UpstreamURLBase.
	Targets []TargetConfig
	// Keys say where the keys stand that requests are sent with: "env:NAME",
	// "file:PATH" or "credential:NAME". None: clients bring their own.
	Keys []string
	// Secrets are the keys that were found there.
	Secrets []routing.KeySpec
	// ClientKeys says what becomes of a key that a client brings to a group
	// that has its own: "keep", the same as "", or "replace".
	ClientKeys string
	// KeyRequestsPerMinute is how many requests each key may begin within a
	// minute; 0 is no limit.
	KeyRequestsPerMinute int
	// Fallback is the group that takes over what this one cannot do, or "".
	Fallback string
	// Models maps the clients' names of models to the upstream's.
	Models map[string]string
	// Settings are the settings of its own, as text by lower-case name.
	Settings map[string]string

	// short says that it is one of GROUP_MAPPING.
	short bool
	// origin says where each member was written, for a group of a file.
	origin map[string]string
}

// TargetConfig is a target of a group.
type TargetConfig struct {
	// URL is scheme://host[:port][/path].
	URL string
	// Path goes between that and the client's path; "" takes the group's.
	Path string
	// Weight is the target's share of the load; 0 counts as 1.
	Weight int
	// Priority is its rank, 0 the best.
	Priority int
	// Zone names what fails together.
	Zone string

	origin string // where it was written, for one of a file
}

// ClientKeys words.
const (
	keepClientKeys    = "keep"
	replaceClientKeys = "replace"
)

// place returns where a member of the group was written.
func (g *GroupConfig) place(member string) string {
	where := g.origin[member]
	if where == "" {
		where = g.origin[""]
	}
	if where != "" {
		where += ": "
	}
	where += "group " + settingValue(g.Name)
	if member != "" {
		where += ": " + member
	}
	return where
}

// AllGroups returns the groups of GroupMapping and of the file, in order of
// their names.
func (c *Config) AllGroups() []GroupConfig {
	all := slices.Clone(c.Groups)
	for name, path := range c.GroupMapping {
		if !slices.ContainsFunc(c.Groups, func(g GroupConfig) bool { return g.Name == name }) {
			all = append(all, GroupConfig{Name: name, Path: path, short: true})
		}
	}
	slices.SortFunc(all, func(a, b GroupConfig) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// forGroup returns the configuration as it is for a group: with the settings
// that are its own. A limit of all streams is none of a group's.
func (c *Config) forGroup(g *GroupConfig) Config {
	own := *c
	own.MaxStreams = 0
	for name, text := range g.Settings {
		if s := settingByKey(name); s != nil && s.own {
			// Checked by checkGroup.
			_ = s.parse(&own, text)
		}
	}
	return own
}

// checkGroups checks the groups of the file, alone and together.
func (l *loader) checkGroups() {
	c := &l.config
	paths := map[string]string{}
	for _, g := range c.AllGroups() {
		paths[g.Name] = strings.TrimRight(g.Path, "/")
	}
	seen := map[string]bool{}
	for i := range c.Groups {
		g := &c.Groups[i]
		if seen[g.Name] {
			l.fail(g.place(""), "given twice")
		}
		seen[g.Name] = true
		l.checkGroup(g)
		if g.Fallback != "" {
			l.checkFallback(g, paths)
		}
	}
	if _, known := paths[c.DefaultGroup]; !known {
		names := slices.Sorted(maps.Keys(paths))
		const shown = 10
		if len(names) > shown {
			names = append(names[:shown], "...")
		}
		what := "GROUP_MAPPING"
		if len(c.Groups) > 0 {
			what += " and groups"
		}
		l.fail(l.where("DEFAULT_GROUP"), "%s: must be one of the groups of %s: %s",
			settingValue(c.DefaultGroup), what, strings.Join(names, ", "))
	}
}

// checkGroup checks one group of the file.
func (l *loader) checkGroup(g *GroupConfig) {
	if _, err := routing.NewTable(map[string]string{g.Name: g.Path}, g.Name); err != nil {
		l.fail(g.place("path"), "%w", err)
	}
	for i, t := range g.Targets {
		if err := checkTarget(&t); err != nil {
			where := g.place(fmt.Sprintf("targets[%d]", i))
			if t.origin != "" {
				where = fmt.Sprintf("%s: group %s: targets[%d]", t.origin, settingValue(g.Name), i)
			}
			l.fail(where, "%w", err)
		}
	}
	if g.ClientKeys != "" && g.ClientKeys != keepClientKeys && g.ClientKeys != replaceClientKeys {
		l.fail(g.place("client_keys"), "%s: must be keep or replace", settingValue(g.ClientKeys))
	}
	if g.ClientKeys != "" && len(g.Keys) == 0 && len(g.Secrets) == 0 {
		l.fail(g.place("client_keys"), "has no meaning without keys")
	}
	for _, name := range slices.Sorted(maps.Keys(g.Models)) {
		if !validModelName(name) || !validModelName(g.Models[name]) {
			l.fail(g.place("models"), "%s to %s: a name is letters, digits, dots, hyphens and underscores",
				settingValue(name), settingValue(g.Models[name]))
		}
	}
	l.checkOwnSettings(g)
}

// checkOwnSettings checks the settings of a group as those of the program are.
func (l *loader) checkOwnSettings(g *GroupConfig) {
	own := loader{config: l.config, origin: map[string]string{}, bad: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(g.Settings)) {
		s := settingByKey(name)
		if s == nil || !s.own {
			l.fail(g.place(name), "is not a setting that a group can have")
			continue
		}
		own.set(s, g.place(name), g.Settings[name])
	}
	c := &own.config
	if c.RetryMaxDelay < c.RetryBaseDelay && !l.bad["RETRY_BASE_DELAY"] && !l.bad["RETRY_MAX_DELAY"] && own.origin["RETRY_MAX_DELAY"]+own.origin["RETRY_BASE_DELAY"] != "" {
		own.fail(g.place("retry_max_delay"), `"%v": must not be less than retry_base_delay, which is "%v"`, c.RetryMaxDelay, c.RetryBaseDelay)
	}
	if c.EjectMaxTime < c.EjectTime && !l.bad["EJECT_TIME"] && !l.bad["EJECT_MAX_TIME"] && own.origin["EJECT_TIME"]+own.origin["EJECT_MAX_TIME"] != "" {
		own.fail(g.place("eject_max_time"), `"%v": must not be less than eject_time, which is "%v"`, c.EjectMaxTime, c.EjectTime)
	}
	l.errs = append(l.errs, own.errs...)
}

// checkFallback checks that a group's fallback is another group. Its own
// fallback is not followed, so that there is no chain to have an end.
func (l *loader) checkFallback(g *GroupConfig, known map[string]string) {
	if _, is := known[g.Fallback]; !is {
		l.fail(g.place("fallback"), "%s is not a group", settingValue(g.Fallback))
		return
	}
	if g.Fallback == g.Name {
		l.fail(g.place("fallback"), "must be another group")
	}
	// Where the group's own keys are used, the client's are not there to go on.
	if i := slices.IndexFunc(l.config.Groups, func(o GroupConfig) bool { return o.Name == g.Fallback }); len(g.Secrets) > 0 && (i < 0 || len(l.config.Groups[i].Secrets)+len(l.config.Groups[i].Keys) == 0) {
		l.fail(g.place("fallback"), "group %s has no keys, and this one has", settingValue(g.Fallback))
	}
}

func checkTarget(t *TargetConfig) error {
	if _, err := routing.ParseBase(t.URL); err != nil {
		return err
	}
	if _, err := routing.NewTable(map[string]string{"a": t.Path}, "a"); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if t.Weight < 0 || t.Weight > 1000 || t.Priority < 0 || t.Priority > 1000 {
		return errors.New("weight and priority must be at most 1000, and not negative")
	}
	return nil
}

func validModelName(name string) bool {
	const longest = 200
	return name != "" && len(name) <= longest && isHostText(name, ".-_")
}
