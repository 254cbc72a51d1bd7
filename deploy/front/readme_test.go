package front

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeShowsTheConfigurations: what the README quotes of a configuration is
// in it.
func TestReadmeShowsTheConfigurations(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| \[\w+\]\(deploy/front/([\w.]+)\) \|(.*)$`).FindAllStringSubmatch(string(readme), -1)
	if len(rows) != 4 {
		t.Fatalf("%d configurations, want 4", len(rows))
	}
	quote := regexp.MustCompile("`([^`]+)`")
	for _, row := range rows {
		conf, err := os.ReadFile(row[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range quote.FindAllStringSubmatch(row[2], -1) {
			for line := range strings.SplitSeq(q[1], "; ") {
				if !strings.Contains(string(conf), strings.TrimSuffix(line, ";")) {
					t.Errorf("%s does not contain %q", row[1], line)
				}
			}
		}
	}
}
