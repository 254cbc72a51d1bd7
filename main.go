// Command gemini-resilient-proxy stands between applications and the Gemini
// API and sees to it that an answer, once begun, arrives whole.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"gemini-resilient-proxy/proxy"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program; it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("gemini-resilient-proxy", flag.ContinueOnError)
	fs.SetOutput(stderr)
	file := fs.String("config", "", "YAML `file` with settings; environment variables win over it")
	check := fs.Bool("check", false, "check the settings, say every mistake, and exit")
	demo := fs.Bool("demo", false, "show broken streams being healed, with an upstream of its own")
	pidFile := fs.String("pid-file", "", "`file` that holds the identity of the serving process")
	schema := fs.Bool("schema", false, "print the JSON Schema of the file and exit")
	version := fs.Bool("version", false, "print the version and exit")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "unexpected argument %q; settings are environment variables or -config FILE\n", fs.Arg(0))
		return 2
	}
	empty := false
	fs.Visit(func(f *flag.Flag) { empty = empty || f.Name == "config" && *file == "" })
	if empty {
		// A variable that is not set must not make a proxy without groups and clients.
		fmt.Fprintln(stderr, "-config names no file; without a file it is left out")
		return 2
	}
	switch {
	case *version:
		fmt.Fprintln(stdout, "gemini-resilient-proxy", buildVersion())
		return 0
	case *schema:
		stdout.Write(proxy.Schema())
		return 0
	case *demo:
		return runDemo(stdout, stderr)
	}
	cfg, err := proxy.LoadConfig(*file, lookupEnv)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	if *check {
		fmt.Fprintln(stdout, "the settings are good")
		return 0
	}
	log, err := newLogger(&cfg, stderr)
	if err == nil {
		err = serve(cfg, *file, *pidFile, log)
		proxy.FlushLog(log)
	}
	if err != nil {
		fmt.Fprintln(stderr, "gemini-resilient-proxy:", err)
		return 1
	}
	return 0
}

// release is the version that deploy/dist.sh builds; empty in other builds.
var release string

// buildVersion is the release, or the version that the Go tool recorded.
func buildVersion() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "development"
	}
	return info.Main.Version
}
