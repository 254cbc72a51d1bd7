package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// family is a process and all its descendants.
func family(pid int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		if id, parent, ok := parseStat(string(b)); ok {
			children[parent] = append(children[parent], id)
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// parseStat reads the process and its parent out of /proc/PID/stat.
func parseStat(s string) (pid, parent int, ok bool) {
	// The name stands in parentheses and may hold anything.
	open, end := strings.IndexByte(s, '('), strings.LastIndexByte(s, ')')
	if open < 1 || end < open {
		return 0, 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(s[:open]))
	fields := strings.Fields(s[end+1:])
	if err != nil || len(fields) < 2 {
		return 0, 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return pid, parent, err == nil
}

// cpuTime is the time that all threads of the processes have run.
func cpuTime(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if len(tasks) == 0 {
			return 0, fmt.Errorf("process %d has ended", pid)
		}
		for _, name := range tasks {
			b, err := os.ReadFile(name)
			if err != nil {
				continue // the thread has ended
			}
			d, err := parseSchedstat(string(b))
			if err != nil {
				return 0, fmt.Errorf("%s: %w", name, err)
			}
			sum += d
		}
	}
	return sum, nil
}

// parseSchedstat reads the run time out of a schedstat file.
func parseSchedstat(s string) (time.Duration, error) {
	first, _, _ := strings.Cut(s, " ")
	n, err := strconv.ParseInt(first, 10, 64)
	return time.Duration(n), err
}

// residentKiB is the memory that the processes occupy, in KiB. Pages that
// they share count for each.
func residentKiB(pids []int) float64 {
	sum := 0.0
	for _, pid := range pids {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		sum += parseResident(string(b))
	}
	return sum
}

// parseResident reads VmRSS out of a status file, in KiB.
func parseResident(s string) float64 {
	for line := range strings.Lines(s) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				n, _ := strconv.ParseFloat(f[0], 64)
				return n
			}
		}
	}
	return 0
}
