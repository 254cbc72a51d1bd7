package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
)

// versions maps the clients' packages to the versions that are pinned in the
// lock file of node and in the go.mod of go.
func versions(here string) (map[string]string, error) {
	got := make(map[string]string)
	b, err := os.ReadFile(filepath.Join(here, "node", "package-lock.json"))
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]struct{ Version string }
	}
	if err := json.Unmarshal(b, &lock); err != nil {
		return nil, err
	}
	for path, p := range lock.Packages {
		if name, ok := strings.CutPrefix(path, "node_modules/"); ok {
			got[name] = p.Version
		}
	}
	b, err = os.ReadFile(filepath.Join(here, "go", "go.mod"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(f) >= 2 && strings.HasPrefix(f[1], "v") {
			got[f[0]] = strings.TrimPrefix(f[1], "v")
		}
	}
	return got, nil
}
