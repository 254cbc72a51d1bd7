package main

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
)

// TestSignalsBeforeTakeOver plays the old process: what a new one is told before
// it is the one waits, and so does what it tells the manager. What was changed
// since it read its settings is in force when it is ready.
func TestSignalsBeforeTakeOver(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	write := func(groups string) {
		if err := os.WriteFile(file, []byte("group_mapping: {"+groups+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`default: ""`)
	u := newUnit(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}))
	readyR, readyW := pipe(t)
	goR, goW := pipe(t)
	keysR, keysW := pipe(t)
	keysW.Close()
	u.extra = []*os.File{readyW, goR, keysR}
	first := 3 + len(u.files)
	u.env = append(u.env, handoverEnv+"="+strconv.Itoa(first)+","+strconv.Itoa(first+1)+","+strconv.Itoa(first+2))
	cmd := u.start(os.Args[0], "set -- -config "+file+`; LISTEN_PID=$$ exec "$0" "$@"; `)
	readyW.Close()
	if line, err := bufio.NewReader(readyR).ReadString('\n'); line != sayReady {
		t.Fatalf("%q %v\n%s", line, err, u.tail())
	}
	write(`default: "", more: /more`)
	cmd.Process.Signal(syscall.SIGHUP)
	cmd.Process.Signal(syscall.SIGUSR2)
	for _, addr := range u.public {
		if status, _ := u.get(addr, "/v1/x"); status != 200 {
			t.Errorf("status %d before it is the one", status)
		}
	}
	fmt.Fprintf(goW, sayGo, time.Now().Format(time.DateOnly), 7)
	if note := <-u.notes; !strings.HasPrefix(note, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("the manager is told %q first", note)
	}
	if note := <-u.notes; note != "READY=1\nSTATUS=0 streams open, 7 healed today" {
		t.Errorf("the manager is told %q then", note)
	}
	if _, body := u.get(u.admin, "/groups"); !strings.Contains(body, "more") {
		t.Errorf("the settings are those of before:\n%s", body)
	}
	pid, _ := strconv.Atoi(mainPID.FindStringSubmatch(u.told("MAINPID="))[1])
	u.told("\nREADY=1\n", "7 healed today")
	if log := u.logged(); strings.Index(log, "starting a new process") < strings.Index(log, "took over") {
		t.Errorf("it hands over what it does not have:\n%s", log)
	}
	goW.Close()
	u.ends(cmd, 0)
	syscall.Kill(pid, syscall.SIGTERM)
	<-u.ended
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// TestStoppedBeforeReady: a new process that is told to stop while it comes up
// does not say that it is ready, so that the old one goes on.
func TestStoppedBeforeReady(t *testing.T) {
	readyR, readyW := pipe(t)
	log := slog.New(slog.DiscardHandler)
	p := &process{log: log, manager: newManager(log), stop: make(chan os.Signal, 2), leads: make(chan struct{}),
		before: &predecessor{ready: readyW, from: bufio.NewReader(strings.NewReader(sayNo)), gone: make(chan struct{})}}
	p.stop <- syscall.SIGTERM
	p.announce(t.Context())
	if said, err := io.ReadAll(readyR); len(said) > 0 || err != nil {
		t.Errorf("it says %q, %v", said, err)
	}
	<-p.before.gone
	select {
	case <-p.leads:
		t.Error("it takes over")
	default:
	}
}

// TestUpgradeTwice: a second SIGUSR2 while a new process comes up starts no other.
func TestUpgradeTwice(t *testing.T) {
	dir := t.TempDir()
	path, gate := filepath.Join(dir, "proxy"), filepath.Join(dir, "gate")
	if err := os.Symlink(os.Args[0], path); err != nil {
		t.Fatal(err)
	}
	u := newUnit(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}))
	cmd := u.start(path, "")
	u.told("READY=1")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	os.Remove(path)
	// It comes up when the gate is opened.
	if err := os.WriteFile(path, []byte("#!/bin/sh\nread line <"+gate+"\nexec "+os.Args[0]+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(syscall.SIGUSR2)
	u.says("starting a new process")
	cmd.Process.Signal(syscall.SIGUSR2)
	u.says("a new process is being started already")
	// What is asked of the old one meanwhile it still does.
	cmd.Process.Signal(syscall.SIGHUP)
	u.told("\nRELOADING=1\n")
	u.told("\nREADY=1\n")
	if err := os.WriteFile(gate, []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(mainPID.FindStringSubmatch(u.told("MAINPID="))[1])
	u.told("\nREADY=1\n")
	u.ends(cmd, 0)
	if n := strings.Count(u.logged(), "starting a new process"); n != 1 {
		t.Errorf("%d processes were started, want 1", n)
	}
	syscall.Kill(pid, syscall.SIGTERM)
	<-u.ended
}

// TestOneSocketInherited: what is not handed over is opened, as the settings say.
func TestOneSocketInherited(t *testing.T) {
	for _, name := range []string{adminName, publicName} {
		t.Run(name, func(t *testing.T) {
			u := newUnit(t, upstream.Always(upstream.Script{upstream.Status(200, nil, "{}")}))
			own := filepath.Join(t.TempDir(), "own")
			u.files, u.names = u.files[:1], []string{name}
			public, admin, setting := u.public[0], own, "ADMIN_ADDR"
			if name == adminName {
				public, admin, setting = own, u.public[0], "LISTEN_ADDR"
			}
			u.env = append(u.env, setting+"=unix:"+own)
			first := u.run()
			// And so it stays in the next process.
			pid := u.upgrade(first.Process.Pid)
			u.ends(first, 0)
			if status, body := u.get(public, "/metrics"); status != 200 || body != "{}" {
				t.Errorf("public: %d %q", status, body)
			}
			if _, body := u.get(admin, "/metrics"); !strings.Contains(body, "gemini_proxy_open_requests") {
				t.Errorf("admin: %q", body)
			}
			syscall.Kill(pid, syscall.SIGTERM)
			<-u.ended
		})
	}
}
