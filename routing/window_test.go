package routing

import (
	"testing"
	"time"
	"unsafe"
)

// set returns a time of time.Now as it is when the machine's clock is set by d in
// between: the wall clock's reading moves, the monotonic one does not.
func set(t *testing.T, now time.Time, d time.Duration) time.Time {
	t.Helper()
	const monotonic, secondShift = 1 << 63, 30 // of the first word, see package time
	wall := (*uint64)(unsafe.Pointer(&now))
	before := now
	if *wall&monotonic == 0 {
		t.Fatal("a time without a monotonic reading")
	}
	*wall += uint64(int64(d/time.Second)) << secondShift
	if now.Sub(before) != 0 || now.Round(0).Sub(before.Round(0)) != d {
		t.Skip("package time keeps its times in another way")
	}
	return now
}

// TestWindowWhileTheClockIsSet: a limit a minute is neither one an hour when the
// clock is set back by one, nor none when it is set forward.
func TestWindowWhileTheClockIsSet(t *testing.T) {
	for _, d := range []time.Duration{-time.Hour, time.Hour} {
		begin := time.Now()
		w := newWindow(time.Minute)
		w.add(begin, 1)
		w.add(set(t, begin.Add(10*time.Second), d), 2)
		for after, want := range map[time.Duration]int64{59 * time.Second: 3, 62 * time.Second: 2, 72 * time.Second: 0} {
			seen := w
			seen.slots = append([]int64(nil), w.slots...)
			now := set(t, begin.Add(after), d)
			if got := seen.total(now); got != want {
				t.Errorf("set by %v, %v later: %d, want %d", d, after, got, want)
			}
			if wait := seen.untilBelow(now, 1); wait != 0 != (want > 0) || wait > 61*time.Second {
				t.Errorf("set by %v, %v later: wait %v", d, after, wait)
			}
		}
	}
}
