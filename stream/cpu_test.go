package stream

import "testing"

// measureCPU adds the processor time of the process for each operation to what
// a benchmark reports. Other programs take none of it, as they do of the time
// on the clock. Call it right before the loop, and what it returns behind it.
func measureCPU(b *testing.B) func() {
	begin := cpuTime(b)
	return func() { b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N), "cpu-ns/op") }
}
