package proxy

import (
	"fmt"
	"os"
	"syscall"
)

// inodeStamp tells a file from another that has taken its place, and from itself
// with other contents or permissions: sizes and times of modification can be
// those of before, the time of the last change of the inode cannot (inode(7)).
func inodeStamp(st os.FileInfo) string {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprint(" ", sys.Ino, sys.Ctim.Sec, sys.Ctim.Nsec)
}
