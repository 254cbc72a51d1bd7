package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// buildProxy builds the proxy of this repository into dir.
func buildProxy(dir string) (string, error) {
	name := filepath.Join(dir, "gemini-resilient-proxy")
	root, err := repository()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", name, ".")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the proxy: %w\n%s", err, out)
	}
	return name, nil
}

// repository is the root of the repository, from this module's directory or
// from the root itself.
func repository() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for _, dir := range []string{wd, filepath.Join(wd, "..", "..")} {
		if _, err := os.Stat(filepath.Join(dir, "bench", "soak", "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("run this in bench/soak")
}

// process is the proxy under test.
type process struct {
	cmd    *exec.Cmd
	url    string
	admin  string
	log    string        // name of the file that has what it said
	exited chan struct{} // closed when it has ended
}

// startProxy starts the program in front of an upstream and waits until it is
// ready.
func startProxy(program, dir, upstream string, env []string) (*process, error) {
	public, admin, err := twoAddresses()
	if err != nil {
		return nil, err
	}
	p := &process{url: "http://" + public, admin: "http://" + admin, log: filepath.Join(dir, "proxy.log"), exited: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command(program)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(os.Environ(), "LISTEN_ADDR="+public, "ADMIN_ADDR="+admin, "UPSTREAM_URL_BASE="+upstream,
		"ACCESS_LOG=off", "STALL_TIMEOUT=2s", "FIRST_EVENT_TIMEOUT=20s", "RETRY_BASE_DELAY=50ms", "RETRY_MAX_DELAY=1s")
	p.cmd.Env = append(p.cmd.Env, env...)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.cmd.Wait(); close(p.exited) }()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && p.alive(); time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get(p.admin + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == 200 {
				return p, nil
			}
		}
	}
	p.stop()
	said, _ := os.ReadFile(p.log)
	return nil, fmt.Errorf("the proxy did not become ready: %s", said)
}

func (p *process) alive() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// stop ends the process, at once if it does not drain within a few seconds.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill()
		<-p.exited
	}
}

// twoAddresses are free loopback addresses.
func twoAddresses() (a, b string, err error) {
	l1, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer l1.Close()
	l2, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer l2.Close()
	return l1.Addr().String(), l2.Addr().String(), nil
}
