package stream

import (
	"syscall"
	"testing"
	"time"
)

// measureCPU adds the processor time of the process for each operation to what
// a benchmark reports. Other programs take none of it, as they do of the time
// on the clock. Call it right before the loop, and what it returns behind it.
func measureCPU(b *testing.B) func() {
	begin := cpuTime(b)
	return func() { b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N), "cpu-ns/op") }
}

// cpuTime is the time that all threads of this process have run.
func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
