//go:build unix

package proxy

import "syscall"

// descriptors returns how many descriptors the process may have open.
func descriptors() (limit uint64, known bool) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, false
	}
	return uint64(l.Cur), true
}
