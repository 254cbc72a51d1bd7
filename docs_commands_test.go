package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// programs are what the pages call the built programs, and where their flags
// are.
var programs = map[string]string{
	"gemini-resilient-proxy": ".", "proxy": ".", "load": "bench/load",
}

// own are the flags of go test.
var ownFlags = strings.Fields("run bench v race shuffle count fuzz fuzztime benchtime cpuprofile memprofile args timeout update")

var (
	flagMade = regexp.MustCompile(`\.(?:Bool|Int|Int64|Uint64|Float64|String|Duration)?(?:Var)?\((?:&?[\w.\[\]]+, )?"([\w.-]+)", `)
	testMade = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w*)\(`)
	flagWord = regexp.MustCompile(`^-{1,2}([a-z][\w.-]*)(?:=.*)?$`)
	// What stands between two commands, behind what has quotes or needs none.
	betweenCommands = regexp.MustCompile(`^(?:[^'";|&]|'[^']*'|"[^"]*")*(&&|[;|&])`)
	makeWord        = regexp.MustCompile(`\bmake ((?:[\w-]+(?:="[^"]*"|=\S*)? ?)+)`)
)

// flagsOf are the flags that a folder's Go files define, and the names of its
// tests, one after another.
func flagsOf(dir string) (flags []string, tests string) {
	files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for _, m := range flagMade.FindAllStringSubmatch(string(text), -1) {
			flags = append(flags, m[1])
		}
		for _, m := range testMade.FindAllStringSubmatch(string(text), -1) {
			tests += m[1] + "\n"
		}
	}
	return flags, tests
}

// badCommands are the commands in the page that would not work.
func (p page) badCommands(n *names) (bad []string) {
	var lines []string
	for _, b := range p.blocks("bash") {
		lines = append(lines, strings.Split(strings.ReplaceAll(b, "\\\n", " "), "\n")...)
	}
	for _, c := range p.quoted() {
		if strings.HasPrefix(c, "go ") || strings.HasPrefix(c, "make ") || strings.HasPrefix(c, "cd ") {
			lines = append(lines, c)
		}
	}
	for _, line := range lines {
		line, _, _ = strings.Cut(line+" ", " #")
		dir := "."
		for _, command := range commandsOf(line) {
			words := strings.Fields(command)
			for len(words) > 0 && strings.Contains(words[0], "=") {
				words = words[1:]
			}
			if len(words) > 1 && words[0] == "cd" {
				dir = filepath.ToSlash(filepath.Join(dir, words[1]))
				continue
			}
			bad = append(bad, badCommand(dir, words, command, n)...)
		}
	}
	return bad
}

// commandsOf are the commands of a line, which is split where no quotes are.
func commandsOf(line string) []string {
	var all []string
	for {
		end := betweenCommands.FindStringSubmatchIndex(line)
		if end == nil {
			return append(all, line)
		}
		all, line = append(all, line[:end[2]]), line[end[3]:]
	}
}

// badCommand is what is wrong with one command.
func badCommand(dir string, words []string, text string, n *names) (bad []string) {
	if len(words) == 0 {
		return nil
	}
	switch name := strings.TrimPrefix(words[0], "./"); {
	case name == "make":
		for _, m := range makeWord.FindAllStringSubmatch(text+" ", -1) {
			for _, target := range regexp.MustCompile(`[\w-]+(?:="[^"]*"|=\S*)?`).FindAllString(m[1], -1) {
				if target, _, _ = strings.Cut(target, "="); !n.make[target] {
					bad = append(bad, "make knows no "+target)
				}
			}
		}
	case name == "go" && len(words) > 2 && (words[1] == "run" || words[1] == "test" || words[1] == "build"):
		return badGo(dir, words[1:], n)
	case programs[name] != "":
		return unknownFlags(words[1:], programs[name], nil, n)
	}
	return bad
}

// badGo is what is wrong with a go run, test or build.
func badGo(dir string, words []string, n *names) (bad []string) {
	pkg, tests, benchmarks := "", "", ""
	for i, w := range words[1:] {
		if w == "." || strings.HasPrefix(w, "./") {
			pkg = filepath.ToSlash(filepath.Join(dir, strings.TrimSuffix(w, "...")))
			if found, _ := filepath.Glob(pkg + "/*.go"); found == nil {
				return []string{"no package " + pkg}
			}
			if words[0] == "run" {
				return unknownFlags(words[i+2:], pkg, nil, n)
			}
		} else if w == "-run" && i+2 < len(words) {
			tests = strings.Trim(words[i+2], "'\"")
		} else if w == "-bench" && i+2 < len(words) {
			benchmarks = strings.Trim(words[i+2], "'\"")
		}
	}
	if words[0] != "test" || pkg == "" {
		return nil
	}
	if strings.HasSuffix(strings.Join(words, " "), "...") {
		return nil
	}
	_, there := n.flags(pkg)
	// Each of several names must be there.
	for name := range strings.SplitSeq(tests, "|") {
		if name != "" && name != "^$" && !regexp.MustCompile(name).MatchString(there) {
			bad = append(bad, "no test "+name+" in "+pkg)
		}
	}
	for name := range strings.SplitSeq(benchmarks, "|") {
		if name != "" && !regexp.MustCompile("(?m)^Benchmark.*"+name).MatchString(there) {
			bad = append(bad, "no benchmark "+name+" in "+pkg)
		}
	}
	return append(bad, unknownFlags(words[1:], pkg, ownFlags, n)...)
}

// unknownFlags are the flags among words that a package does not define.
func unknownFlags(words []string, dir string, known []string, n *names) (bad []string) {
	flags, _ := n.flags(dir)
	for _, w := range words {
		if m := flagWord.FindStringSubmatch(strings.Trim(w, `"'`)); m != nil && m[1] != "h" && !slices.Contains(flags, m[1]) && !slices.Contains(known, m[1]) {
			bad = append(bad, dir+" has no flag -"+m[1])
		}
	}
	return bad
}

func TestCommandsWork(t *testing.T) {
	n := namesOfProject(t)
	for _, p := range pages(t) {
		for _, bad := range p.badCommands(n) {
			t.Errorf("%s: %s", p.path, bad)
		}
	}
}

// The test of commands sees what it should.
func TestBadCommandsAreSeen(t *testing.T) {
	n := namesOfProject(t)
	f := func(text string, want ...string) {
		t.Helper()
		for _, p := range []page{{"docs/this.md", "```bash\n" + text + "\n```\n"}, {"docs/this.md", "`" + text + "`"}} {
			if strings.Contains(text, "./gemini") || strings.HasPrefix(text, "./") && !strings.HasPrefix(p.text, "```") {
				continue // only blocks have programs
			}
			if got := p.badCommands(n); !slices.Equal(got, want) {
				t.Errorf("%s:\n got %q\nwant %q", p.text, got, want)
			}
		}
	}
	f(`make bench-guard GUARD="-rounds 0"`)
	f("make soak SOAK=2h")
	f("make soap", "make knows no soap")
	f("make soak SOAP=2h", "make knows no SOAP")
	f("go run ./bench/load -h")
	f("go run ./bench/lode -h", "no package bench/lode")
	f("go run ./bench/load upstream -addr 127.0.0.1:9000")
	f("go run ./bench/load -steams 4", "bench/load has no flag -steams")
	f("go run . -demo")
	f("go run . -demonstrate", ". has no flag -demonstrate")
	f("cd bench/soak && go run . -duration 5s -set HEAL=off")
	f("cd bench/soak && go run . -time 5s", "bench/soak has no flag -time")
	f("go test -race -shuffle=on ./...")
	f("go test -run Population -v ./bench -answers 10000")
	f("go test -run Popularity -v ./bench -answers 10000", "no test Popularity in bench")
	f("go test -run Population -v ./bench -replies 10000", "bench has no flag -replies")
	f("go test -run '^$' -bench 'Handshake|OverTLS' ./bench | tee x; go run . -demo")
	f("go test -run '^$' -bench 'Handshake|OverTSL' ./bench", "no benchmark OverTSL in bench")
	f("go test -run '^$' -bench Population ./bench", "no benchmark Population in bench")
	f("./gemini-resilient-proxy -check -config file.yaml")
	f("UPSTREAM_URL_BASE=http://x ./gemini-resilient-proxy -chek", ". has no flag -chek")
	f("./load -url http://x -streams 3 -ramps 3s", "bench/load has no flag -ramps")
}

// Every flag of the program is in the README's table and in the manual's
// synopsis and list, and no other.
func TestFlagsAreDocumented(t *testing.T) {
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	var flags []string
	for _, m := range flagMade.FindAllStringSubmatch(string(program), -1) {
		flags = append(flags, m[1])
	}
	slices.Sort(flags)
	for place, pattern := range map[string]string{
		"README.md":                                 "(?m)^\\| `-([a-z-]+)[ `]",
		"deploy/gemini-resilient-proxy.8":           `(?m)^\.RB \[ \\-([a-z\\-]+)`,
		"deploy/gemini-resilient-proxy.8 (options)": `(?m)^\.TP\n\.BI? \\-([a-z\\-]+)`,
	} {
		name, _, _ := strings.Cut(place, " ")
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			said = append(said, strings.ReplaceAll(m[1], `\`, ""))
		}
		if slices.Sort(said); !slices.Equal(said, flags) {
			t.Errorf("%s: flags %v, want %v", place, said, flags)
		}
	}
}
