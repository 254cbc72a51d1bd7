package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// contender is a proxy that takes part.
type contender struct {
	name     string
	program  string   // name, or path in the directory of built programs
	version  []string // arguments that make it print its version
	packaged bool     // comes as a package of that name
	files    func(place) map[string]string
	args     func(place) []string
	env      func(place) []string
}

// place is where a contender is to run.
type place struct {
	dir      string // for its files
	listen   string // host:port
	upstream string // host:port
	secure   bool   // the upstream speaks TLS
	ca       string // file with its certificate
	streams  int    // that it must bear at once
}

func (p place) path(name string) string { return filepath.Join(p.dir, name) }

func (p place) url() string {
	if p.secure {
		return "https://" + p.upstream
	}
	return "http://" + p.upstream
}

// Names of contenders that others are compared with.
const (
	ourName     = "this proxy"
	nginxName   = "nginx"
	haproxyName = "haproxy"
	plainName   = "ReverseProxy"
	// directName stands for no proxy at all.
	directName = "direct"
)

// contenders are all proxies, in the order of the tables. bin is the directory
// of those that were built here.
func contenders(bin string) []contender {
	built := func(name string) string { return filepath.Join(bin, name) }
	simple := func(p place) []string {
		args := []string{"-listen", p.listen, "-upstream", p.url()}
		if p.secure {
			args = append(args, "-ca", p.ca)
		}
		return args
	}
	return []contender{
		{name: ourName, program: built("gemini-resilient-proxy"), env: ourSettings},
		{name: nginxName, program: "nginx", version: []string{"-v"}, packaged: true, files: nginxFiles,
			args: func(p place) []string { return []string{"-p", p.dir, "-c", p.path("nginx.conf"), "-e", "stderr"} }},
		{name: haproxyName, program: "haproxy", version: []string{"-v"}, packaged: true, files: haproxyFiles,
			args: func(p place) []string { return []string{"-db", "-f", p.path("haproxy.cfg")} }},
		{name: "caddy", program: "caddy", version: []string{"version"}, packaged: true, files: caddyFiles,
			args: func(p place) []string {
				return []string{"run", "--adapter", "caddyfile", "--config", p.path("Caddyfile")}
			},
			env: func(p place) []string {
				return []string{"HOME=" + p.dir, "XDG_DATA_HOME=" + p.dir, "XDG_CONFIG_HOME=" + p.dir}
			}},
		{name: plainName, program: built("reverseproxy"), args: simple},
		{name: "fasthttp relay", program: built("relay"), args: simple},
	}
}

// find returns the path and the version of the program, the second empty for
// one that was built here.
func (c *contender) find() (path, version string, err error) {
	path, err = exec.LookPath(c.program)
	if err != nil {
		// Where administrators' programs are, when the search path lacks it.
		if path, err = exec.LookPath(filepath.Join("/usr/sbin", c.program)); err != nil {
			return "", "", err
		}
	}
	if len(c.version) == 0 {
		return path, "", nil
	}
	out, err := exec.Command(path, c.version...).CombinedOutput()
	first, _, _ := strings.Cut(string(out), "\n")
	return path, strings.TrimSpace(first), err
}

// start runs the contender and waits until it listens. Its output goes to a
// file in its place.
func (c *contender) start(p place) (*process, error) {
	path, _, err := c.find()
	if err != nil {
		return nil, err
	}
	if c.files != nil {
		for name, text := range c.files(p) {
			if err := os.WriteFile(p.path(name), []byte(text), 0o644); err != nil {
				return nil, err
			}
		}
	}
	argv := []string{path}
	if c.args != nil {
		argv = append(argv, c.args(p)...)
	}
	env := []string{fmt.Sprintf("GOMAXPROCS=%d", threads)}
	if c.env != nil {
		env = append(env, c.env(p)...)
	}
	proc, err := start(p.path("output"), env, argv...)
	if err != nil {
		return nil, err
	}
	if err := proc.waitFor(p.listen); err != nil {
		proc.stop()
		out, _ := os.ReadFile(p.path("output"))
		return nil, fmt.Errorf("%s: %w: %s", c.name, err, lastLine(string(out)))
	}
	return proc, nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
