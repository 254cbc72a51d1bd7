package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gemini-resilient-proxy/proxy"
	"gemini-resilient-proxy/routing"
)

var (
	// assigned is what stands in front of a command, or alone on a line.
	assigned = regexp.MustCompile(`^(?:[A-Z][A-Z0-9_]*=(?:'[^']*'|"[^"]*"|[^\s'";&|])*(?:\s+|$))+`)
	assignee = regexp.MustCompile(`^([A-Z][A-Z0-9_]*)=(\S*)$`)
	keyFile  = regexp.MustCompile(`\bfile:(/[\w./-]+)`)
	language = regexp.MustCompile("(?m)^```([^`\n]+)$")
)

// settingsOf is the environment that a shell makes of the assignments in a
// block of commands, as far as they are settings.
func settingsOf(block string, known []string) (map[string]string, error) {
	env := map[string]string{}
	for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
		words := assigned.FindString(strings.TrimSpace(line))
		if words == "" {
			continue
		}
		out, err := exec.Command("env", "-i", "bash", "--norc", "-c", "set -a; "+words+"\nexec env -0").Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", words, err)
		}
		for pair := range strings.SplitSeq(string(out), "\x00") {
			if name, value, _ := strings.Cut(pair, "="); slices.Contains(known, name) {
				env[name] = value
			}
		}
	}
	return env, nil
}

// loads reads settings as the program does.
func loads(file string, env map[string]string) error {
	_, err := proxy.LoadConfig(file, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	return err
}

// badSettings are the settings in the page that the program would not take.
func (p page) badSettings(t *testing.T, known []string) (bad []string) {
	t.Helper()
	add := func(err error) {
		if err != nil {
			bad = append(bad, err.Error())
		}
	}
	for _, b := range p.blocks("bash") {
		env, err := settingsOf(b, known)
		if err == nil && len(env) > 0 {
			err = loads("", env)
		}
		add(err)
	}
	for _, c := range p.quoted() {
		if m := assignee.FindStringSubmatch(c); m != nil && m[2] != "" && !strings.Contains(c, "…") && slices.Contains(known, m[1]) {
			add(loads("", map[string]string{m[1]: m[2]}))
		}
	}
	for _, b := range p.blocks("yaml") {
		add(loadsFile(t, b))
	}
	return bad
}

// loadsFile reads a block of YAML as the program's file. The files of keys that
// it names are there, each with a key.
func loadsFile(t *testing.T, text string) error {
	t.Helper()
	dir := t.TempDir()
	put := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keys := 0
	key := func() string { keys++; return fmt.Sprintf("AIzaSomething%d\n", keys) }
	for _, m := range keyFile.FindAllStringSubmatch(text, -1) {
		put(m[1], key())
	}
	env := map[string]string{"CREDENTIALS_DIRECTORY": dir}
	for _, m := range regexp.MustCompile(`\b(env|credential):([\w-]+)`).FindAllStringSubmatch(text, -1) {
		if m[1] == "credential" {
			put(m[2], key())
		} else {
			env[m[2]] = key()
		}
	}
	text = keyFile.ReplaceAllString(text, "file:"+dir+"$1")
	text = strings.ReplaceAll(text, "sha256:…", routing.HashToken([]byte("token")))
	put("config.yaml", text)
	return loads(filepath.Join(dir, "config.yaml"), env)
}

// What the pages say to set is taken as it stands there, by way of a shell.
func TestSettingsOnPagesAreTaken(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("bash is not installed")
	}
	known := namesOfProject(t).settings
	for _, p := range pages(t) {
		for _, bad := range p.badSettings(t, known) {
			t.Errorf("%s: %s", p.path, bad)
		}
		// What is in another language is looked at by no test.
		for _, m := range language.FindAllStringSubmatch(p.text, -1) {
			if !slices.Contains([]string{"bash", "yaml", "ini"}, m[1]) {
				t.Errorf("%s: a block of code in %q", p.path, m[1])
			}
		}
	}
}

// The test of settings sees what it should.
func TestBadSettingsAreSeen(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("bash is not installed")
	}
	known := namesOfProject(t).settings
	f := func(text string, want ...string) {
		t.Helper()
		got := page{"docs/this.md", text}.badSettings(t, known)
		if len(got) != len(want) {
			t.Fatalf("%s:\n got %q\nwant %q", text, got, want)
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%s:\n got %q\nwant %q", text, got, want)
			}
		}
	}
	f("```bash\nGROUP_MAPPING='{\"default\":\"\",\"a\":\"/a\"}' DEFAULT_GROUP=a ./proxy\n```\n")
	f("```bash\nGROUP_MAPPING={\"default\":\"\",\"a\":\"/a\"}\n```\n", "GROUP_MAPPING")
	f("```bash\nMY_OWN=1 HEAL=of STALL_TIMEOUT=2 \\\n  ./proxy # nothing\nHEAL=on\n```\n", "STALL_TIMEOUT")
	f("`HEAL=shadow`, `GOGC=x`, `HEAL=…`, `ADMIN_ADDR=`")
	f("`HEAL=maybe`", "HEAL")
	f("```yaml\nkeys: env:KEYS\n```\n", "keys")
	f("```yaml\nlisten_addr: 127.0.0.1:0\ngroups:\n  default:\n    keys: [file:/etc/keys, env:KEYS, credential:more]\n```\n")
}
