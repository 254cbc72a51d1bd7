//go:build !linux

package proxy

import "net"

// newRawIO returns c as it is.
func newRawIO(c net.Conn) net.Conn { return c }

// unwrapped returns what newRawIO was given.
func unwrapped(c net.Conn) net.Conn { return c }
