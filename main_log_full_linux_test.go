package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"gemini-resilient-proxy/bench/upstream"
)

// limitFiles sets how many bytes a file of a process may have.
func limitFiles(t *testing.T, pid int, n uint64) {
	t.Helper()
	lim := syscall.Rlimit{Cur: n, Max: math.MaxUint64}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&lim)), 0, 0, 0); errno != 0 {
		t.Skip("prlimit: ", errno)
	}
}

// TestLogFileIsFull: a file that can take no more holds up nobody, and each line
// of it is whole when it can again, but for the one that it was full in.
func TestLogFileIsFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "proxy.log")
	s := servingAs(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}), func(env []string) *exec.Cmd {
		return program(t, append(env, "LOG_FILE="+path, "LOG_FORMAT=json", "LOG_LINES_PER_SECOND=0"))
	})
	limitFiles(t, s.cmd.Process.Pid, 5000)
	for end := time.Now().Add(patience); s.leftOut("failed") == "0"; {
		if s.requests(10); time.Now().After(end) {
			t.Fatal("the file is not full")
		}
	}
	limitFiles(t, s.cmd.Process.Pid, math.MaxUint64)
	s.requests(10)
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.ends(0)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	broken, whole := 0, map[string]bool{}
	for line := range bytes.Lines(b) {
		var m struct{ Msg string }
		if json.Unmarshal(line, &m) != nil {
			if broken++; bytes.Count(line, []byte(`"time"`)) != 1 {
				t.Errorf("not one line: %q", line)
			}
		}
		whole[m.Msg] = true
	}
	if broken > 1 || !whole["stopped"] {
		t.Errorf("%d lines are broken, the others say %v", broken, whole)
	}
}
