package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
)

// listenPublic returns the public listeners: the sockets that systemd handed
// over (sd_listen_fds(3)), else the one of the setting.
func listenPublic(addr string) ([]net.Listener, error) {
	inherited, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("inherited sockets: %w", err)
	}
	var public []net.Listener
	for _, l := range inherited {
		if l != nil {
			public = append(public, l)
		}
	}
	if len(public) > 0 {
		return public, nil
	}
	l, err := listen(addr)
	if err != nil {
		return nil, fmt.Errorf("LISTEN_ADDR: %w", err)
	}
	return []net.Listener{l}, nil
}

// listen opens addr: "[host]:port" or "unix:/path". A socket file that nobody
// listens on any more is replaced.
func listen(addr string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(addr, "unix:")
	if !isUnix {
		return net.Listen("tcp", addr)
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("%s: another process listens on it", path)
	}
	if st, err := os.Lstat(path); err == nil && st.Mode()&os.ModeSocket != 0 {
		os.Remove(path)
	}
	return net.Listen("unix", path)
}
