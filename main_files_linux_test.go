package main

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFilesAreRegular: whatever the settings name that is no regular file is named
// as what it is, and not waited for; links to one, systemd's credentials and what a
// shell hands over are read.
func TestFilesAreRegular(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) string {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	if err := syscall.Mkfifo(at("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const keys = "groups:\n  main: {keys: %q}\nclients:\n  - {name: a, token: %q}\nlisten_addr: 127.0.0.1:0\n"
	good := write("good", "TOKEN-OR-KEY-FOR-A-TEST-0123456789\n")
	os.Symlink(good, at("link"))
	crt := "TLS_CERT_FILE=" + good
	for _, bad := range []struct{ path, kind string }{
		{at("fifo"), "a named pipe"}, {at("socket"), "a socket"}, {dir, "a directory"}, {"/dev/null", "a device"}, {"/dev/tty", "a device"},
	} {
		os.Remove(at("to"))
		os.Symlink(bad.path, at("to"))
		for _, path := range []string{bad.path, at("to")} {
			says := ": cannot be read: is " + bad.kind + ", must be a regular file or a link to one"
			f := func(named string, env []string, args ...string) {
				t.Helper()
				if status, _, stderr := runs(t, env, append(args, "-check")...); status != 1 || !strings.Contains(stderr, named+says) {
					t.Errorf("%s, %v %v: status %d, %s", bad.kind, env, args, status, stderr)
				}
			}
			f(path, nil, "-config", path)
			f("TLS_CERT_FILE: "+path, []string{"TLS_CERT_FILE=" + path, "TLS_KEY_FILE=" + good})
			f("TLS_KEY_FILE: "+path, []string{crt, "TLS_KEY_FILE=" + path})
			f("TLS_CLIENT_CA_FILE: "+path, []string{crt, "TLS_KEY_FILE=" + good, "TLS_CLIENT_CA_FILE=" + path})
			if bad.path == at("fifo") {
				f("SSL_CERT_FILE: "+path, []string{"SSL_CERT_FILE=" + path})
			}
			f("file:"+path, nil, "-config", write("c", fmt.Sprintf(keys, "file:"+path, "file:"+good)))
			f("file:"+path, nil, "-config", write("c", fmt.Sprintf(keys, "file:"+good, "file:"+path)))
		}
		f := func(named string, credentials string) {
			t.Helper()
			env := []string{"CREDENTIALS_DIRECTORY=" + dir}
			if status, _, stderr := runs(t, env, "-check", "-config", write("c", fmt.Sprintf(keys, credentials, "file:"+good))); status != 1 || !strings.Contains(stderr, named) {
				t.Errorf("%s: status %d, %s", bad.kind, status, stderr)
			}
		}
		f("credential:to: cannot be read: is "+bad.kind, "credential:to")
	}
	token := write("token", fmt.Sprintf("sha256:%x\n", sha256.Sum256([]byte("a token"))))
	config := write("config", fmt.Sprintf(keys, "credential:link", "file:"+token))
	read := func(what, stdin string, args ...string) {
		t.Helper()
		cmd := program(t, []string{"CREDENTIALS_DIRECTORY=" + dir}, append(args, "-check")...)
		if what == "file" {
			f, err := os.Open(stdin)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			cmd.Stdin = f
		} else {
			cmd.Stdin = strings.NewReader(stdin) // through a pipe
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s, %v: %v, %s", what, args, err, out)
		}
	}
	text, _ := os.ReadFile(config)
	read("file", config, "-config", "/dev/stdin")
	read("file", config, "-config", "/proc/self/fd/0")
	read("pipe", string(text), "-config", "/dev/stdin")
	read("pipe", string(text), "-config", "/dev/fd/0")
}
