// Package proxy wires stream and routing to sockets: it owns the server, the
// connections to the upstream, every deadline, the log and the metrics.
//
// The life of one request:
//
//	Server.serve      refuses what must not pass (admit.go), answers CORS
//	exchange          is made: one client request, from head to log line
//	exchange.route    finds key and group
//	exchange.enter    finds out who asks and lets the request run, wait its
//	                  turn or be refused (place.go)
//	exchange.borrow   takes a target and a key for an attempt and builds the
//	                  upstream request target; settle gives them back with
//	                  what the attempt said of them (lease.go)
//	Server.interact   resumes a stream of the Interactions API where it broke
//	                  (interactions.go), in a healer's phases, or
//	Server.tunnel     joins the two connections of a WebSocket, or
//	Server.relay      passes it through, both bodies streaming, or
//	healer.open       runs attempts until there is something to tell the
//	                  client: the first event, or a final error
//	healer.WriteTo    commits: first event with the head in one write, then
//	                  read, scan, splice, write until the answer is over,
//	                  asking the upstream again when an attempt breaks
//	healer.answer     does both for an answer that is one document: it folds
//	                  what the attempts deliver and gives it in one piece
//	exchange.finish   counts, logs, gives everything back
//
// All of it runs in the goroutine that fasthttp runs the client's connection
// in; WriteTo is called by fasthttp after the handler, on the same goroutine
// (fasthttp.BodyWriterTo). A request body that does not fit into memory is
// sent by a second goroutine, which the exchange joins before it ends.
//
// The exception is the middle of a stream, where there is nothing to do but to
// pass events on, or to drop what a continuation repeats: there a loop
// (loop_linux.go) carries the stream, one goroutine for all of them, and the
// stream's own sleeps (heal_ride.go). The
// loop reads and writes without waiting; whatever else comes, such as a finish,
// an error, the end of the body, silence, a client that does not take
// everything at once, wakes the goroutine, which goes on as if it had been
// there all the time. Both descriptors are held meanwhile, so that nobody can
// close them; a cancel ends the ride; a panic on the loop ends that stream
// alone. Streams with content coding, or whose client is no plain socket, are
// not carried.
//
// Who owns which bytes: the request head and body belong to fasthttp's
// request and live until the response has been written; an exchange, a healer
// and their buffers come from pools and go back in finish; an upstream
// connection belongs to one attempt, which gives it back exactly once.
//
// A configuration is a state (state.go): groups with their targets, keys and
// budgets. An exchange keeps the one that it began with; Server.Reload puts
// another in its place for those that come.
//
// With REDIS_URL, a sharer (share.go) talks with those of other replicas on a
// goroutine of its own. It takes what limits there are, and what is parked and
// ejected, from the state and the Gate, and puts what it hears into them; an
// exchange finds leases there and never asks the server. It can ask for the next
// talk to be soon, and wait a moment for what that brings (share_wait.go).
// Where things came from that the API keeps (origin.go) is told and asked on a
// second goroutine (share_origins.go): an exchange that brings something of which
// nothing is known here waits a moment for the answer (share_seek.go).
//
// What another goroutine may do to an exchange: cancel it, when the client
// has left (watch_linux.go) or the drain is over (server.go). That wakes it
// from a read, a write or a wait; it then ends by itself.
package proxy
