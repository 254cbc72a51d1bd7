// Command soak runs the proxy under mixed load and mixed faults for as long as
// it is told to, and says whether anything grows.
//
//	make soak                 # ten minutes
//	make soak SOAK=2h
//	cd bench/soak && go run . -h
//
// The proxy is the real binary in a process of its own, in front of a scripted
// upstream (bench/upstream) whose every answer breaks in one of the ways of
// upstream.Faults. The clients ask on every surface that is healed, short
// relayed requests and uploads run beside them, some clients read slowly and
// some go away in the middle (form.go). Every answer is compared to the byte of
// its text: one that can be healed must be whole, one that cannot must end in
// an error that the client sees.
//
// # How much load
//
// Arrivals are open-loop, at random moments (Poisson), a set number a second.
// Unless -rate says it, that number is half of the capacity: for a few seconds
// a few arrivals a second show how much processor time one costs, client,
// proxy and upstream together, and the capacity is what all processors could
// carry of that. Processor time is counted and not the clock, so that other
// work on the machine changes little. When -open requests run already, an
// arrival is left out and counted.
//
// # What is looked at
//
// From the admin listener, at even moments (sample.go): the heap after a
// collection, resident memory, goroutines, descriptors, series of metrics,
// processor time. From the clients: the time from an arrival's planned moment
// to its first event, p50 and p99, through the proxy and of some that go to the
// upstream directly; "added" is the difference.
//
// # The verdict
//
// After a warm-up (a fifth of the time, three minutes at most) the slope of
// each is estimated after Theil and Sen: the median of the slopes between all
// pairs of samples, which a few wild samples do not move, with its 95 %
// interval after Sen (1968). A quantity grows when even the lower end of the
// interval, over the whole measured time, is more than what is allowed for it
// (verdict.go). Samples are left out that were taken while requests without the
// proxy were slow, too: the machine did something else then. When the load is over, no request may be left open, here or at
// the upstream, and goroutines and descriptors must be back where they were.
//
// The exit status is 0 when nothing grows and every answer was as it must be, 1
// if not, 2 for wrong usage. The table, the samples (TSV) and the plot are
// written into -out.
//
// It is a module of its own, so that what draws the plot is no dependency of
// the proxy.
package main
