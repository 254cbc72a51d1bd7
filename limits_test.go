package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

// resources ends the program and returns the log line that says what it had.
func resources(t *testing.T, s *service) string {
	t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.ends(0)
	line := regexp.MustCompile(`.*msg=resources .*`).FindString(s.stderr.String())
	if line == "" {
		t.Fatalf("no resources in the log:\n%s", s.stderr.String())
	}
	return line
}

func TestMemoryLimitThatIsGivenStays(t *testing.T) {
	line := resources(t, serving(t, upstream.Always(upstream.Script{}), "GOMEMLIMIT=300MiB", "GOGC=150", "GOMAXPROCS=1"))
	for _, want := range []string{"memory_limit=314572800", "memory_limit_from=GOMEMLIMIT", "gc_percent=150", "processors=1"} {
		if !strings.Contains(line, want) {
			t.Errorf("%s is missing in %s", want, line)
		}
	}
}

// Where the cgroup has no limit, there is none; where it has one, the program
// keeps to its share of that.
func TestMemoryLimitIsAlwaysSaid(t *testing.T) {
	line := resources(t, serving(t, upstream.Always(upstream.Script{})))
	if !regexp.MustCompile(`memory_limit=none memory_limit_from=none|memory_limit=\d+ memory_limit_from=cgroup`).MatchString(line) {
		t.Error(line)
	}
}

func TestMemoryLimitFollowsTheCgroup(t *testing.T) {
	const limit = 512 << 20
	group := limitedCgroup(t, limit)
	line := resources(t, servingIn(t, group))
	if want := fmt.Sprintf("memory_limit=%d memory_limit_from=cgroup", uint64(math.Floor(memoryShare*limit))); !strings.Contains(line, want) {
		t.Errorf("%s is missing in %s", want, line)
	}
}

// limitedCgroup makes a cgroup with so much memory. Only root may, and not
// everywhere.
func limitedCgroup(t *testing.T, limit int) string {
	t.Helper()
	for _, c := range []struct{ root, file string }{{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"}} {
		dir := filepath.Join(c.root, "limits-test-"+strconv.Itoa(os.Getpid()))
		if _, err := os.Stat(filepath.Join(c.root, "cgroup.procs")); err != nil || os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(dir) })
		// Opened without O_CREATE: the kernel makes these files, or none.
		f, err := os.OpenFile(filepath.Join(dir, c.file), os.O_WRONLY, 0)
		if err != nil {
			continue
		}
		_, err = f.WriteString(strconv.Itoa(limit))
		f.Close()
		if err == nil {
			return dir
		}
	}
	t.Skip("no cgroup with a memory limit can be made here")
	return ""
}

// servingIn is serving in a cgroup: a shell enters it and becomes the program.
func servingIn(t *testing.T, group string) *service {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	return servingAs(t, upstream.Always(upstream.Script{}), func(env []string) *exec.Cmd {
		cmd := program(t, env)
		cmd.Args = []string{"sh", "-c", `echo $$ >"$1"/cgroup.procs && exec "$2"`, "sh", group, cmd.Path}
		cmd.Path = "/bin/sh"
		return cmd
	})
}

// The Go runtime takes the processors of the cgroup's quota for modules of Go
// 1.25 and later that do not turn it off.
func TestProcessorsFollowTheCgroup(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^go 1\.(\d+)`).FindSubmatch(mod)
	if m == nil {
		t.Fatal("go.mod names no version of Go")
	}
	if minor, _ := strconv.Atoi(string(m[1])); minor < 25 {
		t.Errorf("Go 1.%d, want 1.25 or later", minor)
	}
	for _, s := range sources(t) {
		if text := string(s.text); s.path != "limits_test.go" && (strings.Contains(text, "containermaxprocs") || !s.isTest() && regexp.MustCompile(`runtime\.GOMAXPROCS\([^0]`).MatchString(text)) {
			t.Errorf("%s sets the number of processors itself", s.path)
		}
	}
	if strings.Contains(string(mod), "containermaxprocs") {
		t.Error("go.mod keeps the runtime from the cgroup's processors")
	}
}
