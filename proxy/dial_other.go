//go:build !linux

package proxy

import (
	"net"
	"net/netip"
	"time"
)

// dialAddress connects to an address that needs no resolver.
func dialAddress(addr netip.AddrPort, until time.Time) (net.Conn, error) {
	return dialName(addr.String(), until)
}
