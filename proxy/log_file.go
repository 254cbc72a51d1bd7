package proxy

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// moveCheck is how often a LogFile looks whether its file was moved away.
const moveCheck = time.Second

// LogFile is a file that is appended to, and that may be rotated at any time:
// when it was moved away or removed, the next line goes to a new one of its
// name. One goroutine may write at a time.
type LogFile struct {
	path   string
	f      *os.File
	looked time.Time
	torn   bool // the last line was written in part
	again  atomic.Bool
	lost   error // why there is no new file in the place of one that was moved away
}

// OpenLogFile opens the file of that path, or makes it.
func OpenLogFile(path string) (*LogFile, error) {
	f, err := openAppend(path)
	if err != nil {
		return nil, err
	}
	return &LogFile{path: path, f: f, looked: time.Now()}, nil
}

// openAppend does not wait for somebody to read from a named pipe: without a
// reader that is an error.
func openAppend(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, 0o640)
}

// Reopen lets the next line go to the file that has the path then. It may be
// called from any goroutine.
func (l *LogFile) Reopen() { l.again.Store(true) }

// Write appends p.
func (l *LogFile) Write(p []byte) (int, error) {
	now := time.Now()
	if l.again.Swap(false) || now.Sub(l.looked) >= moveCheck {
		l.looked, l.lost = now, nil
		if l.moved() {
			// Until there can be a new one, lines go to the old one.
			f, err := openAppend(l.path)
			if err == nil {
				l.f.Close()
				l.f, l.torn = f, false
			}
			l.lost = err
		}
	}
	if l.torn {
		// The disk was full: what comes now is a line of its own.
		if _, err := l.f.Write([]byte("\n")); err != nil {
			return 0, err
		}
		l.torn = false
	}
	n, err := l.f.Write(p)
	l.torn = n > 0 && p[n-1] != '\n'
	return n, err
}

// moved tells whether the path leads to another file than the open one.
func (l *LogFile) moved() bool {
	at, err := os.Stat(l.path)
	if err != nil {
		return true
	}
	own, err := l.f.Stat()
	return err != nil || !os.SameFile(at, own)
}

var logFileCodec = codec{
	parse: func(c *Config, text string) error {
		if text != "" && !filepath.IsAbs(text) {
			return errors.New("must be an absolute path")
		}
		c.LogFile = text
		return nil
	},
	format: func(c *Config) string { return c.LogFile },
}
