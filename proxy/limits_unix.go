//go:build unix

package proxy

import "syscall"

// maxConns returns how many upstream connections the process can have open: a
// stream takes two descriptors, one for each side, and some are kept for
// everything else.
func maxConns() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return defaultConns
	}
	return int(min(max(64, (uint64(l.Cur)-64)/2), 1<<20))
}
