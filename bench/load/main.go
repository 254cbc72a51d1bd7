package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program; it returns the exit status, which is 1 when there were
// errors.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "upstream" {
		return runUpstream(args[1:], stdout, stderr)
	}
	c, err := parseConfig(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	var tell func(string)
	if c.announce {
		tell = func(what string) { fmt.Fprintln(stdout, what) }
	}
	r := runLoad(c, tell)
	if c.json {
		err = r.writeJSON(stdout)
	} else {
		r.writeText(stdout)
	}
	if err != nil || r.Errors > 0 {
		return 1
	}
	return 0
}
