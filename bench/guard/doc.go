// Command guard holds the benchmarks against their baseline and fails when
// something has become dearer.
//
//	make bench-guard                        # compares, and notes the ratios in the history
//	make bench-guard GUARD=-update          # makes what is there now the baseline
//	make bench-guard GUARD="-rounds 0"      # allocations alone, half a minute
//	cd bench/guard && go run . -h
//
// Two things are compared with bench/testdata/baseline.txt, which is in the Go
// benchmark format.
//
// # Allocations
//
// The least number of allocations per operation of some runs must not exceed
// that of the baseline, not by one, or by one in fifty where there are as many.
// Other goroutines of the program can only add to the number, hence the least;
// where it is too high they are counted again, some times.
//
// # Time
//
// Time is processor time, of the whole process: on a shared machine the clock
// says more about the others. Its nanoseconds still mean nothing on another
// machine. So every time is divided by that of a reference which was measured
// in the same round, a moment before: for benchmarks over sockets a relay that
// reads and writes and does nothing else (bench/reference_test.go), for those
// of package stream a loop that looks at each byte of an event once. The median
// of these ratios over all rounds must not exceed that of the baseline by more
// than the margin.
//
// The garbage collector does not run: it empties pools, and works with whatever
// processors are idle, so that its share says how idle the machine was. What it
// would have to collect are the allocations.
//
// # History
//
// bench/history.tsv gets a line for each run: date, commit, processor and the
// ratios of the benchmarks over sockets. benchstat prints the comparison in
// full. This is a module of its own, so that what it needs is no dependency of
// the proxy.
package main
