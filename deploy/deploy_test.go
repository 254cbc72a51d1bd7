package deploy

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"

	"gemini-resilient-proxy/proxy"
)

const unit = "gemini-resilient-proxy.service"

// maxExposure is systemd's exposure score times ten that the unit may have.
const maxExposure = "15"

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
