//go:build !linux

package proxy

import (
	"net"
	"time"
)

// dialTCP connects to host:port until the given time.
func dialTCP(addr string, until time.Time) (net.Conn, error) { return dialName(addr, until) }
