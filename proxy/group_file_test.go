package proxy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gemini-resilient-proxy/routing"
)

// load reads a file's text as it stands behind the name F.
func load(text string, env ...string) (Config, string) {
	l := loader{config: DefaultConfig(), origin: map[string]string{}, bad: map[string]bool{}}
	l.loadYAML("F", []byte(text))
	l.loadSections(envOf(env...))
	l.checkTogether()
	if err := errors.Join(l.errs...); err != nil {
		return l.config, err.Error()
	}
	return l.config, ""
}

const tokenHash = "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"

func TestGroupsOfAFile(t *testing.T) {
	c, mistakes := load(`
listen_addr: 127.0.0.1:1
stall_timeout: 7s
groups:
  gemini:
    targets:
      - https://a.example/base
      - url: http://b.example:81
        path: /team
        weight: 3
        priority: 1
        zone: eu
    keys: [env:KEYS]
    client_keys: replace
    key_requests_per_minute: 15
    fallback: spare
    models: {fast: gemini-2.5-flash}
    heal: shadow
    stall_timeout: 5s
    retry_finish_reasons: [OTHER]
    max_streams: 10
  1: {path: /one}
  spare: {keys: env:KEYS}
default_group: gemini
`, "KEYS", "# mine\nAIza-one\r\n\n  AIza-two  \n")
	if mistakes != "" {
		t.Fatal(mistakes)
	}
	g := c.Groups[0]
	g.origin = nil
	for i := range g.Targets {
		g.Targets[i].origin = ""
	}
	want := GroupConfig{
		Name: "gemini",
		Targets: []TargetConfig{
			{URL: "https://a.example/base"},
			{URL: "http://b.example:81", Path: "/team", Weight: 3, Priority: 1, Zone: "eu"},
		},
		Keys: []string{"env:KEYS"},
		Secrets: []routing.KeySpec{
			{Name: "env:KEYS#2", Secret: routing.Secret("AIza-one")}, {Name: "env:KEYS#4", Secret: routing.Secret("AIza-two")},
		},
		ClientKeys: "replace", KeyRequestsPerMinute: 15, Fallback: "spare",
		Models:   map[string]string{"fast": "gemini-2.5-flash"},
		Settings: map[string]string{"heal": "shadow", "stall_timeout": "5s", "retry_finish_reasons": "OTHER", "max_streams": "10"},
	}
	if !reflect.DeepEqual(g, want) {
		t.Errorf("\n got %+v\nwant %+v", g, want)
	}
	var names []string
	for _, g := range c.AllGroups() {
		names = append(names, g.Name)
	}
	if got := strings.Join(names, " "); got != "1 gemini spare" {
		t.Errorf("groups %s", got)
	}
	own := c.forGroup(&c.Groups[0])
	if own.Heal != "shadow" || own.StallTimeout.String() != "5s" || own.MaxStreams != 10 || len(own.RetryFinishReasons) != 1 {
		t.Errorf("%+v", own)
	}
	c.MaxStreams = 3
	if own = c.forGroup(&c.Groups[1]); own.StallTimeout.String() != "7s" || own.MaxStreams != 0 || own.Heal != "on" {
		t.Errorf("%+v", own)
	}
	if text := fmt.Sprintf("%+v %#v", c, c); strings.Contains(text, "AIza-") {
		t.Error("a printed configuration shows a key")
	}
}

func TestGroupsStandBesideTheMapping(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		c, mistakes := load(text)
		got := mistakes
		if got == "" {
			got = c.DefaultGroup + ":"
			for _, g := range c.AllGroups() {
				got += " " + g.Name + "=" + g.Path
			}
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	f("groups: {a: {path: /a}}", "a: a=/a")
	f("groups: {a: , default: }", "default: a= default=")
	f("groups: {a: , b: }", `DEFAULT_GROUP: "default": must be one of the groups of GROUP_MAPPING and groups: a, b`)
	f("group_mapping: {x: /x}\ngroups: {a: {path: /a}}\ndefault_group: x", "x: a=/a x=/x")
	f("group_mapping: {a: /x}\ngroups: {a: {path: /a}}\ndefault_group: a", `F:2:10: groups: group "a" is in GROUP_MAPPING too`)
}

func TestGroupMistakes(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, got := load("listen_addr: 127.0.0.1:1\ndefault_group: a\ngroups:\n  a:\n"+text, "K", "key")
		if got != strings.Join(want, "\n") {
			t.Errorf("%s\n got %s\nwant %s", text, got, strings.Join(want, "\n"))
		}
	}
	f("    path: a", `F:5:5: group "a": path: group "a": the path must begin with "/"`)
	f("    path: [a]", `F:5:11: group "a": path: must be a single value, not a list`)
	f("    path:", `F:5:11: group "a": path: has no value; write "" for the empty one`)
	f("    wat: 1", `F:5:5: group "a": "wat" is not a member; there are path, targets, keys, client_keys, key_requests_per_minute, fallback, models`)
	f("    stal_timeout: 1s", `F:5:5: group "a": "stal_timeout" is not a member; did you mean stall_timeout?`)
	f("    listen_addr: :1", `F:5:5: group "a": "listen_addr" is a setting of the whole program`)
	f("    stall_timeout: 5", `F:5:5: group "a": stall_timeout: "5": a duration needs a unit; write "5s"`)
	f("    stall_timeout: 5s\n    stall_timeout: 6s", `F:6:5: group "a": "stall_timeout" is given twice`)
	f("    eject_time: 10m", `F:4:3: group "a": eject_max_time: "5m0s": must not be less than eject_time, which is "10m0s"`)
	f("    fallback: a", `F:5:5: group "a": fallback: must be another group`)
	f("    fallback: b", `F:5:5: group "a": fallback: "b" is not a group`)
	f("    keys: env:K\n    fallback: b\n  b:", `F:6:5: group "a": fallback: group "b" has no keys, and this one has`)
	f("    client_keys: replace", `F:5:5: group "a": client_keys: has no meaning without keys`)
	f("    models: {a: b/c}", `F:5:5: group "a": models: "a" to "b/c": a name is letters, digits, dots, hyphens and underscores`)
	f("    models: {a: [b]}", `F:5:14: group "a": models: "a": must be a single value, not a list`)
	f("    models: {a: b, a: c}", `F:5:20: group "a": models: "a" is given twice`)
	f("    targets: x", `F:5:14: group "a": targets: must be a list`)
	f("    targets: []", `F:5:14: group "a": targets: must hold at least one target`)
	f("    targets: [ftp://x]", `F:5:15: group "a": targets[0]: the URL must begin with http:// or https://`)
	f("    targets:\n      - http://x\n      - {weight: 0, url: http://y}", `F:7:18: group "a": targets[1]: weight: "0": must be a whole number from 1 to 1000`)
	f("    targets:\n      - weight: 1", `F:6:9: group "a": targets[0]: url is missing`)
	f("    targets:\n      - url: http://x\n        colour: red", `F:7:9: group "a": targets[0]: "colour" is not a member; there are url, path, weight, priority, zone`)
	f("    keys: [env:NOT_SET]", `F:5:11: group "a": keys: env:NOT_SET: the variable is not set`)
	f("    keys: []", `F:5:11: group "a": keys: must hold at least one place where keys stand`)
	f("    keys: file:relative", `F:5:11: group "a": keys: file: takes an absolute path`)
	f("    keys: file:/not/there", `F:5:11: group "a": keys: file:/not/there: cannot be read: no such file or directory`)
	f("    keys: credential:x", `F:5:11: group "a": keys: credential:x: CREDENTIALS_DIRECTORY is not set; systemd sets it for LoadCredential=`)
	f("  a: {}", `F:5:3: group "a": given twice`)
	f("  'b:c': {}", `F:5:3: group "b:c": path: group "b:c": a name is 1 to 64 letters, digits, dots, hyphens and underscores, and begins with a letter or a digit`)
	if _, got := load("groups: [a]"); got != "F:1:9: groups: must be a mapping of names to groups, at least one" {
		t.Error(got)
	}
	if _, got := load("group: {}"); !strings.Contains(got, "did you mean groups?") {
		t.Error(got)
	}
}

// Whoever writes a key where its place should stand does not find it in a log.
func TestMistakesShowNoSecret(t *testing.T) {
	for _, text := range []string{
		"groups: {a: {keys: [AIzaCANARY]}}", "groups: {a: {keys: AIzaCANARY}}", "groups: {a: {keys: 'file:x AIzaCANARY'}}",
		"clients: [{name: a, token: AIzaCANARY}]", "clients: [{name: a, token: 'sha256:CANARY'}]",
		"groups: {a: {keys: env:K}}", "groups: {a: {keys: env:AIzaSyCANARY_0123456789abcdef}}",
	} {
		_, got := load("listen_addr: 127.0.0.1:1\n"+text, "K", "CANARY\nCANARY\nbad CANARY")
		if got == "" || strings.Contains(got, "CANARY") {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestKeySources(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f := func(source, want string, env ...string) {
		t.Helper()
		keys, errs := readKeys([]string{source}, envOf(env...))
		got := ""
		for _, k := range keys {
			got += strings.TrimPrefix(k.Name, source) + "=" + string(k.Secret) + " "
		}
		if err := errors.Join(errs...); err != nil {
			got += err.Error()
		}
		if got = strings.TrimSpace(got); got != want {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
	f("env:K", "#1=abc", "K", "abc")
	f("env:K", "#1=abc #2=def", "K", "abc\ndef\n")
	f("env:K", "env:K: holds no key", "K", "\n# x\n")
	f("env:K", "#1=a env:K#2: is the same key as env:K#1", "K", "a\na")
	f("env:K", "env:K#1: holds a comma, which has no place in a key; keys stand one a line", "K", "a,b")
	f("env:K", "#1=a env:K#2: holds a character that has no place in a key, or is too long", "K", "a\nb c")
	file := write("keys", "\ufeffone\r\n\r\ntwo")
	f("file:"+file, "#1=one #3=two")
	f("credential:keys", "#1=one #3=two", "CREDENTIALS_DIRECTORY", dir)
	f("credential:../keys", errKeySource.Error(), "CREDENTIALS_DIRECTORY", dir)
	f("file:"+write("empty", ""), "file:"+dir+"/empty: holds no key")
	f("file:"+dir, "file:"+dir+": cannot be read: is a directory, must be a regular file or a link to one")
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, "AIzaSyKeyNumber-%08d-of-ten-thousand\n", i)
	}
	keys, errs := readKeys([]string{"file:" + write("many", many.String())}, envOf())
	if len(keys) != 10_000 || len(errs) != 0 {
		t.Errorf("%d keys, %v", len(keys), errs)
	}
	if _, errs = readKeys([]string{"env:NONE", "env:K"}, envOf("K", "\n")); len(errs) != 2 {
		t.Errorf("%v, want a mistake for each source", errs)
	}
}

func TestClientsOfAFile(t *testing.T) {
	const groups = "groups: {a: {keys: env:K}}\n"
	c, mistakes := load(groups+"clients:\n  - name: team@example\n    token: "+tokenHash+
		"\n    groups: [a]\n    models: gemini-2*\n    requests_per_minute: 60\n    max_streams: 4\n  - {name: b, token: env:HASH}", "K", "key", "HASH", routing.HashToken([]byte("x"))+"\n")
	if mistakes != "" {
		t.Fatal(mistakes)
	}
	want := routing.ClientSpec{Name: "team@example", Groups: []string{"a"}, Models: []string{"gemini-2*"}, PerMinute: 60, Streams: 4}
	want.Hash, _ = routing.ParseTokenHash(tokenHash)
	if !reflect.DeepEqual(c.Clients[0].ClientSpec, want) || c.Clients[1].Name != "b" {
		t.Errorf("%+v", c.Clients)
	}
	f := func(text string, want ...string) {
		t.Helper()
		if _, got := load(text, "K", "key"); got != strings.Join(want, "\n") {
			t.Errorf("%s\n got %s\nwant %s", text, got, strings.Join(want, "\n"))
		}
	}
	const exposed = `group "a" has keys, and whoever reaches this address could use them; list who may under clients, or listen on loopback or a unix socket`
	f(groups, `LISTEN_ADDR: ":8080": `+exposed)
	f(groups+"listen_addr: 0.0.0.0:80", `F:2:1: listen_addr: "0.0.0.0:80": `+exposed)
	f(groups + "listen_addr: 127.0.0.1:80")
	f(groups + "listen_addr: '[::1]:80'")
	f(groups + "listen_addr: localhost:80")
	f(groups + "listen_addr: unix:/run/x.sock")
	f("clients: []", "F:1:10: clients: must be a list of clients, at least one")
	f("clients: [{name: a, token: "+tokenHash+"}, {name: a, token: "+tokenHash+"}]",
		`F:1:102: client "a": the name is given twice`, `F:1:102: client "a": has the same token as client "a"`)
	f("clients: [{name: a b, token: x, groups: b}]",
		`F:1:30: clients[0]: token: must be "sha256:" and the 64 hexadecimal digits of the token's SHA-256`,
		`F:1:11: client "a b": a name is 1 to 64 letters, digits, dots, hyphens, underscores and @`,
		`F:1:11: client "a b": groups: "b" is not a group`)
	f("clients: [{name: a, token: "+routing.HashToken(nil)+"}]", "F:1:28: clients[0]: token: is the SHA-256 of nothing: whoever sends no token would have it")
	const all = "must hold at least one; who may use all has no such list, and who may use none is no client"
	f("clients: [{name: a, token: "+tokenHash+", groups: [], models: []}]", "F:1:109: clients[0]: groups: "+all, "F:1:121: clients[0]: models: "+all)
	const model = `: must be the name of a model, without what stands before it ("models/"), or how names begin, with "*" at the end`
	f("clients: [{name: a, token: "+tokenHash+", models: ['', '*x', models/m, m, 'm*', '*', 'ft:m@1']}]",
		`F:1:11: client "a": models: ""`+model, `F:1:11: client "a": models: "*x"`+model, `F:1:11: client "a": models: "models/m"`+model)
	f("clients: [{name: a}]", "F:1:11: clients[0]: token is missing")
	f("clients: [a]", "F:1:11: clients[0]: must be a mapping")
}

// A file has room for as many clients as a large team has services.
func TestManyClients(t *testing.T) {
	text := "groups:\n  main: {path: /x}\nclients:\n"
	for i := range 2000 {
		text += fmt.Sprintf("  - {name: c%d, token: \"sha256:%064x\", groups: [main], models: [fast, gemini-2.5-*], requests_per_minute: 600, max_streams: 50}\n", i, i)
	}
	c, err := LoadConfig(configFile(t, text), envOf())
	if err != nil || len(c.Clients) != 2000 {
		t.Errorf("%d clients, %v", len(c.Clients), err)
	}
}
