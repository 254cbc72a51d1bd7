package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// generator runs the load of one configuration.
type generator struct {
	config *config
	stats  *stats

	stopped atomic.Bool
	workers sync.WaitGroup
	mu      sync.Mutex
	conns   map[*conn]struct{} // open
}

// runLoad runs the load and returns what was seen. tell, if not nil, is called
// with "begin" and "end" at the ends of what is measured.
func runLoad(c *config, tell func(string)) *report {
	g := &generator{config: c, stats: newStats(), conns: map[*conn]struct{}{}}
	start := time.Now()
	begin := start.Add(c.warmup)
	end := begin.Add(c.duration)
	g.stats.begin.Store(begin.UnixNano())
	g.stats.end.Store(end.UnixNano())
	if c.arrivals > 0 {
		g.arrive(start)
	} else {
		g.hold(start)
	}
	time.Sleep(time.Until(begin))
	if tell != nil {
		tell("begin")
	}
	time.Sleep(time.Until(end))
	open := g.stats.open.Load()
	if tell != nil {
		tell("end")
	}
	g.stop()
	return newReport(c, g.stats, open)
}

// hold keeps a constant number of streams, whose beginnings are spread over
// the ramp.
func (g *generator) hold(start time.Time) {
	n := g.config.streams
	for id := range n {
		at := start.Add(g.config.ramp * time.Duration(id) / time.Duration(n))
		g.workers.Go(func() {
			time.Sleep(time.Until(at))
			w := worker{g: g, reader: g.reader(id)}
			for w.once(time.Now()) {
			}
			w.hangUp()
		})
	}
}

// afterStart is when the first planned stream begins: the workers are up then.
const afterStart = 10 * time.Millisecond

// arrive begins streams at planned moments, on connections that are free then.
func (g *generator) arrive(start time.Time) {
	due := make(chan time.Time)
	for id := range g.config.streams {
		g.workers.Go(func() {
			w := worker{g: g, reader: g.reader(id)}
			for at := range due {
				w.once(at)
			}
			w.hangUp()
		})
	}
	g.workers.Go(func() {
		defer close(due)
		first := start.Add(afterStart)
		for n := 0; !g.stopped.Load(); n++ {
			at := first.Add(time.Duration(float64(n) / g.config.arrivals * float64(time.Second)))
			time.Sleep(time.Until(at))
			select {
			case due <- at:
			default:
				g.stats.fail(overdue, 1, nil)
			}
		}
	})
}

func (g *generator) reader(id int) reader {
	return reader{stats: g.stats, id: id, order: g.config.order, ours: g.config.ask}
}

// stop closes every connection and waits for the workers.
func (g *generator) stop() {
	g.stopped.Store(true)
	g.mu.Lock()
	for c := range g.conns {
		c.c.Close()
	}
	g.mu.Unlock()
	g.workers.Wait()
}

// pauseAfterFault keeps an endpoint that is down from being asked in a loop.
const pauseAfterFault = 20 * time.Millisecond

// worker sends one request after the other, on one connection as long as that
// is good.
type worker struct {
	g      *generator
	conn   *conn
	reader reader
}

// once sends a request and reads the answer. It is false when the run is over.
func (w *worker) once(begun time.Time) bool {
	if w.conn == nil && !w.connect() {
		return !w.g.stopped.Load()
	}
	before := w.conn.at
	last, f, err := w.exchange(begun.UnixNano())
	if err != nil && before > 0 && w.conn.at == before {
		// The endpoint closed a connection that was idle, as it may.
		w.hangUp()
		if !w.connect() {
			return !w.g.stopped.Load()
		}
		last, f, err = w.exchange(begun.UnixNano())
	}
	if err != nil || last {
		w.hangUp()
	}
	if w.g.stopped.Load() {
		return false
	}
	if err != nil {
		w.g.stats.fail(f, 1, err)
		time.Sleep(pauseAfterFault)
	}
	return true
}

// connect opens the connection. It is false when that failed.
func (w *worker) connect() bool {
	c, err := dial(w.g.config.addr, w.g.config.tls)
	if err != nil {
		if !w.g.stopped.Load() {
			w.g.stats.fail(dialFault, 1, err)
			time.Sleep(pauseAfterFault)
		}
		return false
	}
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	if w.g.stopped.Load() {
		c.c.Close()
		return false
	}
	w.g.conns[c] = struct{}{}
	w.conn = c
	return true
}

func (w *worker) hangUp() {
	if w.conn == nil {
		return
	}
	w.conn.c.Close()
	w.g.mu.Lock()
	delete(w.g.conns, w.conn)
	w.g.mu.Unlock()
	w.conn = nil
}

// exchange is one request with its answer. last says that the connection is
// used up.
func (w *worker) exchange(begun int64) (last bool, f fault, err error) {
	b, err := w.conn.ask(w.g.config.request)
	if _, refused := err.(statusError); refused {
		return true, statusFault, err
	} else if err != nil {
		return true, brokenFault, err
	}
	if !isShort(w.g.config.mode) {
		if err = w.reader.read(&b, begun); err == errUnfinished || err == errInStream {
			return true, unfinished, err
		}
		return b.last, brokenFault, err
	}
	n, err := b.discard()
	if err == nil && w.g.stats.inside(w.conn.at) {
		w.g.stats.requests.Add(1)
		w.g.stats.bytes.Add(n)
		w.g.stats.record(w.reader.id, answer, w.conn.at-begun)
	}
	return b.last, brokenFault, err
}
