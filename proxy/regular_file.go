package proxy

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// readFile returns what a file holds, at most most bytes. What is no regular file,
// nor a link to one, is refused and not waited for: a named pipe has its reader wait
// for somebody to write, a device may never end. Errors are without the path.
func readFile(path string, most int) ([]byte, error) {
	// Opening alone may do something to a device, and says little of a socket.
	st, err := os.Stat(path)
	if err != nil {
		return nil, bare(err)
	}
	if err := isRegular(path, st.Mode()); err != nil {
		return nil, err
	}
	// It may be another file by now.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	if st, err = f.Stat(); err == nil {
		err = isRegular(path, st.Mode())
	}
	if err != nil {
		return nil, bare(err)
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	switch {
	case err != nil:
		return nil, bare(err)
	case len(data) > most:
		return nil, fmt.Errorf("larger than %d bytes", most)
	}
	return data, nil
}

// isRegular returns an error for what is neither a regular file nor a pipe that
// the process was given, as by a shell: that one ends.
func isRegular(path string, mode fs.FileMode) error {
	kind := "something else"
	switch {
	case mode.IsRegular():
		return nil
	case mode&fs.ModeNamedPipe != 0 && isDescriptor(path):
		return nil
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a named pipe"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	}
	return fmt.Errorf("is %s, must be a regular file or a link to one", kind)
}

// isDescriptor tells whether a path is a name for an open descriptor of the process.
func isDescriptor(path string) bool {
	path = filepath.Clean(path)
	return path == "/dev/stdin" || strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/proc/self/fd/")
}
