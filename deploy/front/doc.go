// Package front holds configurations of servers that stand in front of the proxy
// and speak HTTP/2 and HTTP/3 with clients. Its tests run the servers that are
// installed with them, and are a module of their own: the program knows nothing
// of QUIC or Envoy.
package front
