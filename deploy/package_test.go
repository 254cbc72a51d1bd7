package deploy

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"gemini-resilient-proxy/proxy"
)

var update = flag.Bool("update", false, "write the settings into the manual page")

const manual = "gemini-resilient-proxy.8"

// TestManualListsEverySetting compares the page with the table of settings.
func TestManualListsEverySetting(t *testing.T) {
	page, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = ".\\\" settings, written by: go test ./deploy -update\n", ".\\\" end of settings\n"
	head, rest, ok := bytes.Cut(page, []byte(begin))
	_, foot, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		t.Fatalf("%s has lost the marks of its settings", manual)
	}
	var want bytes.Buffer
	want.Write(head)
	want.WriteString(begin)
	for _, s := range proxy.Settings() {
		def := s.Default
		if def == "" {
			def = "empty"
		}
		fmt.Fprintf(&want, ".TP\n.B %s\n%s.\nDefault: %s\n", roff(s.Name), roff(s.Meaning), roff(def))
	}
	want.WriteString(end)
	want.Write(foot)
	if bytes.Equal(want.Bytes(), page) {
		return
	}
	if !*update {
		t.Fatalf("the settings have changed; run: go test ./deploy -update")
	}
	if err := os.WriteFile(manual, want.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// roff escapes what groff would take for its own.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "^", `\(ha`, "~", `\(ti`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}

func TestManualIsGoodRoff(t *testing.T) {
	tool, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff is not installed")
	}
	var complaints, text bytes.Buffer
	cmd := exec.Command(tool, "-man", "-Tutf8", "-ww", "-P-cbou", manual)
	cmd.Stderr, cmd.Stdout = &complaints, &text
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Errorf("%v: %s", err, complaints.String())
	}
	for _, s := range proxy.Settings() {
		if !strings.Contains(text.String(), s.Name) {
			t.Errorf("the page does not show %s", s.Name)
		}
	}
}

// TestPackageTakesOnlyWhatExists reads the package's list of files: what is not
// made by dist.sh must be in the tree.
func TestPackageTakesOnlyWhatExists(t *testing.T) {
	text, err := os.ReadFile("nfpm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Contents []struct{ Src, Dst, Type string }
		Scripts  map[string]string
	}
	if err := yaml.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	sources := []string{}
	for _, c := range list.Contents {
		if c.Type != "dir" && !strings.HasPrefix(c.Src, "dist/") {
			sources = append(sources, c.Src)
		}
		if config := strings.HasPrefix(c.Dst, "/etc/"); config && c.Type != "config|noreplace" && c.Type != "dir" {
			t.Errorf("%s would be overwritten by an upgrade", c.Dst)
		}
	}
	for _, s := range list.Scripts {
		sources = append(sources, s)
		if out, err := exec.Command("sh", "-n", filepath.Join("..", s)).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", s, out)
		}
	}
	if len(sources) < 8 {
		t.Fatalf("only %d files found", len(sources))
	}
	for _, s := range sources {
		if found, err := filepath.Glob(filepath.Join("..", s)); err != nil || len(found) == 0 {
			t.Errorf("the package wants %s, which is not there", s)
		}
	}
}

// TestUnitsAreGood has systemd read all units, with every line of them switched
// on.
func TestUnitsAreGood(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	// The program that the unit starts must be there.
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	base := strings.TrimSuffix(unit, ".service")
	args := []string{"verify", "--man=no", "--recursive-errors=no"}
	for _, name := range []string{unit, base + ".socket", base + "-admin.socket"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("/usr/local/bin/gemini-resilient-proxy"), []byte(self))
		text = bytes.ReplaceAll(text, []byte("\n#LoadCredential"), []byte("\nLoadCredential"))
		text = bytes.ReplaceAll(text, []byte("\n#Environment"), []byte("\nEnvironment"))
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, filepath.Join(dir, name))
	}
	dropin, err := os.ReadFile("systemd-before-253.conf")
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, unit+".d"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, unit+".d", "systemd-before-253.conf"), dropin, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, args...).CombinedOutput()
	if strings.Contains(string(out), "unrecognized option") {
		t.Skip("systemd-analyze is too old")
	}
	for line := range strings.Lines(string(out)) {
		// Before version 253 notify-reload is unknown, as the unit says.
		if strings.Contains(line, "gemini-resilient-proxy") && !strings.Contains(line, "notify-reload") {
			t.Error(line)
		}
	}
	if err != nil && !t.Failed() {
		t.Logf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestSocketTakesThePlaceOfTheAddress: with the socket unit the program must
// be reached where the example settings say.
func TestSocketTakesThePlaceOfTheAddress(t *testing.T) {
	text, err := os.ReadFile("gemini-resilient-proxy.socket")
	if err != nil {
		t.Fatal(err)
	}
	none := func(string) (string, bool) { return "", false }
	cfg, err := proxy.LoadConfig("config.example.yaml", none)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "\nListenStream="+cfg.ListenAddr+"\n") {
		t.Errorf("the socket does not listen on %s", cfg.ListenAddr)
	}
}
