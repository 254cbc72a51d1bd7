//go:build !linux

package proxy

// polled is nothing where there are no loops and clients are not watched.
func (s *Server) polled() (rides, watched int) { return 0, 0 }
