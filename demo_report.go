package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// demoPatience is how long a client of the demonstration waits.
const demoPatience = 3 * time.Second

// got is what a plain client ended up with.
type got struct {
	status int
	text   string
	finish []string
	failed string // how it learned that something was wrong, "" when it did not
}

// whole tells whether the client got all there is, once.
func (g *got) whole() bool {
	return g.failed == "" && g.text == demoAnswer && len(g.finish) == 1 && g.finish[0] == "STOP"
}

// String says in plain words what a client got.
func (g *got) String() string {
	share := 100 * len(g.text) / len(demoAnswer)
	switch {
	case g.whole():
		return "the whole answer"
	case g.status != 200 && g.status != 0:
		return fmt.Sprintf("HTTP %d, no answer", g.status)
	case g.failed != "":
		return fmt.Sprintf("%d %%, then %s", share, g.failed)
	case len(g.finish) > 0:
		return fmt.Sprintf("%d %%, finish %s", share, strings.Join(g.finish, ", "))
	}
	return fmt.Sprintf("%d %%, and no error at all", share)
}

// fetch asks the question at host, like any client would. Of the attempts of a
// run the first breaks as breakName says, the others come to their end. Without
// a name it is the request that is shown.
func fetch(host, breakName, run string) (g got) {
	body := fmt.Sprintf(`{"contents":[{"role":"user","parts":[{"text":%q}]}]}`, demoQuestion)
	req, err := http.NewRequest("POST", "http://"+host+demoPath, strings.NewReader(body))
	if err != nil {
		return got{failed: err.Error()}
	}
	req.Header.Set("Content-Type", "application/json")
	if breakName != "" {
		req.Header.Set("X-Demo-Break", breakName)
		req.Header.Set("X-Demo-Run", run)
	} else {
		req.Header.Set("X-Demo-Show", "yes")
	}
	// A little patience, in place of the minutes that clients wait in silence.
	client := http.Client{Timeout: demoPatience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return got{failed: "connection error"}
	}
	defer resp.Body.Close()
	g.status = resp.StatusCode
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if payload, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			g.event(payload)
		} else if strings.HasPrefix(lines.Text(), "{") {
			g.failed = "an error"
		}
	}
	var timeout interface{ Timeout() bool }
	if err := lines.Err(); errors.As(err, &timeout) && timeout.Timeout() {
		g.failed = "silence"
	} else if err != nil {
		g.failed = "connection error"
	}
	return g
}

func (g *got) event(payload string) {
	var ev struct {
		Candidates []struct {
			Content      struct{ Parts []struct{ Text string } }
			FinishReason string
		}
		Error *struct{ Code int }
	}
	if json.Unmarshal([]byte(payload), &ev) != nil || ev.Error != nil {
		g.failed = "an error"
		return
	}
	for _, c := range ev.Candidates {
		for _, p := range c.Content.Parts {
			g.text += p.Text
		}
		if c.FinishReason != "" {
			g.finish = append(g.finish, c.FinishReason)
		}
	}
}

// oneRequest sends one request whose answer breaks in every way, and tells
// whether it came whole.
func (d *demonstration) oneRequest() bool {
	fmt.Fprintf(d.out, "An upstream on %s breaks every answer, the proxy on %s heals it.\nNo key, no network.\n\n", d.up.Addr(), d.proxy)
	fmt.Fprintf(d.out, "One request, %d breaks, one answer. What the client gets, and what happened to the upstream:\n\n", len(demoBreaks))
	g := fetch(d.proxy, "", "")
	d.segment(demoAnswer[d.shown:], "✓ STOP")
	fmt.Fprintf(d.out, "\nThe client saw one stream: %s, %d of %d characters, %d finish, after %d upstream requests.\n\n",
		g.String(), len(g.text), len(demoAnswer), len(g.finish), d.played)
	return g.whole()
}

// table breaks one answer in each way and shows what a client gets of it,
// without the proxy and through it.
func (d *demonstration) table() bool {
	const row = "  %-24s %-28s %s\n"
	fmt.Fprintf(d.out, row, "One break each:", "without the proxy", "through the proxy")
	without, through := make([]got, len(demoBreaks)), make([]got, len(demoBreaks))
	var wg sync.WaitGroup
	for i, b := range demoBreaks {
		wg.Go(func() { without[i] = fetch(d.up.Addr(), b.what, "without "+b.what) })
		wg.Go(func() { through[i] = fetch(d.proxy, b.what, "through "+b.what) })
	}
	wg.Wait()
	all := true
	for i, b := range demoBreaks {
		fmt.Fprintf(d.out, row, b.what, without[i].String(), through[i].String())
		all = all && through[i].whole()
	}
	return all
}

// invite says how to go on by hand.
func (d *demonstration) invite() {
	fmt.Fprintf(d.out, `
Try it: every request is broken %d times before it comes to its end.

  curl -N "http://%s%s" \
    -H "Content-Type: application/json" \
    -d '{"contents":[{"parts":[{"text":"%s"}]}]}'

Watch it: http://%s/ shows what happens. Meanwhile three more questions
a second are asked, and each answer is broken, so that there is something to see.

Serving until Ctrl-C.
`, len(demoBreaks), d.proxy, demoPath, demoQuestion, d.page)
}

// traffic asks three questions a second, each answer of which breaks in the next
// of all ways, until ctx ends.
func (d *demonstration) traffic(ctx context.Context) {
	t := time.NewTicker(time.Second / 3)
	defer t.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		wg.Go(func() {
			run := strconv.Itoa(n)
			fetch(d.proxy, demoBreaks[n%len(demoBreaks)].what, run)
			d.broken.Delete(run)
		})
	}
}
