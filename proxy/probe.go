package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
)

// Probe asks each public listener for /healthz, over its own socket, as a client
// would, and looks whether the loops come round. It returns the first error, nil
// when there is none until ctx is done: also while the server drains, and for a
// listener that has as many clients as it may, and lets others wait. What is
// refused to clients by the limits of the settings is not refused to Probe.
//
// A socket may be one that this process cannot reach, though clients can: it
// lacks the permission, or the address is another host's at the moment. If that
// is so from the beginning, what lies behind the socket is asked in its place.
func (s *Server) Probe(ctx context.Context) error {
	if s.draining.Load() {
		return nil
	}
	s.mu.Lock()
	listeners := s.listeners
	s.mu.Unlock()
	for _, l := range listeners {
		if l.full() {
			continue
		}
		if err := s.probe(ctx, l); err != nil && !s.draining.Load() {
			return fmt.Errorf("%s: %w", l.Addr(), err)
		}
	}
	if err := s.loops.alive(ctx); err != nil && !s.draining.Load() {
		return err
	}
	return nil
}

// probe asks one listener.
func (s *Server) probe(ctx context.Context, l *clientListener) error {
	if l.apart.Load() {
		return ask(ctx, l, s.dialBehind)
	}
	err := ask(ctx, l, dialSocket)
	if s.MakeRoom(err) {
		err = ask(ctx, l, dialSocket)
	}
	switch {
	case err == nil:
		l.reached.Store(true)
	case !l.reached.Load() && unreachable(err):
		s.log.Warn("the program cannot reach its own socket, and asks itself without it",
			"address", l.Addr().String(), "error", err.Error())
		l.apart.Store(true)
		return ask(ctx, l, s.dialBehind)
	}
	return err
}

// unreachable tells whether an error is about the way to a socket, and not about
// who listens there.
func unreachable(err error) bool {
	for _, e := range []error{syscall.EACCES, syscall.EPERM, syscall.ENOENT, syscall.ECONNREFUSED,
		syscall.EADDRNOTAVAIL, syscall.ENETUNREACH, syscall.EHOSTUNREACH} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// dialSocket connects to a listener.
func dialSocket(ctx context.Context, l *clientListener) (net.Conn, error) {
	// An address of all interfaces is dialed as this machine.
	return (&net.Dialer{}).DialContext(ctx, l.Addr().Network(), l.Addr().String())
}

// dialBehind returns a connection that is served as if l had accepted it.
func (s *Server) dialBehind(_ context.Context, l *clientListener) (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	default:
		return nil, errors.New("there are as many clients as there may be")
	}
	here, there := net.Pipe()
	go s.http.ServeConn(l.admit(there))
	return here, nil
}

// ask asks a listener, on a connection of its own.
func ask(ctx context.Context, l *clientListener, dial func(context.Context, *clientListener) (net.Conn, error)) error {
	t := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, l) },
	}
	url := "http://probe/healthz"
	if l.certs != nil {
		url = "https://probe/healthz"
		// It is known who is at the other end, whatever the certificate says.
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{l.certs.own}}
	}
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
