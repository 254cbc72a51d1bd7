package main

import (
	"os"
	"strconv"
	"strings"
)

// writePID puts the identity of this process into a file, in one step: whoever
// reads it during a handover gets one of both. Without a path it does nothing.
func writePID(path string) error {
	if path == "" {
		return nil
	}
	next := path + "." + strconv.Itoa(os.Getpid())
	if err := os.WriteFile(next, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		os.Remove(next) // what a full disk left of it
		return err
	}
	err := os.Rename(next, path)
	if err != nil {
		os.Remove(next)
	}
	return err
}

// removePID removes the file, unless it names another process.
func removePID(path string) {
	if path == "" {
		return
	}
	b, err := os.ReadFile(path)
	if err == nil && strings.TrimSpace(string(b)) == strconv.Itoa(os.Getpid()) {
		os.Remove(path)
	}
}
