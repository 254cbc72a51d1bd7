package proxy

import (
	"context"
	"slices"
	"time"
)

// drainPoll is how often a drain looks whether it is done.
const drainPoll = 20 * time.Millisecond

// lastMoment is how long streams that are ended by a drain get to say so.
const lastMoment = 5 * time.Second

// idleGrace is how long a drain leaves idle connections open. A request that is
// on its way while its connection is closed is lost to a client that may not
// send it twice. Within the grace it is answered, and the connection closed
// behind the answer, which says so.
const idleGrace = time.Second

// closingPause is how long fasthttp may take to close what is done with.
const closingPause = 200 * time.Millisecond

// Drain stops accepting, lets running requests finish until ctx is done, those of
// which a byte has arrived included, then ends the rest as interrupted streams are
// ended, and closes everything. Only the first call of Drain or Retire does
// anything.
func (s *Server) Drain(ctx context.Context) {
	idle, cancel := context.WithTimeout(ctx, idleGrace)
	defer cancel()
	s.Retire(ctx, idle)
}

// Retire is Drain for a server whose place another process has taken: nothing
// is urgent, and no connection is closed that waits for its next request until
// idle is done. It ends as soon as the last client has closed.
func (s *Server) Retire(ctx, idle context.Context) {
	if !s.stopAccepting() {
		return
	}
	await(idle, func() bool { return s.clients() == 0 })
	stop, cancel := context.WithCancel(context.Background())
	closed := make(chan struct{})
	go func() {
		// Closes the listeners and idle connections, again and again.
		s.http.ShutdownWithContext(stop)
		close(closed)
	}()
	for over := false; !over; {
		s.awaitRest(ctx)
		// What begins while idle connections are closed is served, too.
		over = isClosed(closed, closingPause) || s.atRest() || ctx.Err() != nil
	}
	if s.endRunning() {
		s.awaitIdleFor(lastMoment)
		// The last bytes of the last responses are on their way through fasthttp.
		isClosed(closed, closingPause)
	}
	cancel()
	<-closed
	s.closeConns()
	s.awaitIdleFor(lastMoment)
	s.watcher.close()
	s.loops.close()
	close(s.stop)
	s.share.ended()
	s.closeIdle()
	if s.tracer != nil {
		s.tracer.export.close()
	}
}

// stopAccepting closes the listeners. It is false when that was done before.
// From now on every response says that its connection is closed behind it.
func (s *Server) stopAccepting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Swap(true) {
		return false
	}
	for _, l := range s.listeners {
		// fasthttp closes only those that it has begun to serve.
		l.Close()
	}
	return true
}

// isClosed waits for at most so long until c is closed, and tells whether it is.
func isClosed(c <-chan struct{}, within time.Duration) bool {
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-c:
		return true
	case <-t.C:
		return false
	}
}

// endRunning cancels what runs, and what begins from now on. It tells whether
// anything ran.
func (s *Server) endRunning() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for e := s.running; e != nil; e = e.next {
		e.cancel(causeDrain)
	}
	if s.count > 0 {
		s.log.Warn("drain is over, ending what still runs", "requests", s.count)
	}
	return s.count > 0
}

// closeConns closes the client connections that are still open.
func (s *Server) closeConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		l.closeConns()
	}
}

// clients returns how many client connections are open.
func (s *Server) clients() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		n += l.count()
	}
	return n
}

// atRest tells whether no request runs, none has begun to arrive, and no answer is
// on its way.
func (s *Server) atRest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count == 0 && !slices.ContainsFunc(s.listeners, (*clientListener).active)
}

// awaitRest returns when the server is at rest, or ctx is done.
func (s *Server) awaitRest(ctx context.Context) { await(ctx, s.atRest) }

// awaitIdleFor returns when no request runs any more, or d is over.
func (s *Server) awaitIdleFor(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	await(ctx, func() bool { return s.Running() == 0 })
}

// await returns when done says so, or ctx is done.
func await(ctx context.Context, done func() bool) {
	t := time.NewTicker(drainPoll)
	defer t.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
