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
//  4. AppendTarget writes the upstream request target.
//     AppendOwnURL takes one back to what the client would ask for.
//  5. Policy.Decide says after each interrupted attempt whether there is
//     another one, and after which wait.
//
// The package knows names, keys, paths and outcomes. It never sees a body, a
// socket, a clock or a source of random numbers: times and random numbers are
// handed in. Functions called for each request do not allocate.
//
// A Table, a Base and a Policy are safe for concurrent use once made, provided
// that the random source given to the Policy is. A Ledger belongs to one
// request and one goroutine at a time.
package routing
