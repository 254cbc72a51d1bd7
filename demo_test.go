package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
)

// The demonstration heals every break, shows its page, which has something to
// show, and ends when it is told to.
func TestDemo(t *testing.T) {
	cmd := program(t, nil, "-demo")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	page, lines := "", bufio.NewScanner(out)
	for lines.Scan() && page == "" {
		said.WriteString(lines.Text() + "\n")
		// Others who ask meanwhile disturb nothing.
		if _, rest, ok := strings.Cut(lines.Text(), "the proxy on "); ok {
			host, _, _ := strings.Cut(rest, " ")
			for range 3 {
				go http.Post("http://"+host+demoPath, "application/json", strings.NewReader(`{"contents":[{"parts":[{"text":"Why?"}]}]}`))
			}
		}
		if rest, ok := strings.CutPrefix(lines.Text(), "Watch it: "); ok {
			page, _, _ = strings.Cut(rest, " ")
		}
	}
	if page == "" {
		t.Fatalf("no page in\n%s", &said)
	}
	if n := strings.Count(said.String(), "the whole answer"); n != len(demoBreaks)+1 {
		t.Errorf("%d of %d answers came whole in\n%s", n, len(demoBreaks)+1, &said)
	}
	resp, err := http.Get(page)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("the page: %d %v", resp.StatusCode, resp.Header)
	}
	if resp, err = http.Get(page + "live"); err != nil {
		t.Fatal(err)
	}
	// More is healed than the demonstration itself has asked.
	events := bufio.NewReader(resp.Body)
	for healed := 0; healed <= len(demoBreaks)+1; {
		line, err := events.ReadString('\n')
		if err != nil {
			t.Fatalf("%d answers are healed: %v", healed, err)
		}
		payload, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var shown struct{ Detail struct{ Healed int } }
		if err := json.Unmarshal([]byte(payload), &shown); err != nil {
			t.Fatal(err)
		}
		healed = shown.Detail.Healed
	}
	resp.Body.Close()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
