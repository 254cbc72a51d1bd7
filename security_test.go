package main

import (
	"go/ast"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// securityPage returns SECURITY.md.
func securityPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// TestSecurityPageNamesWhatIsThere finds each test and file that SECURITY.md
// names, and each fuzz target of the project in it.
func TestSecurityPageNamesWhatIsThere(t *testing.T) {
	page := securityPage(t)
	var there, fuzz []string
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !s.isTest() || f.Recv != nil {
				continue
			}
			there = append(there, f.Name.Name)
			if strings.HasPrefix(f.Name.Name, "Fuzz") {
				fuzz = append(fuzz, f.Name.Name)
			}
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(page, -1)
	if len(named) < 40 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, m := range named {
		if !slices.Contains(there, m[1]) {
			t.Errorf("SECURITY.md names %s, which is not there", m[1])
		}
	}
	for _, name := range fuzz {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("SECURITY.md does not name %s", name)
		}
	}
	for _, m := range regexp.MustCompile("`([.\\w/-]+/[.\\w/-]+)`|\\]\\(([^):]+)\\)").FindAllStringSubmatch(page, -1) {
		path, _, _ := strings.Cut(m[1]+m[2], "#")
		if strings.HasPrefix(path, "/") {
			continue // of the admin listener
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("SECURITY.md names %s: %v", path, err)
		}
	}
}

// TestVulnerabilityScan tells what was found from what was not looked for.
func TestVulnerabilityScan(t *testing.T) {
	for _, program := range []string{"bash", "timeout"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	f := func(status int, says, scanner, limit string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "scanner")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+scanner+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(".ci/vulnerabilities")
		cmd.Env = append(os.Environ(), "GOVULNCHECK="+path, "VULNERABILITIES_TIMEOUT="+limit)
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != status || !strings.Contains(string(out), says) {
			t.Errorf("%s: status %d, want %d and %q\n%s", scanner, got, status, says, out)
		}
	}
	f(0, "no known vulnerability can be reached", "exit 0", "60")
	f(1, "GO-2026-0001", "echo 'Vulnerability #1: GO-2026-0001'; exit 3", "60")
	f(1, "fetching vulnerabilities", "echo 'Vulnerability #1'; echo 'says: fetching vulnerabilities' >&2; exit 3", "60")
	f(0, "NOT CHECKED for known vulnerabilities: the database cannot be reached", "echo 'govulncheck: fetching vulnerabilities: no such host' >&2; exit 1", "60")
	f(0, "NOT CHECKED for known vulnerabilities: no answer within 1 seconds", "exec sleep 60", "1")
	f(1, "package errors", "echo 'govulncheck: loading packages: package errors' >&2; exit 1", "60")
}
