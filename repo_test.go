package main

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gemini-resilient-proxy/proxy"
)

const module = "gemini-resilient-proxy"

// maxLines is the length that no source file exceeds: past it, a file is two
// nouns.
const maxLines = 400

// layers says what a package may import of this module and what it must not
// import of the world. Imports go down only.
var layers = map[string]struct{ own, never []string }{
	"stream":         {nil, []string{"net", "net/http", "os", "log", "log/slog", "sync", "github.com/valyala/fasthttp"}},
	"routing":        {nil, []string{"net", "net/http", "os", "io", "github.com/valyala/fasthttp", "github.com/valyala/fastjson"}},
	"proxy":          {[]string{"stream", "routing"}, nil},
	"bench/upstream": {nil, []string{"net/http/httptest", "github.com/valyala/fasthttp"}},
	"bench":          {[]string{"proxy", "stream", "bench/upstream"}, nil},
	"bench/clients":  {[]string{"bench/upstream"}, []string{"github.com/valyala/fasthttp"}},
	"bench/load":     {nil, []string{"github.com/valyala/fasthttp"}},
	"deploy":         {nil, nil},
	".":              {[]string{"proxy", "bench/upstream"}, []string{"github.com/valyala/fasthttp"}},
}

// source is a parsed Go file.
type source struct {
	path string
	text []byte
	file *ast.File
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }
func (s source) dir() string  { return filepath.ToSlash(filepath.Dir(s.path)) }

// isModule tells whether a folder is a module of its own: its dependencies are
// none of the program's.
func isModule(path string) bool {
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	return err == nil
}

// sources parses every Go file of the project's main module.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || isModule(path)) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments)
		all = append(all, source{path, text, file})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestImportsGoDownOnly(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		layer, ok := layers[s.dir()]
		if !ok {
			t.Errorf("%s: package %s has no place in the layers", s.path, s.dir())
			continue
		}
		for _, spec := range s.file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			own, isOwn := strings.CutPrefix(path, module+"/")
			if isOwn && !slices.Contains(layer.own, own) {
				t.Errorf("%s imports %s, which is not below it", s.path, own)
			}
			if slices.Contains(layer.never, path) {
				t.Errorf("%s imports %s, which its package must not know", s.path, path)
			}
		}
	}
}

// The clock and the scheduler would make these packages untestable by tables.
func TestStreamAndRoutingHaveNoClock(t *testing.T) {
	clock := regexp.MustCompile(`\btime\.(Now|Since|Until|After|Sleep|NewTimer|Tick)\b|\brand\.\w+\(|\bgo func\b`)
	for _, s := range sources(t) {
		if s.isTest() || s.dir() != "stream" && s.dir() != "routing" {
			continue
		}
		if m := clock.Find(s.text); m != nil {
			t.Errorf("%s uses %s", s.path, m)
		}
	}
}

func TestEveryPackageIsDocumented(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if !s.isTest() && s.file.Doc != nil {
			documented[s.dir()] = true
		}
	}
	for dir := range layers {
		if _, err := os.Stat(dir); err == nil && !documented[dir] {
			t.Errorf("package in %s has no documentation", dir)
		}
	}
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Name.IsExported() && f.Doc == nil && receiverExported(f) {
				t.Errorf("%s: %s has no documentation", s.path, f.Name.Name)
			}
		}
	}
}

func receiverExported(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	name, ok := typ.(*ast.Ident)
	return ok && name.IsExported()
}

func TestFilesAreShortAndFormatted(t *testing.T) {
	for _, s := range sources(t) {
		if n := bytes.Count(s.text, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, more than %d", s.path, n, maxLines)
		}
		if formatted, err := format.Source(s.text); err != nil || !bytes.Equal(formatted, s.text) {
			t.Errorf("%s is not formatted by gofmt", s.path)
		}
	}
}

func TestFasthttpHasTheFixesThatStreamsNeed(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`github\.com/valyala/fasthttp v1\.(\d+)\.`).FindSubmatch(mod)
	if m == nil {
		t.Fatal("go.mod does not require fasthttp v1")
	}
	// Before 1.74 a body stream could be closed under a running read.
	if minor, _ := strconv.Atoi(string(m[1])); minor < 77 {
		t.Errorf("fasthttp v1.%d, want v1.77 or later", minor)
	}
	if bytes.Contains(mod, []byte("replace ")) {
		t.Error("go.mod replaces a module")
	}
}

func TestReadmeListsEverySettingAndDependency(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range proxy.Settings() {
		row := "| `" + s.Name + "` | " + cell(s.Default) + " |"
		if !bytes.Contains(readme, []byte(row)) {
			t.Errorf("README.md has no row %s", row)
		}
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(mod), "\n") {
		f := strings.Fields(line)
		if len(f) == 2 && strings.Contains(f[0], ".") && !bytes.Contains(readme, []byte("`"+f[0]+"`")) {
			t.Errorf("README.md gives no reason for %s", f[0])
		}
	}
}

// cell is a default as the README's table has it.
func cell(def string) string {
	if def == "" {
		return "empty"
	}
	return "`" + def + "`"
}
