package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// Probe asks each public listener for /healthz, over its own socket, as a client
// would. It returns the error of the first that does not answer 200 until ctx
// is done, nil when there is none: also while the server drains, and for a
// listener that has as many clients as it may, and lets others wait.
func (s *Server) Probe(ctx context.Context) error {
	s.mu.Lock()
	listeners := s.listeners
	s.mu.Unlock()
	for _, l := range listeners {
		if s.draining.Load() || l.full() {
			continue
		}
		if err := s.probe(ctx, l); err != nil && !s.draining.Load() {
			return fmt.Errorf("%s: %w", l.Addr(), err)
		}
	}
	return nil
}

// probe asks one listener, on a connection of its own.
func (s *Server) probe(ctx context.Context, l *clientListener) error {
	at := l.Addr()
	t := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			// An address of all interfaces is dialed as this machine.
			return (&net.Dialer{}).DialContext(ctx, at.Network(), at.String())
		},
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
