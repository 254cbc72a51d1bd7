package proxy

import (
	"context"
	"errors"
	"time"
)

// alivePause is the time between two looks at a loop that has not answered.
const alivePause = 10 * time.Millisecond

// alive returns an error when a loop has not come round until ctx is done: it is
// stuck in a stream, and so are all that it carries.
func (all loops) alive(ctx context.Context) error {
	for _, l := range all {
		for before := l.sweeps.Load(); l.sweeps.Load() == before; {
			l.nudge()
			select {
			case <-time.After(alivePause):
			case <-ctx.Done():
				return errors.New("a loop is stuck")
			}
		}
	}
	return nil
}

// nudge makes the loop sweep as soon as it can.
func (l *loop) nudge() {
	// A loop that is stuck may hold the lock.
	if !l.mu.TryLock() {
		return
	}
	defer l.mu.Unlock()
	now := time.Now()
	l.sweepAt = now
	l.file.SetReadDeadline(now)
}
