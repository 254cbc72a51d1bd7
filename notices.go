package main

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// maxNotices is how many notices may wait before newer ones take the place of those
// that say the same.
const maxNotices = 16

// notices are what the service manager is told, one after the other. A manager
// that reads nothing keeps one goroutine waiting, and a few notices.
type notices struct {
	log *slog.Logger

	mu      sync.Mutex // guards what follows
	waiting []string
	sent    chan struct{} // closed when nothing waits any more; nil before the first

	failed bool // what was sent last did not arrive, which was logged; the sender's
}

// add has a notice sent behind those before it. It does not wait for that: a
// manager that reads nothing must not keep the program from what signals ask for.
func (n *notices) add(notice string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) >= maxNotices {
		n.waiting = slices.DeleteFunc(n.waiting, func(old string) bool { return replaces(notice, old) })
	}
	n.waiting = append(n.waiting, notice)
	if n.sent == nil {
		n.sent = make(chan struct{})
		go n.send()
	}
}

// replaces tells whether nobody needs to be told old who is told notice. A reload
// that has begun is over with the READY behind it, and no earlier.
func replaces(notice, old string) bool {
	a, _, _ := strings.Cut(notice, "\n")
	b, _, _ := strings.Cut(old, "\n")
	a, _, _ = strings.Cut(a, "=")
	b, _, _ = strings.Cut(b, "=")
	return a == b || a+"=1" == daemon.SdNotifyReloading && b+"=1" == daemon.SdNotifyReady
}

// send sends what waits, until nothing does.
func (n *notices) send() {
	for {
		n.mu.Lock()
		if len(n.waiting) == 0 {
			close(n.sent)
			n.sent = nil
			n.mu.Unlock()
			return
		}
		next := n.waiting[0]
		n.waiting = slices.Delete(n.waiting, 0, 1)
		n.mu.Unlock()
		_, err := daemon.SdNotify(false, next)
		if err != nil && !n.failed {
			n.log.Warn("the service manager is not told", "error", err.Error())
		}
		n.failed = err != nil
	}
}

// await waits for at most so long until all notices have been sent, and says
// whether they have.
func (n *notices) await(within time.Duration) bool {
	n.mu.Lock()
	sent := n.sent
	n.mu.Unlock()
	if sent == nil {
		return true
	}
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-sent:
		return true
	case <-late.C:
		return false
	}
}
