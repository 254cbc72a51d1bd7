package main

import (
	"fmt"
	"path/filepath"
	"sync"
)

// bench is what measurements are made with.
type bench struct {
	load     string // the built load program
	dir      string
	upstream map[bool]string // host:port, by whether it speaks TLS
	ca       string
	span     span

	mu      sync.Mutex
	running map[*process]bool // stopped by stopAll
}

// startUpstreams starts the load upstream twice, with and without TLS.
func (b *bench) startUpstreams() error {
	b.upstream = map[bool]string{}
	b.ca = filepath.Join(b.dir, "ca.pem")
	for _, secure := range []bool{false, true} {
		addr, err := freeAddress()
		if err != nil {
			return err
		}
		argv := []string{b.load, "upstream", "-addr", addr}
		if secure {
			argv = append(argv, "-tls", "-ca", b.ca)
		}
		p, err := start(filepath.Join(b.dir, "upstream"), []string{fmt.Sprintf("GOMAXPROCS=%d", threads)}, argv...)
		if err != nil {
			return err
		}
		b.keep(p)
		if err := p.waitFor(addr); err != nil {
			return fmt.Errorf("load upstream: %w", err)
		}
		b.upstream[secure] = addr
	}
	return nil
}

// keep notes a process that must be stopped.
func (b *bench) keep(p *process) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running == nil {
		b.running = map[*process]bool{}
	}
	b.running[p] = true
}

// stop stops a process.
func (b *bench) stop(p *process) {
	p.stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.running, p)
}

// stopAll stops whatever runs.
func (b *bench) stopAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := range b.running {
		p.stop()
	}
	b.running = nil
}
