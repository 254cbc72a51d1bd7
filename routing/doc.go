// Package routing holds the decisions of the proxy that need no connection:
// which group a request belongs to, which URL it goes to upstream, and whether
// an attempt that broke off is tried again.
//
// The life of one request, seen from here:
//
//  1. CheckPath and CheckQuery refuse a request target that could mean
//     something else upstream than it means here.
//  2. SplitQuery takes the API key and the group name out of the query.
//  3. Table.Choose finds the group; Table.SplitKey cuts its prefix off the key.
//  4. Clients.Find knows who asks, by a token; Gate.Enter lets the request run,
//     wait or be refused.
//  5. Balancer.Acquire chooses the target of an attempt and Keyring.Acquire its
//     key; Origins know where what the client sends back came from. AppendTarget writes the upstream request target, Renames.AppendPath
//     the model's name in it. AppendOwnURL takes one back to what the client
//     would ask for.
//  6. Outcome.Sign and Refusal.Fate say what the attempt tells of its target and
//     of its key, and Balancer and Keyring keep those away that are of no use.
//  7. Policy.Decide says after each interrupted attempt whether there is
//     another one, and after which wait; Budget.Withdraw, whether the group can
//     afford it.
//
// The package knows names, keys, paths and outcomes. It never sees a body, a
// socket, a clock or a source of random numbers: times and random numbers are
// handed in. Functions called for each request do not allocate.
//
// Several replicas keep limits together through Shared and Mark; what carries
// those between them is the proxy's.
//
// A Table, a Base and a Policy are safe for concurrent use once made, provided
// that the random source given to the Policy is. Balancer, Keyring, Budget,
// Gate, Clients, Origins and Watermark are too: each has one lock, held for as long as it
// takes to look at its targets, keys or clients. A Ledger and a Ticket belong to
// one request and one goroutine at a time.
package routing
