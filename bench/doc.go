// Package bench measures the proxy and guards what the measurements say.
//
// It has no program code: its benchmarks and tests run the real server over
// loopback, against upstreams that cost next to nothing.
//
//	go test -bench . ./bench            events a second, time to first event, cost of a cut
//	go test -run Outages -v ./bench     a time of failing targets and keys, simulated
//	go test ./bench                     the exact part: no allocation per relayed event
//
// Each benchmark runs its direct counterpart, client to upstream without the
// proxy, on the same machine in the same run: compare the two, not the
// absolute numbers, which mean nothing on a shared machine.
//
// bench/soak looks for what grows over hours, bench/compare at other proxies.
//
// The scripted upstream that tests and the demonstration use is in
// bench/upstream.
package bench
