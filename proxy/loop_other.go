//go:build !linux

package proxy

import "context"

// loop carries nothing where there is no epoll: each stream is relayed by its
// own goroutine.
type loop struct {
	others loops
	use    usage
}

// epollEntry is nothing here.
type epollEntry struct{}

func newLoop(func(string, any)) (*loop, error) { return &loop{}, nil }

func (*loop) close() {}

func (*loop) board(*ride) bool { return false }

func (*loop) drop(*ride) {}

func (loops) alive(context.Context) error { return nil }
