// Command compare measures the proxy of this repository beside others, on this
// machine, under the same load.
//
//	make bench-compare
//	cd bench/compare && go run . -h
//	cd bench/compare && go run . -quick
//
// The others are nginx, haproxy and caddy, if they are installed or can be,
// net/http's ReverseProxy and a straightforward fasthttp relay (reverseproxy,
// relay). It is a module of its own, so that what draws the plot is no
// dependency of the proxy; it imports nothing of the proxy, but builds and runs
// it.
//
// # One measurement
//
// A contender is started afresh on a free loopback port, in front of the load
// upstream (bench/load upstream). The load generator (bench/load) warms it up
// and then loads it for the length of a window. The processor time of a
// contender is the run time of all threads of all its processes
// (/proc/PID/task/*/schedstat) over that window; what the clients saw comes
// from the generator's report. Then the contender is stopped.
//
// # Rounds
//
// The machine may be shared and noisy, and load, upstream and contender share
// its processors. So each workload is measured in rounds; in each round every
// contender has its turn, in an order that is drawn anew. What is printed is
// the median over the rounds, and the least and the greatest. Ratios are made
// within a round and their median is taken: they are what to trust, not the
// microseconds.
//
// "added" latency is the contender's quantile less that of the round's direct
// run, from the load upstream's write to the client's read.
//
// # Errors
//
// Behind caddy and ReverseProxy some streams break shortly after they begin
// ("use of closed network connection"): net/http's client gives a connection
// up when an answer begins while it is still at the request. They are counted,
// and leave out the rest of those streams' events.
package main
