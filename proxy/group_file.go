package proxy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"gemini-resilient-proxy/routing"
)

// groupMembers are what a group of the file may say beside settings of its own.
var groupMembers = []member[GroupConfig]{
	{"path", "path put between the base of a target and the client's path", textSchema,
		loadText(func(g *GroupConfig) *string { return &g.Path })},
	{"targets", "where requests go; without it, UPSTREAM_URL_BASE", listSchema(eitherSchema(textSchema, objectSchema(targetMembers))), loadTargets},
	{"keys", "where keys stand that requests are sent with, each env:NAME, file:/PATH or credential:NAME, one key a line",
		listSchema(patternSchema(`^(env:[A-Za-z0-9_]+|file:/.+|credential:[A-Za-z0-9_-][A-Za-z0-9._-]*)$`)), loadKeys},
	{"client_keys", "what becomes of a key that a client brings to a group with keys: keep (as without the member) or replace",
		wordSchema(keepClientKeys, replaceClientKeys), loadText(func(g *GroupConfig) *string { return &g.ClientKeys })},
	{"key_requests_per_minute", "requests that each key may begin within a minute; 0 is no limit", numberSchema(0, 1_000_000),
		loadNumber(func(g *GroupConfig) *int { return &g.KeyRequestsPerMinute }, 0, 1_000_000)},
	{"fallback", "group that takes over what this one cannot do", textSchema,
		loadText(func(g *GroupConfig) *string { return &g.Fallback })},
	{"models", "clients' names of models to the upstream's", mapSchema(textSchema), loadModels},
}

var targetMembers = []member[TargetConfig]{
	{"url", "scheme://host[:port][/path]", textSchema, loadText(func(t *TargetConfig) *string { return &t.URL })},
	{"path", "path after that; without it, the group's", textSchema, loadText(func(t *TargetConfig) *string { return &t.Path })},
	{"weight", "share of the load; 1 without it", numberSchema(1, 1000), loadNumber(func(t *TargetConfig) *int { return &t.Weight }, 1, 1000)},
	{"priority", "rank, 0 the best; worse ones are used when no better one is admitted", numberSchema(0, 1000),
		loadNumber(func(t *TargetConfig) *int { return &t.Priority }, 0, 1000)},
	{"zone", "what fails together; a retry prefers another zone", textSchema, loadText(func(t *TargetConfig) *string { return &t.Zone })},
}

var clientMembers = []member[ClientConfig]{
	{"name", "name in logs and metrics", textSchema, loadText(func(c *ClientConfig) *string { return &c.Name })},
	{"token", "SHA-256 of the client's token: sha256:HEX, or file:/PATH, env:NAME or credential:NAME of where that stands",
		patternSchema(`^(sha256:[0-9A-Fa-f]{64}|env:[A-Za-z0-9_]+|file:/.+|credential:[A-Za-z0-9_-][A-Za-z0-9._-]*)$`), loadToken},
	{"groups", "groups that it may use; without it, all", someSchema(textSchema), loadSome(func(c *ClientConfig) *[]string { return &c.Groups })},
	{"models", "models that it may ask, * at the end for all that begin so; without it, all", someSchema(textSchema),
		loadSome(func(c *ClientConfig) *[]string { return &c.Models })},
	{"requests_per_minute", "requests that it may begin within a minute; 0 is no limit", numberSchema(0, 1_000_000),
		loadNumber(func(c *ClientConfig) *int { return &c.PerMinute }, 0, 1_000_000)},
	{"max_streams", "requests of its that run at once; 0 is no limit", numberSchema(0, 1_000_000),
		loadNumber(func(c *ClientConfig) *int { return &c.Streams }, 0, 1_000_000)},
}

// loadSections reads the sections that loadPair has put aside, once all
// settings are known.
func (l *loader) loadSections(getenv func(string) (string, bool)) {
	l.getenv = getenv
	for i := range l.sections {
		s := &l.sections[i]
		switch s.key {
		case groupsSection:
			l.loadGroups(s)
		case clientsSection:
			l.loadClients(s)
		}
	}
}

// loadGroups reads the groups. They take the place of the default GROUP_MAPPING;
// one that was written stands beside them.
func (l *loader) loadGroups(s *section) {
	pairs, ok := yamlPairs(s.node)
	if !ok || len(pairs) == 0 {
		s.fail(s.node, "must be a mapping of names to groups, at least one")
		return
	}
	if l.origin["GROUP_MAPPING"] == "" {
		l.config.GroupMapping = nil
	}
	for _, pair := range pairs {
		name, ok := yamlKey(pair.Key)
		if !ok {
			s.fail(pair.Key, "the name of a group must be plain text")
			continue
		}
		if _, twice := l.config.GroupMapping[name]; twice {
			s.fail(pair.Key, "group %s is in GROUP_MAPPING too", settingValue(name))
			continue
		}
		g := GroupConfig{Name: name, Settings: map[string]string{}}
		in := &section{l: l, file: s.file, key: "group " + settingValue(name), node: pair.Value, at: pair.Key}
		g.origin = loadMembers(in, groupMembers, &g, func(key string, pair *ast.MappingValueNode) bool {
			return loadOwnSetting(in, &g, key, pair)
		})
		l.config.Groups = append(l.config.Groups, g)
	}
	if l.origin["DEFAULT_GROUP"] == "" && len(l.config.Groups) == 1 && len(l.config.GroupMapping) == 0 {
		l.config.DefaultGroup = l.config.Groups[0].Name
	}
}

// loadOwnSetting reads a setting that a group has of its own.
func loadOwnSetting(s *section, g *GroupConfig, key string, pair *ast.MappingValueNode) bool {
	setting := settingByKey(key)
	if setting == nil {
		if near := nearestKey(key); near != "" {
			s.fail(pair.Key, "%s is not a member; did you mean %s?", settingValue(key), near)
			return true
		}
		return false
	}
	if !setting.own {
		s.fail(pair.Key, "%s is a setting of the whole program", settingValue(key))
		return true
	}
	text, err := yamlText(pair.Value, setting.shape)
	if err != nil {
		s.fail(pair.Key, "%s: %w", key, err)
		return true
	}
	g.Settings[key] = text
	return true
}

func loadTargets(s *section, g *GroupConfig, value ast.Node) error {
	items, ok := value.(*ast.SequenceNode)
	if !ok {
		return errors.New("must be a list")
	}
	for i, item := range items.Values {
		t := TargetConfig{origin: yamlPlace(s.file, item)}
		if text, err := yamlScalar(item); err == nil {
			t.URL = text
		} else {
			in := &section{l: s.l, file: s.file, key: fmt.Sprintf("%s: targets[%d]", s.key, i), node: item, at: item}
			origin := loadMembers(in, targetMembers, &t, nil)
			if origin == nil {
				continue
			}
			if t.URL == "" && origin["url"] == "" {
				in.fail(item, "url is missing")
				continue
			}
		}
		g.Targets = append(g.Targets, t)
	}
	if len(items.Values) == 0 {
		return errors.New("must hold at least one target")
	}
	return nil
}

func loadKeys(s *section, g *GroupConfig, value ast.Node) error {
	if err := loadList(func(g *GroupConfig) *[]string { return &g.Keys })(s, g, value); err != nil {
		return err
	}
	if len(g.Keys) == 0 {
		return errors.New("must hold at least one place where keys stand")
	}
	for _, source := range g.Keys {
		s.l.watch(source)
	}
	secrets, errs := readKeys(g.Keys, s.l.getenv)
	g.Secrets = secrets
	for _, err := range errs {
		s.fail(value, "keys: %w", err)
	}
	return nil
}

func loadModels(s *section, g *GroupConfig, value ast.Node) error {
	pairs, ok := yamlPairs(value)
	if !ok {
		return errors.New("must be a mapping of names to names")
	}
	g.Models = map[string]string{}
	for _, pair := range pairs {
		name, ok := yamlKey(pair.Key)
		if !ok {
			s.fail(pair.Key, "models: the name of a model must be plain text")
			continue
		}
		to, err := yamlScalar(pair.Value)
		if err != nil {
			s.fail(pair.Key, "models: %s: %w", settingValue(name), err)
			continue
		}
		if _, twice := g.Models[name]; twice {
			s.fail(pair.Key, "models: %s is given twice", settingValue(name))
			continue
		}
		g.Models[name] = to
	}
	return nil
}

func (l *loader) loadClients(s *section) {
	items, ok := s.node.(*ast.SequenceNode)
	if !ok || len(items.Values) == 0 {
		s.fail(s.node, "must be a list of clients, at least one")
		return
	}
	for i, item := range items.Values {
		c := ClientConfig{}
		in := &section{l: l, file: s.file, key: fmt.Sprintf("clients[%d]", i), node: item, at: item}
		origin := loadMembers(in, clientMembers, &c, nil)
		if origin == nil {
			continue
		}
		c.origin = yamlPlace(s.file, item)
		if origin["token"] == "" {
			in.fail(item, "token is missing")
			c.tokenBad = true
		}
		l.config.Clients = append(l.config.Clients, c)
	}
}

// loadToken reads the hash of a token. What stands there is never repeated: it
// may be the token itself.
func loadToken(s *section, c *ClientConfig, value ast.Node) error {
	text, err := yamlScalar(value)
	c.tokenBad = true
	if err != nil {
		return err
	}
	if checkKeySource(text) == nil {
		s.l.watch(text)
		if text, err = readKeySource(text, s.l.getenv); err != nil {
			return err
		}
	}
	if c.Hash, err = routing.ParseTokenHash(strings.TrimSpace(text)); err != nil {
		return err
	}
	c.tokenBad = false
	return nil
}
