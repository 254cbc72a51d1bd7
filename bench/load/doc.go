// Command load puts load on an endpoint that streams server-sent events as the
// Gemini API does, and says what its clients saw.
//
//	go run ./bench/load -h
//	go run ./bench/load upstream -addr 127.0.0.1:9000
//	go run ./bench/load -url http://127.0.0.1:8080/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse \
//		-mode stream -streams 200 -rate 20
//
// # Two halves
//
// The upstream subcommand answers as the API does, with events at a steady rate
// (serve.go, answer.go). Each event carries its number, the moment it was
// written and how late that was, as a word in its text (mark.go). The generator
// (generator.go) opens streams through whatever stands between the two and
// reads these words: it knows for each event how long it was under way, and
// whether one is missing, came twice or changed places.
//
// Against any other endpoint the generator counts events and times what it can
// see by itself: the first event, the gaps between events, whole requests.
//
// # What the figures mean
//
// Load is open-loop: the upstream writes event i at i/rate after the first one,
// whether or not anybody has read the events before. "latency" counts from that
// planned moment, so the wait of an event that could not be written, because
// those before it were not taken, is part of it: nothing is coordinated with a
// slow reader, and nothing omitted. "transit" counts from the actual write and
// leaves out how late the upstream's own timers were. With -arrivals, streams
// begin at planned moments as well, and "first" counts from these. Only the
// short mode is a closed loop: its connections wait for each answer.
//
// Latencies of the saturate mode are those of full socket buffers; its figure
// is the events per second.
//
// Both sides read the wall clock, so they must run on one machine.
package main
