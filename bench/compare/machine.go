package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// machine describes where and with what the measurements were made, a line
// each.
func machine(there []contender, rounds int, s span) []string {
	lines := []string{
		fmt.Sprintf("%s; %s, %d cores; Linux %s; %s", time.Now().Format(time.DateOnly), cpuModel(), runtime.NumCPU(), kernel(), runtime.Version()),
		fmt.Sprintf("%d rounds, windows of %v after a warm-up of %v; client, upstream and proxy share the cores", rounds, s.window, s.warmup),
	}
	var versions []string
	for _, c := range there {
		if _, version, err := c.find(); err == nil && version != "" {
			versions = append(versions, shortVersion(version))
		}
	}
	if len(versions) > 0 {
		lines = append(lines, strings.Join(versions, "; "))
	}
	return lines
}

// shortVersion is what a program says of its version, without dates and
// addresses.
func shortVersion(s string) string {
	s = strings.TrimPrefix(s, "nginx version: ")
	if f := strings.Fields(s); strings.HasPrefix(s, "HAProxy") && len(f) > 2 {
		return f[0] + " " + f[2]
	}
	if s != "" && strings.ContainsRune("v0123456789", rune(s[0])) {
		f := strings.Fields(s)
		return "caddy " + f[0]
	}
	return s
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	out, _ := exec.Command("uname", "-r").Output()
	return strings.TrimSpace(string(out))
}

// openFiles is how many files a process may have open.
func openFiles() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 1024
	}
	return int(min(l.Max, 1<<20))
}
