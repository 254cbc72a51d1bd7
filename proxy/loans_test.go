package proxy

import (
	"net"
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
	Clients, Watched  int // connections of clients
}

// BehindTLS puts TLS between a proxy and its upstream.
func BehindTLS(t *testing.T, c *Config, addr string) {
	c.UpstreamURLBase, c.rootCAs = tlsFront(t, addr)
}

// singed is a connection that panics only where its request is served: others
// than that goroutine cancel by SetDeadline.
type singed struct{ burning }

func (c singed) SetDeadline(t time.Time) error { return c.Conn.SetDeadline(t) }

// Burn makes each connection to an upstream panic at one of its calls, which after
// chooses, where it is not 0. It is called before the first request.
func (s *Server) Burn(after func() int64) {
	for _, g := range s.state.Load().groups {
		for _, t := range g.targets {
			t.conn.hc.DialTimeout = func(addr string, _ time.Duration) (net.Conn, error) {
				return &upstreamConn{dial: func() (conn, below net.Conn, err error) {
					c, err := net.Dial("tcp", addr)
					if err != nil {
						return nil, nil, err
					}
					b := singed{burning{c, &fuse{}}}
					b.left.Store(after())
					return b, b, nil
				}}, nil
			}
		}
	}
	// Requests find it with the state.
	s.state.Store(s.state.Load())
}

// Loans returns them, while no request begins.
func (s *Server) Loans() (l Loans) {
	l.Requests = s.Running()
	l.Admitted, l.Waiting = s.gate.Load()
	l.Clients = s.clients()
	l.Rides, l.Watched = s.polled()
	seen := map[*transport]bool{}
	for _, g := range s.state.Load().groups {
		l.Budget += g.budget.Running()
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
