// Command clients proves the proxy with the clients that people use.
//
// It builds the proxy, starts it in front of a scripted upstream, and has every
// client hold a conversation through it for every fault that the upstream knows
// (bench/upstream, Faults), on every surface that is healed: a question whose
// answer breaks, and a second one behind it. The answer must arrive whole, with
// its natural finish, and stand in the history that comes with the second
// question. An answer that cannot be healed must end in an error. Documents are
// asked for once more through a proxy with UNARY_VIA_STREAM. The same
// conversations without the proxy show what it is good for.
//
//	go run ./bench/clients               # everything, two or three minutes
//	go run ./bench/clients -only openai  # the clients of that name
//	go run ./bench/clients -write        # everything, and the tables into docs/clients.md
//
// The clients stand in modules of their own, node and go, and are programs of
// their own: each is told what to do by a Plan on its standard input and answers
// with a Report a line. Node.js is installed if it is missing and can be; what
// npm installs lies in the user's cache, not here. A client that cannot be
// installed is left out, which is said, and is a failure with -need.
package main
