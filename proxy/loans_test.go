package proxy

import (
	"reflect"
	"testing"
	"time"
)

// Loans is what requests have on loan from a server.
type Loans struct {
	Requests          int // that run
	Admitted, Waiting int // by the gate
	Budget            int // requests that count for it
	Targets, Keys     int // attempts on them
	Conns             int // of upstreams, that are not in their pool
	Rides             int // streams on a loop
	Told              int // clients that are watched for a request
}

// BehindTLS puts TLS between a proxy and its upstream.
func BehindTLS(t *testing.T, c *Config, addr string) {
	c.UpstreamURLBase, c.rootCAs = tlsFront(t, addr)
}

// Loans returns them, while no request begins.
func (s *Server) Loans() (l Loans) {
	l.Requests = s.Running()
	l.Admitted, l.Waiting = s.gate.Load()
	for _, loop := range s.loops {
		loop.mu.Lock()
		l.Rides += len(loop.rides) - len(loop.free)
		loop.mu.Unlock()
	}
	s.watcher.mu.Lock()
	for _, c := range s.watcher.byID {
		if c.watch.told != nil {
			l.Told++
		}
	}
	s.watcher.mu.Unlock()
	seen := map[*transport]bool{}
	for _, g := range s.state.Load().groups {
		if g.budget != nil {
			l.Budget += int(reflect.ValueOf(g.budget).Elem().FieldByName("running").Int())
		}
		for _, state := range g.balancer.States(nil) {
			l.Targets += state.Running
		}
		if g.keys != nil {
			for _, state := range g.keys.States(time.Now()) {
				l.Keys += state.Running
			}
		}
		for _, t := range g.targets {
			if !seen[t.conn] {
				seen[t.conn] = true
				l.Conns += t.conn.hc.ConnsCount() - t.conn.hc.IdleConnsCount()
			}
		}
	}
	return l
}
