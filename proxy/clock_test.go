package proxy

import (
	"testing"
	"time"
	"unsafe"
)

// setClock returns a time of time.Now as it is when the machine's clock is set by d
// in between: the wall clock's reading moves, the monotonic one does not.
func setClock(t *testing.T, now time.Time, d time.Duration) time.Time {
	t.Helper()
	before := now
	// The seconds of the wall clock are above the 30 bits of its nanoseconds.
	*(*uint64)(unsafe.Pointer(&now)) += uint64(int64(d/time.Second)) << 30
	if now.Sub(before) != 0 || now.Round(0).Sub(before.Round(0)) != d {
		t.Skip("package time keeps its times in another way")
	}
	return now
}

// TestIdleWhileTheClockIsSet: a clock that is set makes no tunnel idle, nor keeps one
// that is; an upload is not taken for one that stands still; and a loop knows how busy
// it is.
func TestIdleWhileTheClockIsSet(t *testing.T) {
	for _, d := range []time.Duration{-time.Hour, time.Hour} {
		e := &exchange{cfg: &Config{TunnelIdleTimeout: 10 * time.Minute, FirstEventTimeout: 10 * time.Minute}}
		now := time.Now()
		tunnel := &tunnel{e: e}
		tunnel.touch(setClock(t, now, d))
		if left := tunnel.quietUntil().Sub(now); left != 10*time.Minute {
			t.Errorf("set by %v: a tunnel may be silent for %v", d, left)
		}
		a := &attempt{e: e}
		u := &upload{e: e}
		if a.extend() {
			t.Errorf("an upload that has not begun is waited for")
		}
		u.sentAt(setClock(t, now, d))
		if !a.extend() || a.until.Sub(now) != 10*time.Minute {
			t.Errorf("set by %v: after a piece of an upload the answer is due after %v", d, a.until.Sub(now))
		}
		var l loop
		for i := range 10 {
			begin := now.Add(time.Duration(i) * window)
			l.use.work(ticks(setClock(t, begin, d*time.Duration(i%2))), ticks(setClock(t, begin.Add(window), d*time.Duration(i%3))))
		}
		if share := l.use.last.Load(); share != 1000 {
			t.Errorf("set by %v: a loop that is busy all the time is so for %d of 1000", d, share)
		}
	}
}
