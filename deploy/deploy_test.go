package deploy

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"gemini-resilient-proxy/proxy"
)

const unit = "gemini-resilient-proxy.service"

// maxExposure is systemd's exposure score times ten that the unit may have.
const maxExposure = "13"

func TestUnitIsHardened(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	out, err := exec.Command(tool, "security", "--offline=true", "--threshold="+maxExposure, unit).CombinedOutput()
	if strings.Contains(string(out), "unrecognized option") {
		t.Skip("systemd-analyze is too old to read units offline")
	}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		t.Fatalf("%v: %s", err, lines[len(lines)-1])
	}
}

func TestUnitStopsLaterThanTheDrainEnds(t *testing.T) {
	b, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "TimeoutStopSec=")
	value, _, _ := strings.Cut(rest, "\n")
	if !ok || value != "330s" || proxy.DefaultConfig().DrainTimeout.Seconds() > 300 {
		t.Errorf("TimeoutStopSec=%s must exceed DRAIN_TIMEOUT %v", value, proxy.DefaultConfig().DrainTimeout)
	}
}

func TestExampleSettingsAreGood(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	if _, err := proxy.LoadConfig("config.example.yaml", none); err != nil {
		t.Error(err)
	}
}

// The environment file is read as it would be with every example switched on.
func TestExampleEnvironmentIsGood(t *testing.T) {
	f, err := os.Open("env.example")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	env := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "# "), "=")
		if ok && strings.ToUpper(name) == name && !strings.Contains(name, " ") {
			env[name] = strings.Trim(value, "'")
		}
	}
	if len(env) < 5 {
		t.Fatalf("only %d settings found in env.example", len(env))
	}
	known := map[string]bool{}
	for _, s := range proxy.Settings() {
		known[s.Name] = true
	}
	for name := range env {
		if !known[name] {
			t.Errorf("env.example names %s, which is no setting", name)
		}
	}
	get := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	if _, err := proxy.LoadConfig("", get); err != nil {
		t.Error(err)
	}
}

func TestSchemaIsThatOfTheProgram(t *testing.T) {
	b, err := os.ReadFile("config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, proxy.Schema()) {
		t.Error("config.schema.json is not what the program prints: run make schema")
	}
}

// check validates a file against the schema, as an editor does.
func check(t *testing.T, text string) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(proxy.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	inJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(inJSON))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(value)
}

// examples returns the example as it is, and with every line of it switched on.
func examples(t *testing.T) (plain, full string) {
	t.Helper()
	b, err := os.ReadFile("config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	plain = string(b)
	const example = "# groups:"
	i := strings.Index(plain, example)
	if i < 0 {
		t.Fatal("the example has no groups")
	}
	var on strings.Builder
	for line := range strings.Lines(plain[:i]) {
		if !strings.HasPrefix(line, "group_mapping") && !strings.HasPrefix(line, "  default") {
			on.WriteString(line)
		}
	}
	for line := range strings.Lines(plain[i:]) {
		if strings.HasPrefix(line, "# Who") {
			continue
		}
		on.WriteString(strings.TrimPrefix(strings.TrimPrefix(line, "# "), "#"))
	}
	return plain, on.String()
}

func TestExampleFitsTheSchema(t *testing.T) {
	plain, full := examples(t)
	for _, text := range []string{plain, full} {
		if err := check(t, text); err != nil {
			t.Error(err)
		}
	}
	// And what the program does not take, the schema does not either.
	for _, text := range []string{
		"stall_timeot: 1s", "stall_timeout: 90", "max_attempts: 0", "groups: [a]", "groups: {a: {wat: 1}}",
		"groups: {a: {keys: [AIzaKey]}}", "groups: {a: {targets: [{url: x, weight: 0}]}}", "groups: {a: {listen_addr: ':1'}}",
		"clients: [{name: a}]", "clients: [{name: a, token: plain}]", "heal: maybe",
	} {
		if check(t, text) == nil {
			t.Errorf("the schema takes %s", text)
		}
	}
}

// The part that is switched off is good too.
func TestExampleGroupsAreGood(t *testing.T) {
	_, full := examples(t)
	dir := t.TempDir()
	for name, key := range map[string]string{"gemini-keys": "one\n", "spare-keys": "two\n"} {
		if err := os.WriteFile(dir+"/"+name, []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	full = strings.ReplaceAll(full, "file:/etc/gemini-resilient-proxy/", "file:"+dir+"/")
	file := dir + "/config.yaml"
	if err := os.WriteFile(file, []byte(full), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) (string, bool) { return dir, name == "CREDENTIALS_DIRECTORY" }
	c, err := proxy.LoadConfig(file, env)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Groups) != 2 || len(c.Clients) != 1 || len(c.Groups[0].Secrets) != 1 {
		t.Errorf("%d groups, %d clients", len(c.Groups), len(c.Clients))
	}
}
