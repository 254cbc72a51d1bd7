package routing

import "bytes"

// Source says which part of a request named its group.
type Source uint8

// The sources of a group, in the order in which they are asked.
const (
	FromKey Source = iota
	FromHeader
	FromQuery
	FromHost
	FromDefault
)

// String returns the name of the source for logs and metric labels.
func (s Source) String() string {
	switch s {
	case FromKey:
		return "key"
	case FromHeader:
		return "header"
	case FromQuery:
		return "query"
	case FromHost:
		return "host"
	default:
		return "default"
	}
}

// Hints are the parts of a request that may name a group. Any may be empty.
type Hints struct {
	// Key is the API key with its prefix, if it has one.
	Key []byte
	// Header is the value of the header X-Proxy-Group.
	Header []byte
	// Query is the decoded value of the query parameter "group".
	Query []byte
	// Host is the value of the Host header, with the port if it has one.
	Host []byte
}

// Choose returns the group of a request: the first of the key's prefix, the
// header, the query parameter and the first label of the host that names a
// known group, else the default group. The group is never nil. Choose does not
// allocate and keeps nothing of h.
func (t *Table) Choose(h Hints) (g *Group, source Source) {
	if g, _ = t.SplitKey(h.Key); g != nil {
		return g, FromKey
	}
	if g = t.Lookup(h.Header); g != nil {
		return g, FromHeader
	}
	if g = t.Lookup(h.Query); g != nil {
		return g, FromQuery
	}
	if g = t.LookupHost(h.Host); g != nil {
		return g, FromHost
	}
	return t.def, FromDefault
}

// LookupHost returns the group named by the first label of a Host header, or
// nil. Port and case do not count. A host of one label names no group, with or
// without the dot of the root, and neither does an IP address.
func (t *Table) LookupHost(host []byte) *Group {
	name := hostName(host)
	first := bytes.IndexByte(name, '.')
	if first <= 0 || first > maxGroupName {
		return nil
	}
	last := name[bytes.LastIndexByte(name, '.')+1:]
	if len(last) == 0 || isNumber(last) {
		return nil
	}
	label := name[:first]
	if g := t.Lookup(label); g != nil {
		return g
	}
	var lower [maxGroupName]byte
	for i, c := range label {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	return t.byLabel[string(lower[:len(label)])]
}

// hostName returns host without the port and the dot of the root. It is empty
// for an IPv6 address, with or without brackets.
func hostName(host []byte) []byte {
	if i := bytes.IndexByte(host, ':'); i >= 0 {
		if bytes.IndexByte(host[i+1:], ':') >= 0 {
			return nil
		}
		host = host[:i]
	}
	return bytes.TrimSuffix(host, []byte("."))
}

// isNumber reports whether a host's last label makes it an IPv4 address. No
// top-level domain is a number, and short forms such as 127.1 are addresses to
// many resolvers.
func isNumber(label []byte) bool {
	for _, c := range label {
		if !isDigit(c) {
			return false
		}
	}
	return true
}
