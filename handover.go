package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A handover, by which a new binary takes the place of a running one without a
// connection refused or cut:
//
//  1. The old process starts the new one with its listening sockets (as systemd
//     would, sd_listen_fds(3)) and three pipes, whose descriptors are in
//     HANDOVER_FDS. One holds the keys of TLS sessions, so that clients resume
//     them with the new process. It becomes a child of the service manager.
//  2. The new one accepts connections, beside the old one, and says "ready".
//  3. For a moment both accept. Then the old one makes it the main process of the
//     service, says "go" and how much it healed today, accepts nothing more, and
//     comes to its end when its last connection has.
//  4. The new one speaks for the service from "go" on. It loads its settings
//     again first, since they may have changed since it read them, and does
//     only now what signals asked it for. When it is itself told to stop it
//     stays until the old one is gone: a service manager that saw its main
//     process leave would end the other. That one then closes idle connections,
//     too, and so does the one before it, if that is still there.
//
// A new process that ends before it is told "go", such as one that falls over the
// first requests, changes nothing. One that comes too late is told "no".

// handoverEnv names the descriptors of the pipes, "ready,go,keys".
const handoverEnv = "HANDOVER_FDS"

// madeEnv says which of the sockets the processes of the handovers have made: their
// places among those that are handed over, joined by commas. The last process
// removes their files. An older version passes it on with the rest of its
// environment, and the sockets in the same order.
const madeEnv = "HANDOVER_MADE"

// handoverTimeout is how long a new process may take to be ready.
const handoverTimeout = time.Minute

// provingTime is how long a new process must serve beside the old one before that
// leaves. A variable for tests alone.
var provingTime = 2 * time.Second

// killAfter is how long a process that is not to take over has to end.
const killAfter = 5 * time.Second

const (
	sayReady = "ready\n"
	sayGo    = "go %s %d\n" // how many answers were healed on a day
	sayNo    = "no\n"
)

// self is the program's file, as it was called: behind a symbolic link there
// may be another version by the time it is started again.
var self = findSelf()

func findSelf() string {
	if path, err := exec.LookPath(os.Args[0]); err == nil {
		if path, err = filepath.Abs(path); err == nil {
			return path
		}
	}
	path, _ := os.Executable()
	return path
}

// successor is a new process that is to take over.
type successor struct {
	cmd    *exec.Cmd
	pidfd  int           // on Linux
	waited chan struct{} // on Linux: closed when cmd was waited for, or cannot be
	ready  *os.File
	goOn   *os.File
	over   chan struct{} // closed when the new process was told to stop, or has ended
}

// startSuccessor starts the program's file with the same arguments and with
// the sockets. keys are those of TLS sessions.
func startSuccessor(s *sockets, keys []byte) (*successor, error) {
	files, names, err := s.files()
	closeAll := func() {
		for _, f := range files {
			f.Close()
		}
	}
	defer func() { closeAll() }()
	if err != nil {
		return nil, err
	}
	n := &successor{over: make(chan struct{})}
	var readyW, goR, keysR *os.File
	if n.ready, readyW, err = os.Pipe(); err != nil {
		return nil, err
	}
	files = append(files, readyW)
	if goR, n.goOn, err = os.Pipe(); err != nil {
		n.ready.Close()
		return nil, err
	}
	files = append(files, goR)
	if keysR, err = filled(keys); err != nil {
		n.close()
		return nil, err
	}
	files = append(files, keysR)
	const firstExtra = 3
	n.cmd = exec.Command(self, os.Args[1:]...)
	n.cmd.Args[0] = os.Args[0]
	n.cmd.Stdout, n.cmd.Stderr = os.Stdout, os.Stderr
	n.cmd.ExtraFiles = files
	n.cmd.Env = append(ownEnv(),
		"LISTEN_FDS="+strconv.Itoa(len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"),
		fmt.Sprintf("%s=%d,%d,%d", handoverEnv, firstExtra+len(names), firstExtra+len(names)+1, firstExtra+len(names)+2),
		madeEnv+"="+s.madeOnes())
	if err := n.start(); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// filled returns a pipe that holds b, which must be short.
func filled(b []byte) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	if _, err := w.Write(b); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// ownEnv is the environment without what belongs to this process alone.
func ownEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", handoverEnv, madeEnv}, name)
	})
}

func (n *successor) close() {
	n.ready.Close()
	n.goOn.Close()
}

// await waits until the new process is ready, and has been for provingTime. After an
// error it is gone, or about to: the requests that it has accepted may last.
func (n *successor) await(stop <-chan struct{}) error {
	if err := n.awaitReady(stop); err != nil {
		// It may have accepted connections: it is asked first.
		n.refuse()
		n.cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(killAfter, func() { n.cmd.Process.Kill() })
		defer kill.Stop()
		return errors.Join(err, n.awaitExit())
	}
	proven := time.NewTimer(provingTime)
	defer proven.Stop()
	select {
	case <-n.over:
		// Where it was told to stop it comes to its end as any other.
		n.refuse()
		go n.awaitExit()
		return fmt.Errorf("it ended within %v of being ready", provingTime)
	case <-stop:
		// Both end, and each with the requests that it has.
	case <-proven.C:
	}
	return nil
}

// awaitReady waits until the new process says that it is ready.
func (n *successor) awaitReady(stop <-chan struct{}) error {
	said := make(chan error, 1)
	go func() {
		defer close(n.over)
		from := bufio.NewReader(n.ready)
		line, err := from.ReadString('\n')
		switch {
		case err == io.EOF:
			err = errors.New("it ended before it was ready")
		case err == nil && line != sayReady:
			err = fmt.Errorf("it says %q", line)
		}
		said <- err
		io.Copy(io.Discard, from)
	}()
	timeout := time.NewTimer(handoverTimeout)
	defer timeout.Stop()
	select {
	case err := <-said:
		return err
	case <-timeout.C:
		return fmt.Errorf("not ready after %v", handoverTimeout)
	case <-stop:
		return errors.New("the program is told to stop")
	}
}

// refuse tells the new process that it is not to take over.
func (n *successor) refuse() {
	io.WriteString(n.goOn, sayNo)
	n.close()
}

// proceed tells the new process that it is the one, and how many answers were
// healed today. The pipe stays open until this process ends.
func (n *successor) proceed(day string, healed int64) { fmt.Fprintf(n.goOn, sayGo, day, healed) }

// awaitHurry returns when the new process is told to stop, or has ended.
func (n *successor) awaitHurry() { <-n.over }

// predecessor is the process that this one takes over from.
type predecessor struct {
	ready *os.File
	from  *bufio.Reader
	gone  chan struct{} // closed when it has ended
	keys  []byte        // of TLS sessions
	made  string        // see madeEnv

	// What it had healed on its last day, as it said when it handed over.
	day    string
	healed int64
}

// findPredecessor returns who started this process to take over, nil when
// nobody did. The inherited sockets are then meant for this process.
func findPredecessor() (*predecessor, error) {
	value, ok := os.LookupEnv(handoverEnv)
	if !ok {
		return nil, nil
	}
	os.Unsetenv(handoverEnv)
	var fds [3]int
	for i, text := range strings.SplitN(value, ",", len(fds)) {
		fd, err := strconv.Atoi(text)
		if err != nil || fd < 3 {
			return nil, fmt.Errorf("%s is %q: must be descriptors", handoverEnv, value)
		}
		closeOnExec(fd)
		fds[i] = fd
	}
	if fds[len(fds)-1] == 0 {
		return nil, fmt.Errorf("%s is %q: must be %d descriptors", handoverEnv, value, len(fds))
	}
	from := os.NewFile(uintptr(fds[2]), "keys")
	defer from.Close()
	keys, err := io.ReadAll(from)
	if err != nil {
		return nil, fmt.Errorf("%s: keys of TLS sessions: %w", handoverEnv, err)
	}
	// The process that set the other variables could not know this identity.
	os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	return &predecessor{
		ready: os.NewFile(uintptr(fds[0]), "ready"),
		from:  bufio.NewReader(os.NewFile(uintptr(fds[1]), "go")),
		gone:  make(chan struct{}),
		keys:  keys,
		made:  os.Getenv(madeEnv),
	}, nil
}

// takeOver says that this process is ready and waits until it is the one: when
// the old one says so, or is gone. It is false when the old one goes on.
func (p *predecessor) takeOver() bool {
	io.WriteString(p.ready, sayReady)
	said, _ := p.from.ReadString('\n')
	go func() {
		io.Copy(io.Discard, p.from)
		close(p.gone)
	}()
	fmt.Sscanf(said, sayGo, &p.day, &p.healed)
	return said != sayNo
}

// hurry tells the old process that the whole service is to end.
func (p *predecessor) hurry() { p.ready.Close() }
