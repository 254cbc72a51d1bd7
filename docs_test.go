package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// page is a Markdown file of the project.
type page struct {
	path string
	text string
}

// pages are the files that people read.
func pages(t *testing.T) (all []page) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "deploy/*.md", "deploy/*/*.md", "proxy/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, page{filepath.ToSlash(name), string(text)})
		}
	}
	if len(all) < 5 {
		t.Fatalf("only %d pages are found", len(all))
	}
	return all
}

var (
	fence    = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	inline   = regexp.MustCompile("`([^`\n]+)`")
	link     = regexp.MustCompile(`!?\[[^\]\n]*\]\(([^()\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	pictures = regexp.MustCompile(`(?:src|srcset)="([^"]+)"`)
)

// prose is the page without its blocks of code.
func (p page) prose() string { return fence.ReplaceAllString(p.text, "") }

// blocks are the page's blocks of code in some languages.
func (p page) blocks(languages ...string) (all []string) {
	for _, m := range fence.FindAllStringSubmatch(p.text, -1) {
		if slices.Contains(languages, m[1]) {
			all = append(all, m[2])
		}
	}
	return all
}

// quoted are the pieces of code in the page's prose.
func (p page) quoted() (all []string) {
	for _, m := range inline.FindAllStringSubmatch(p.prose(), -1) {
		all = append(all, m[1])
	}
	return all
}

// anchors are the names that links can lead to within the page, as GitHub makes
// them of headings: lower case, letters, digits, hyphens and underscores, a
// hyphen for each space, and a number behind the second of a name.
func (p page) anchors() (all []string) {
	for _, m := range heading.FindAllStringSubmatch(p.prose(), -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])
		base := name
		for n := 1; slices.Contains(all, name); n++ {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		all = append(all, name)
	}
	return all
}

// badLinks are the links of the page that lead nowhere.
func (p page) badLinks(read func(string) (string, error)) (bad []string) {
	targets := pictures.FindAllStringSubmatch(p.prose(), -1)
	for _, m := range append(link.FindAllStringSubmatch(inline.ReplaceAllString(p.prose(), ""), -1), targets...) {
		target := m[1]
		if strings.HasPrefix(target, "https://") {
			continue
		}
		name, anchor, _ := strings.Cut(target, "#")
		to := p
		if name != "" {
			to.path = filepath.ToSlash(filepath.Join(filepath.Dir(p.path), name))
			var err error
			if to.text, err = read(to.path); err != nil || strings.HasPrefix(to.path, "../") {
				bad = append(bad, target+": there is no "+to.path)
				continue
			}
		}
		if anchor != "" && !slices.Contains(to.anchors(), anchor) {
			bad = append(bad, target+": "+to.path+" has no heading of that name")
		}
	}
	return bad
}

// readPage reads a file, or says that there is a folder.
func readPage(path string) (string, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return "", nil
	}
	text, err := os.ReadFile(path)
	return string(text), err
}

func TestLinksLeadSomewhere(t *testing.T) {
	for _, p := range pages(t) {
		for _, bad := range p.badLinks(readPage) {
			t.Errorf("%s: %s", p.path, bad)
		}
	}
}

// The test of links sees what it should.
func TestBadLinksAreSeen(t *testing.T) {
	files := map[string]string{"docs/other.md": "# Two words, `code`\n\n## Again\n## Again\n\n```\n# no heading\n```\n"}
	read := func(path string) (string, error) {
		if text, ok := files[path]; ok {
			return text, nil
		}
		return "", errors.New("no such file")
	}
	f := func(text string, bad int) {
		t.Helper()
		p := page{"docs/this.md", "# Here it is\n\n" + text}
		if got := p.badLinks(read); len(got) != bad {
			t.Errorf("%s: %d bad links, want %d: %v", text, len(got), bad, got)
		}
	}
	f("[a](other.md) ![b](other.md) [c](#here-it-is) [d](https://example.com/#x)", 0)
	f("[a](other.md#two-words-code) [b](other.md#again) [c](other.md#again-1)", 0)
	f("[a](missing.md)", 1)
	f("[a](../other.md)", 1)
	f("[a](../../outside.md)", 1)
	f("![a](missing.svg)", 1)
	f(`<img src="missing.svg">`, 1)
	f("[a](#there)", 1)
	f("[a](other.md#again-2)", 1)
	f("[a](other.md#no-heading)", 1)
	f("[a](https://example.com), and `[code](nowhere)`", 0)
	f("```\n[code](nowhere)\n```\n", 0)
}

// The pictures are well-formed, say what they show, and can be read on a dark
// ground as on a light one.
func TestPictures(t *testing.T) {
	names, err := filepath.Glob("docs/pictures/*.svg")
	if err != nil || len(names) == 0 {
		t.Fatalf("%v, %d pictures", err, len(names))
	}
	shown := ""
	for _, p := range pages(t) {
		shown += p.text
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		d := xml.NewDecoder(strings.NewReader(string(text)))
		for err == nil {
			_, err = d.Token()
		}
		if err != io.EOF {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range []string{"<title", "<desc", "prefers-color-scheme: dark", `role="img"`} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s has no %s", name, want)
			}
		}
		if !strings.Contains(shown, "pictures/"+filepath.Base(name)) {
			t.Errorf("%s is shown nowhere", name)
		}
	}
}
