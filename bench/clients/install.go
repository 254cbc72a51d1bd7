package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// nodeAtLeast is the major version of Node.js that the clients run on.
const nodeAtLeast = 20

// moduleDir finds this folder, from the project's root or from itself.
func moduleDir() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for _, dir := range []string{wd, filepath.Join(wd, "bench", "clients")} {
		if _, err := os.Stat(filepath.Join(dir, "node", "package-lock.json")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("run this in the project's root")
}

// goBuild builds the package in dir to the file out.
func goBuild(dir, out string) error {
	return command(dir, nil, "go", "build", "-trimpath", "-o", out, ".")
}

// installNode makes a folder with the scripts of node and what they need, below
// dir, and returns it. What npm installs is kept in the user's cache for the
// next run with the same lock file.
func installNode(here, dir string) (scripts string, err error) {
	if err := needNode(); err != nil {
		return "", err
	}
	scripts = filepath.Join(dir, "node")
	if err := copyFiles(scripts, filepath.Join(here, "node")); err != nil {
		return "", err
	}
	lock, err := os.ReadFile(filepath.Join(scripts, "package-lock.json"))
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.Sum256(lock)
	kept := filepath.Join(cache, "gemini-resilient-proxy", "clients-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(kept); err != nil {
		if err := fill(kept, scripts); err != nil {
			return "", err
		}
	}
	return scripts, os.Symlink(filepath.Join(kept, "node_modules"), filepath.Join(scripts, "node_modules"))
}

// fill makes the folder kept with the modules that the lock file in scripts
// names. It appears whole or not at all; another run may do the same meanwhile.
func fill(kept, scripts string) error {
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(kept), "installing-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	for _, name := range []string{"package.json", "package-lock.json"} {
		if err := copyFile(filepath.Join(fresh, name), filepath.Join(scripts, name)); err != nil {
			return err
		}
	}
	if err := command(fresh, nil, "npm", "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"); err != nil {
		return err
	}
	if err := os.Rename(fresh, kept); err != nil {
		if _, there := os.Stat(kept); there != nil {
			return err
		}
	}
	return nil
}

// copyFiles makes the folder to with the files of another, without its folders.
func copyFiles(to, from string) error {
	entries, err := os.ReadDir(from)
	if err == nil {
		err = os.Mkdir(to, 0o755)
	}
	for _, e := range entries {
		if err == nil && e.Type().IsRegular() {
			err = copyFile(filepath.Join(to, e.Name()), filepath.Join(from, e.Name()))
		}
	}
	return err
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}

// needNode looks for Node.js and npm, and installs them where that is possible.
func needNode() error {
	if nodeMissing() != nil {
		quiet := []string{"DEBIAN_FRONTEND=noninteractive"}
		err := command("", quiet, "apt-get", "update")
		if err == nil {
			err = command("", quiet, "apt-get", "install", "-y", "--no-install-recommends", "nodejs", "npm")
		}
		if missing := nodeMissing(); missing != nil {
			return errors.Join(missing, err)
		}
	}
	out, err := exec.Command("node", "--version").Output()
	if err != nil {
		return fmt.Errorf("node --version: %w", err)
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(string(out), "v"), ".")
	if n, _ := strconv.Atoi(major); n < nodeAtLeast {
		return fmt.Errorf("Node.js is %s, too old: %d is needed", strings.TrimSpace(string(out)), nodeAtLeast)
	}
	return nil
}

// nodeMissing says which of the programs are not there.
func nodeMissing() error {
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}

// command runs a program in dir. Its error has the end of what it printed.
func command(dir string, env []string, argv ...string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv[:2], " "), err, strings.TrimSpace(tail(string(out), 500)))
	}
	return nil
}
