package proxy

// polled returns how many streams are on loops, and how many clients are watched.
func (s *Server) polled() (rides, watched int) {
	for _, loop := range s.loops {
		loop.mu.Lock()
		rides += len(loop.rides) - len(loop.free)
		loop.mu.Unlock()
	}
	s.watcher.mu.Lock()
	defer s.watcher.mu.Unlock()
	return rides, len(s.watcher.byID)
}
