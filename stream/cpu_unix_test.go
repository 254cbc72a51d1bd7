//go:build unix

package stream

import (
	"syscall"
	"testing"
	"time"
)

// cpuTime is the time that all threads of this process have run.
func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
