package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"

	"gemini-resilient-proxy/proxy"
)

// sockets are what the program listens on.
type sockets struct {
	public []net.Listener
	admin  []net.Listener // none: there is to be no admin listener
	made   []net.Listener // those that this process, or one before it, has opened
}

// The names by which inherited sockets are told apart (FileDescriptorName= in
// systemd.socket(5)).
const (
	publicName = "public"
	adminName  = "admin"
)

// lookupEnv is os.LookupEnv, with the LISTEN_FDS that the process was started
// with: whoever takes the sockets over takes it out of the environment.
var lookupEnv = func() func(string) (string, bool) {
	const name = "LISTEN_FDS"
	sockets, given := os.LookupEnv(name)
	return func(asked string) (string, bool) {
		if asked == name {
			return sockets, given
		}
		return os.LookupEnv(asked)
	}
}()

// isAdmin tells whether a name is that of a socket for the admin listener. One
// without a name of its own has that of its unit. All others are public.
func isAdmin(name string) bool {
	return name == adminName || strings.HasSuffix(name, "-"+adminName+".socket")
}

// isUsual tells whether nobody thought of a name, or of the right one.
func isUsual(name string) bool {
	return name == publicName || name == "unknown" || strings.HasPrefix(name, "LISTEN_FD_") || strings.HasSuffix(name, ".socket")
}

// openSockets returns the sockets that were handed over (sd_listen_fds(3)) and
// opens those of the settings for what was not. made are the places of those
// handed over that a process before this one has opened.
func openSockets(cfg *proxy.Config, made string, log *slog.Logger) (s *sockets, err error) {
	s = &sockets{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := checkInherited(); err != nil {
		return s, err
	}
	var errs []error
	places := strings.Split(made, ",")
	for i, f := range activation.Files(true) {
		errs = append(errs, s.inherit(f, slices.Contains(places, strconv.Itoa(i)), log))
	}
	if err := errors.Join(errs...); err != nil {
		return s, err
	}
	if len(s.public) == 0 {
		l, err := listen(cfg.ListenAddr)
		if err != nil {
			return s, fmt.Errorf("LISTEN_ADDR: %w", err)
		}
		s.public, s.made = append(s.public, l), append(s.made, l)
	}
	if len(s.admin) == 0 && cfg.AdminAddr != "" {
		l, err := listen(cfg.AdminAddr)
		if err != nil {
			return s, fmt.Errorf("ADMIN_ADDR: %w", err)
		}
		s.admin, s.made = append(s.admin, l), append(s.made, l)
	}
	return s, nil
}

// checkInherited says what is wrong with LISTEN_FDS, the number of the descriptors
// that this process has inherited from 3 on. Package activation believes any number
// and takes none for something that is no number.
func checkInherited() error {
	const first = 3
	value, given := os.LookupEnv("LISTEN_FDS")
	if pid, err := strconv.Atoi(os.Getenv("LISTEN_PID")); !given || err != nil || pid != os.Getpid() {
		return nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return fmt.Errorf("LISTEN_FDS is %q: must be the number of inherited descriptors (sd_listen_fds(3))", value)
	}
	for fd := first; fd-first < n; fd++ {
		if !isOpen(fd) {
			return fmt.Errorf("LISTEN_FDS is %q: must be the number of inherited descriptors (sd_listen_fds(3)), but %d is not open", value, fd)
		}
	}
	return nil
}

// inherit takes over an inherited socket. made: a process before this one opened it.
func (s *sockets) inherit(f *os.File, made bool, log *slog.Logger) error {
	defer f.Close()
	if !listens(f) {
		return fmt.Errorf("inherited socket %q: must be a stream socket that listens (ListenStream= and Accept=no in systemd.socket(5))", f.Name())
	}
	l, err := net.FileListener(f)
	if err != nil {
		return fmt.Errorf("inherited socket %q: %w", f.Name(), err)
	}
	if made {
		if u, ok := l.(*net.UnixListener); ok {
			socket := newUnixSocket(u)
			socket.stays.Store(true)
			l = socket
		}
		s.made = append(s.made, l)
	}
	name := f.Name()
	if isAdmin(name) {
		s.admin = append(s.admin, l)
		return nil
	}
	if !isUsual(name) {
		log.Warn("inherited socket has a name that means nothing here, and is public: FileDescriptorName= is "+publicName+" or "+adminName,
			"name", name, "address", l.Addr().String())
	}
	s.public = append(s.public, l)
	return nil
}

func (s *sockets) close() {
	for _, l := range append(s.public, s.admin...) {
		l.Close()
	}
}

// files returns descriptors of all sockets for another process, with their
// names. The files are the caller's to close.
func (s *sockets) files() (files []*os.File, names []string, err error) {
	add := func(list []net.Listener, name string) {
		for _, l := range list {
			f, failed := duplicate(l)
			if failed != nil {
				err = errors.Join(err, failed)
				continue
			}
			files, names = append(files, f), append(names, name)
		}
	}
	add(s.public, publicName)
	add(s.admin, adminName)
	return files, names, err
}

// madeOnes returns the places of those that were made among those of files, for
// another process. A path that somebody else has taken over is not its to remove.
func (s *sockets) madeOnes() string {
	var places []string
	for i, l := range slices.Concat(s.public, s.admin) {
		if socket, ok := l.(*unixSocket); ok && !socket.keeps() {
			continue
		}
		if slices.Contains(s.made, l) {
			places = append(places, strconv.Itoa(i))
		}
	}
	return strings.Join(places, ",")
}

// leave keeps the files of Unix sockets when the listeners are closed: another
// process goes on serving them.
func (s *sockets) leave() { s.keepFiles(true) }

// own has the files of the Unix sockets that were made go with their listeners,
// once this process is the only one to serve them.
func (s *sockets) own() { s.keepFiles(false) }

func (s *sockets) keepFiles(yes bool) {
	for _, l := range s.made {
		if l, ok := l.(*unixSocket); ok {
			l.stays.Store(yes)
		}
	}
}

// listen opens addr: "[host]:port" or "unix:/path". A socket file that nobody
// listens on any more is replaced.
func listen(addr string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(addr, "unix:")
	if !isUnix {
		return net.Listen("tcp", addr)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	// One whose queue is full may be busy, or stopped, and is there.
	if err == nil || errors.Is(err, syscall.EAGAIN) {
		return nil, fmt.Errorf("%s: another process listens on it", path)
	}
	if st, err := os.Lstat(path); err == nil && st.Mode()&os.ModeSocket != 0 {
		os.Remove(path)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	return newUnixSocket(l.(*net.UnixListener)), nil
}

// begun is a listener that tells when it is accepted from for the first time.
type begun struct {
	net.Listener
	first chan struct{}
	told  bool
}

func newBegun(l net.Listener) *begun { return &begun{Listener: l, first: make(chan struct{})} }

// Accept is called by one goroutine.
func (b *begun) Accept() (net.Conn, error) {
	if !b.told {
		b.told = true
		close(b.first)
	}
	return b.Listener.Accept()
}
