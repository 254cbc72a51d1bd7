package proxy

import (
	"math"
	"runtime/debug"
	gometrics "runtime/metrics"
	"time"

	"gemini-resilient-proxy/routing"
)

const (
	// memoryTick is how often the memory in use is looked at, where it has a limit.
	memoryTick = 100 * time.Millisecond
	// memoryRest is how often it is looked whether there is a limit now.
	memoryRest = 5 * time.Second
)

// watchMemory keeps s.memory up to date. The limit is the runtime's own
// (GOMEMLIMIT), and may change at any time, as that of the cgroup does.
func (s *Server) watchMemory() {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
		t.Reset(s.observeMemory())
	}
}

// observeMemory looks at the memory in use, and returns when it is to be looked
// at again.
func (s *Server) observeMemory() time.Duration {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		s.memory.Observe(0, 0)
		return memoryRest
	}
	s.memory.Observe(memoryInUse(), uint64(limit))
	return memoryTick
}

// memoryInUse returns what counts towards GOMEMLIMIT
// (https://pkg.go.dev/runtime#hdr-Environment_Variables).
func memoryInUse() uint64 {
	samples := [...]gometrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
	}
	gometrics.Read(samples[:])
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}

func gateLimits(cfg *Config) routing.Limits {
	return routing.Limits{Streams: cfg.MaxStreams, Queue: cfg.MaxQueue}
}

// MakeRoom closes idle upstream connections when err says that there is no
// descriptor left, and tells whether it did: what failed may be tried again.
func (s *Server) MakeRoom(err error) bool {
	if !outOfDescriptors(err) {
		return false
	}
	s.closeIdle()
	return true
}

// closeIdle closes the upstream connections that nobody uses, of all targets.
func (s *Server) closeIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.transports {
		t.hc.CloseIdleConnections()
	}
}

// ejected and keyEjected tell of what is left out for a while.
func (s *Server) ejected(l *lease, d time.Duration) {
	s.metrics.ejections.WithLabelValues(l.group.Name).Inc()
	s.share.tell()
	s.log.Warn("target ejected", "group", l.group.Name, "target", l.target().Name, "for", d.Round(time.Second))
}

func (s *Server) keyEjected(l *lease, reason string) {
	s.metrics.keysEjected.WithLabelValues(l.group.Name).Inc()
	s.log.Warn("key ejected", "group", l.group.Name, "key", l.group.keys.Name(l.key), "reason", reason)
}
