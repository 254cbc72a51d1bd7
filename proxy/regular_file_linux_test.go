package proxy_test

import (
	"os"
	"syscall"
	"testing"
)

// TestTLSFollowsNoPipe: a named pipe that takes the place of a certificate's file
// holds no handshake up, and changes nothing.
func TestTLSFollowsNoPipe(t *testing.T) {
	t.Parallel()
	s := newSecured(t, nil)
	if err := os.Rename(s.key, s.key+".old"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(s.key, 0o600); err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { return s.shows("one")() && s.logs("cannot be read: is a named pipe") > 0 }) {
		t.Error("the pipe is not said, or the certificate is not shown")
	}
	if err := os.Rename(s.key+".old", s.key); err != nil {
		t.Fatal(err)
	}
	s.ca.write("two", s.cert, s.key)
	if !eventually(s.shows("two")) {
		t.Error("the new pair is not shown")
	}
}
