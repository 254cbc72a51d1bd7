package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gemini-resilient-proxy/bench/upstream"
)

// suite is one run of the command.
type suite struct {
	clients  []*client
	faults   []upstream.Fault
	ways     []string
	stdout   io.Writer
	stderr   io.Writer
	urls     map[string]string // by way
	versions map[string]string
	programs map[*client][]string // how to start each client

	mu      sync.Mutex
	reports map[string]*Report
}

// run holds all conversations, draws the tables, and counts what is not as it
// ought to be through the proxy.
func (s *suite) run(need bool) (bad int, tables, summary string, err error) {
	dir, err := os.MkdirTemp("", "clients-")
	if err != nil {
		return 0, "", "", err
	}
	defer os.RemoveAll(dir)
	if err := s.install(dir); err != nil {
		return 0, "", "", err
	}
	left := len(s.clients) - len(s.programs)
	if need && left > 0 {
		return 0, "", "", fmt.Errorf("%d clients could not be installed", left)
	}
	up, err := upstream.New(account((&upstream.Faulty{First: first, Later: second}).Handle))
	if err != nil {
		return 0, "", "", err
	}
	defer up.Close()
	log, err := os.Create(filepath.Join(dir, "proxy.log"))
	if err != nil {
		return 0, "", "", err
	}
	defer log.Close()
	s.urls = map[string]string{without: up.URL()}
	for way, setting := range map[string]string{through: "UNARY_VIA_STREAM=false", folded: "UNARY_VIA_STREAM=true"} {
		url, stop, err := startProxy(filepath.Join(dir, "proxy"), up.URL(), log, setting)
		if err != nil {
			return 0, "", "", err
		}
		defer stop()
		s.urls[way] = url
	}
	begin := time.Now()
	s.hold()
	fmt.Fprintf(s.stderr, "clients: %d conversations in %s\n", len(s.reports), time.Since(begin).Round(time.Second))
	bad, tables, summary = s.show(history(up.Requests()))
	return bad, tables, summary, nil
}

// install builds and installs what there is to run. Clients that cannot be had
// are left out, which is said.
func (s *suite) install(dir string) error {
	here, err := moduleDir()
	if err != nil {
		return err
	}
	if s.versions, err = versions(here); err != nil {
		return err
	}
	if err := goBuild(filepath.Join(here, "..", ".."), filepath.Join(dir, "proxy")); err != nil {
		return err
	}
	node, nodeErr := installNode(here, dir)
	goClient := filepath.Join(dir, "client")
	goErr := goBuild(filepath.Join(here, "go"), goClient)
	s.programs = make(map[*client][]string)
	skipped := make(map[error][]string)
	for _, c := range s.clients {
		argv, err := []string{"node", filepath.Join(node, "run.mjs"), c.module}, nodeErr
		if c.module == "" {
			argv, err = []string{goClient}, goErr
		}
		if err != nil {
			skipped[err] = append(skipped[err], c.id)
			continue
		}
		s.programs[c] = argv
	}
	for err, ids := range skipped {
		reason := strings.ReplaceAll(err.Error(), "\n", "; ")
		fmt.Fprintf(s.stdout, "SKIPPED, because it cannot be installed: %s: %s\n", strings.Join(ids, ", "), reason)
	}
	return nil
}

// hold runs every client on every way. Programs wait more than they work, so
// many run at a time.
func (s *suite) hold() {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 6)
	for _, c := range slowestFirst(s.clients) {
		if s.programs[c] == nil {
			continue
		}
		for _, way := range s.ways {
			plan := s.plan(c, way)
			if plan.Jobs == nil {
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				s.holdOne(c, way, plan)
			})
		}
	}
	wg.Wait()
}

// plan is what a client has to do on a way; it has no jobs if that is nothing.
func (s *suite) plan(c *client, way string) Plan {
	p := Plan{URL: s.urls[way], Parallel: c.workers()}
	for _, col := range columns([]*client{c}) {
		for _, f := range s.faults {
			if col.on(way) && col.has(f) {
				p.Jobs = append(p.Jobs, newJob(way, col, f))
			}
		}
	}
	return p
}

func (s *suite) holdOne(c *client, way string, p Plan) {
	reports, err := hold(s.programs[c], p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		fmt.Fprintf(s.stderr, "clients: %s, %s: %v\n", c.id, way, err)
	}
	for id, r := range reports {
		s.reports[id] = r
	}
}

// slowestFirst are the clients with the programs first.
func slowestFirst(all []*client) []*client {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b *client) int {
		if a.program == b.program {
			return 0
		} else if a.program {
			return -1
		}
		return 1
	})
	return sorted
}

// show draws the tables and counts the cells that are wrong.
func (s *suite) show(later map[string][]upstream.Turn) (bad int, tables, summary string) {
	var there []*client
	for _, c := range s.clients {
		if s.programs[c] != nil {
			there = append(there, c)
		}
	}
	t := table{faults: s.faults, versions: s.versions, cells: make(map[string]outcome)}
	for _, way := range s.ways {
		for _, col := range columns(there) {
			if !col.on(way) {
				continue
			}
			for _, f := range s.faults {
				if !col.has(f) {
					continue
				}
				j := newJob(way, col, f)
				got := judge(j, s.reports[j.ID], later[j.secondMark()])
				t.cells[j.ID] = got
				if way != without && got != wanted(f) {
					bad++
					fmt.Fprintf(s.stderr, "%s: %s, want %s: %+v\n", j.ID, got, wanted(f), s.reports[j.ID])
				}
			}
		}
	}
	all := columns(there)
	return bad, t.draw(s.ways, all), t.summary(s.ways, all)
}
