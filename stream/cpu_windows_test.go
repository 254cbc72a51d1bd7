package stream

import (
	"syscall"
	"testing"
	"time"
)

// cpuTime is the time that all threads of this process have run.
func cpuTime(b *testing.B) time.Duration {
	var created, exited, kernel, user syscall.Filetime
	self, err := syscall.GetCurrentProcess()
	if err == nil {
		err = syscall.GetProcessTimes(self, &created, &exited, &kernel, &user)
	}
	if err != nil {
		b.Fatal(err)
	}
	const unit = 100 // nanoseconds
	ticks := func(f syscall.Filetime) int64 { return int64(f.HighDateTime)<<32 | int64(f.LowDateTime) }
	return time.Duration(unit * (ticks(kernel) + ticks(user)))
}
