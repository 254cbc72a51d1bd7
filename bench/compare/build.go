package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// build builds the proxy, the load program and the two other proxies that are
// Go programs into dir. here is the directory of this module.
func build(here, dir string) error {
	root := filepath.Join(here, "..", "..")
	for _, b := range []struct{ in, name, pkg string }{
		{root, "gemini-resilient-proxy", "."},
		{root, "load", "./bench/load"},
		{here, "reverseproxy", "./reverseproxy"},
		{here, "relay", "./relay"},
	} {
		cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, b.name), b.pkg)
		cmd.Dir = b.in
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", b.name, err, out)
		}
	}
	return nil
}

// moduleDir finds this module's directory, at or above the working directory
// or in its bench/compare.
func moduleDir() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for _, dir := range []string{wd, filepath.Join(wd, "bench", "compare")} {
		if _, err := os.Stat(filepath.Join(dir, "reverseproxy", "main.go")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("run this in bench/compare")
}

// present returns the contenders that are there, after installing those that
// are packaged and missing if that is allowed and possible. say is told of the
// rest.
func present(all []contender, install bool, say func(string, ...any)) []contender {
	var there []contender
	for _, c := range all {
		_, _, err := c.find()
		if err != nil && c.packaged && install && os.Geteuid() == 0 {
			say("installing %s", c.program)
			err = installPackage(c.program)
		}
		if err == nil {
			_, _, err = c.find()
		}
		if err != nil {
			say("%s is left out: %v", c.name, err)
			continue
		}
		there = append(there, c)
	}
	return there
}

// installPackage installs a package with apt-get. RUNLEVEL=1 keeps the service
// that comes with it from being started.
func installPackage(name string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return err
	}
	get := func(args ...string) error {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w: %s", args[0], err, lastLine(string(out)))
		}
		return nil
	}
	if get("install", "-y", "--no-install-recommends", name) == nil {
		return nil
	}
	if err := get("update"); err != nil {
		return err
	}
	return get("install", "-y", "--no-install-recommends", name)
}
