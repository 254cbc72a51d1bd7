package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"gemini-resilient-proxy/bench/upstream"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// The ways to the upstream.
const (
	through = "proxy"
	folded  = "folded" // through a proxy that asks for streams where documents are asked for
	without = "direct"
)

// run is the program; it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("clients", flag.ContinueOnError)
	fs.SetOutput(stderr)
	only := fs.String("only", "", "only the clients whose `name` begins so")
	write := fs.Bool("write", false, "put the tables into docs/clients.md and their summary into README.md")
	fault := fs.String("fault", "", "only the fault of this `name`")
	direct := fs.Bool("direct", true, "show the same without the proxy as well")
	need := fs.Bool("need", false, "fail when a client cannot be installed")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "clients: unexpected argument %q\n", fs.Arg(0))
		return 2
	}
	s := &suite{ways: []string{through, folded}, stdout: stdout, stderr: stderr, reports: make(map[string]*Report)}
	if *direct {
		s.ways = append(s.ways, without)
	}
	if *write && (*only != "" || *fault != "" || !*direct) {
		fmt.Fprintln(stderr, "clients: -write takes whole tables only, without -only, -fault and -direct=false")
		return 2
	}
	if err := s.choose(*only, *fault); err != nil {
		fmt.Fprintln(stderr, "clients:", err)
		return 2
	}
	bad, tables, summary, err := s.run(*need || *write)
	if err == nil && *write && bad == 0 {
		err = s.write(tables, summary)
	}
	if err != nil {
		fmt.Fprintln(stderr, "clients:", err)
		return 1
	}
	fmt.Fprint(stdout, tables+summary)
	if bad > 0 {
		fmt.Fprintf(stdout, "\n%d conversations were not as they ought to be\n", bad)
		return 1
	}
	return 0
}

// choose takes the clients whose id begins with only, and the named fault; all
// of them if these are empty.
func (s *suite) choose(only, fault string) error {
	var ids, names []string
	for _, c := range clients {
		ids = append(ids, c.id)
		if strings.HasPrefix(c.id, only) {
			s.clients = append(s.clients, c)
		}
	}
	for _, f := range upstream.Faults {
		names = append(names, f.Name)
		if fault == "" || fault == f.Name {
			s.faults = append(s.faults, f)
		}
	}
	switch {
	case s.clients == nil:
		return fmt.Errorf("no client begins with %q; there are %s", only, strings.Join(ids, ", "))
	case s.faults == nil:
		return fmt.Errorf("no fault is called %q; there are %s", fault, strings.Join(names, ", "))
	}
	return nil
}
