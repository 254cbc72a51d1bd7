package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"gemini-resilient-proxy/routing"
)

// serverError is an error that a server says.
type serverError string

func (e serverError) Error() string { return string(e) }
func (serverError) RedisError()     {}

// What is wrong is said in words, each thing once, and never with the password.
func TestShareCauses(t *testing.T) {
	const password = "CANARY%w rd"
	f := func(err error, tls bool, want string) {
		t.Helper()
		c := shareCauses{password: routing.Secret(password), tls: tls}
		text, isNew := c.news(err)
		if !isNew || !strings.Contains(text, want) || strings.Contains(text, "CANARY") || len(text) > maxShareCause+100 {
			t.Errorf("%v: %q, %t", err, text, isNew)
		}
		if _, isNew := c.news(fmt.Errorf("again: %w", err)); isNew {
			t.Errorf("%v is said twice", err)
		}
		if _, isNew := c.news(serverError("ANOTHER thing")); !isNew {
			t.Error("another thing is not said")
		}
		c.over()
		if _, isNew := c.news(err); !isNew {
			t.Errorf("%v is not said in the next outage", err)
		}
	}
	f(io.EOF, false, "closed the connection (one that wants TLS does so: rediss://)")
	f(io.ErrUnexpectedEOF, true, "closed the connection")
	f(context.DeadlineExceeded, false, "not answer in time")
	f(os.ErrDeadlineExceeded, true, "in time (one that speaks no TLS does so: redis://)")
	f(&net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv6loopback, Port: 1}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, false, "dial tcp [::1]:1: connect: connection refused")
	f(&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, false, "connection reset")
	f(errShareAnswer, false, "makes no sense")
	f(serverError("READONLY You can't write against a read only replica."), false, "name the primary")
	f(serverError("MOVED 1234 10.0.0.1:6379"), false, "10.0.0.1:6379 (the keys are on another node")
	f(serverError("ERR unknown command `auth`, with args beginning with: `u`, `"+password[:9]), false, "unknown command `auth`")
	f(serverError("ERR what is "+password+"?"), false, "ERR what is REDACTED?")
	f(serverError("ERR "+strings.Repeat("long ü", 1000)), false, "…")
	f(errors.New("x509: "+password), true, "x509: REDACTED")
}
