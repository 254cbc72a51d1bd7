//go:build !linux

package proxy

// watcher does nothing where there is no epoll: a client that leaves is then
// noticed when a write to it fails, not while the upstream is silent.
type watcher struct{}

type watch struct{}

func newWatcher() (*watcher, error) { return &watcher{}, nil }

func (*watcher) close() {}

func (*watcher) watch(*clientConn, *exchange) {}

func (*watcher) unwatch(*clientConn) {}

func (*watcher) forget(*clientConn) {}
