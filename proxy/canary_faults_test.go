package proxy_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
	"gemini-resilient-proxy/routing"
)

// answerForms are the forms in which the API gives an answer.
var answerForms = []upstream.Surface{upstream.SSE, upstream.Array, upstream.Unary, upstream.OpenAI, upstream.OpenAIUnary, upstream.CodeAssist, upstream.Interactions}

// TestCanaryInFaults breaks answers in every way, on every surface, with the key
// in every place, healed and relayed.
func TestCanaryInFaults(t *testing.T) {
	key, token := canaryKey, canaryToken
	for name, change := range map[string]func(*proxy.Config){
		"own keys": nil,
		"shadow":   func(c *proxy.Config) { c.Heal = "shadow" },
		"unary by stream": func(c *proxy.Config) {
			c.UnaryViaStream, c.ContinueMode, c.MaxTranscriptBytes = true, "auto", 300
		},
		"keys of the group": func(c *proxy.Config) {
			c.GroupMapping = nil
			// Many, since faults have keys parked and ejected, and none is waited for.
			c.MaxAttempts, c.RetryAfterMax = 6, 10*time.Millisecond
			keys := make([]routing.KeySpec, 100)
			for i := range keys {
				keys[i] = routing.KeySpec{Name: fmt.Sprintf("env:KEYS#%d", i+1), Secret: routing.Secret(canaryKey + "last")}
			}
			c.Groups = []proxy.GroupConfig{{Name: "default", Secrets: keys}}
			c.Clients = []proxy.ClientConfig{tokenOf(token, func(c *proxy.ClientConfig) { c.Name = "shop" })}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faulty := &upstream.Faulty{First: canaryAnswer, Later: canaryAnswer}
			a := newAviary(t, faulty.Handle, change)
			given, sent := key, key
			if name == "keys of the group" {
				given, sent = token, key+"last"
			}
			a.everyFault(given)
			a.idle()
			a.everywhere("after " + name)
			a.sentUpstream(sent)
			if n := strings.Count(a.log.String(), `"msg":"request"`); n != a.asked {
				t.Errorf("%d lines for %d requests", n, a.asked)
			}
		})
	}
}

// everyFault asks for each, some at a time.
func (a *aviary) everyFault(key string) {
	a.t.Helper()
	names := []string{"bearer", "body", "header", "query"}
	var all sync.WaitGroup
	room := make(chan struct{}, 24)
	answered := make(chan bool, len(upstream.Faults)*len(answerForms)*2)
	n := 0
	for _, fault := range upstream.Faults {
		for _, s := range answerForms {
			for _, heal := range []string{"on", "off"} {
				n++
				mark := fmt.Sprintf("m%d", n)
				target, body := question(s, fault.ModelName(), mark)
				target, body, header := places[names[n%len(names)]](target, body, key)
				room <- struct{}{}
				all.Go(func() {
					_, got := a.ask("POST", target, body, append(header, "X-Proxy-Heal", heal)...)
					answered <- strings.Contains(got, "ANSCANARY")
					<-room
				})
			}
		}
	}
	all.Wait()
	close(answered)
	seen := 0
	for ok := range answered {
		if ok {
			seen++
		}
	}
	if seen < n/3 {
		a.t.Errorf("only %d of %d answers had anything of the model's", seen, n)
	}
}

// TestCanaryInMidAnswer looks while answers are under way.
func TestCanaryInMidAnswer(t *testing.T) {
	for name, place := range places {
		release := make(chan struct{})
		a := newAviary(t, func(q *upstream.Request) upstream.Script {
			if strings.HasPrefix(q.Target, "/upload") {
				return upstream.Script{upstream.Send(canaryAnswer), upstream.Hold(release)}
			}
			return upstream.Script{upstream.As(q.Surface()), upstream.Text(canaryAnswer), upstream.Text(canaryAnswer), upstream.Hold(release), upstream.TextFinish("end", "STOP")}
		}, func(c *proxy.Config) { c.FirstEventTimeout, c.StallTimeout = patience, patience })
		var all sync.WaitGroup
		for i, s := range answerForms {
			target, body := question(s, "gemini-2.5-flash", fmt.Sprint("m", i))
			target, body, header := place(target, body, canaryKey)
			all.Go(func() { a.ask("POST", target, body, header...) })
		}
		target, body, header := place("/upload/v1beta/files", canaryPrompt, canaryKey)
		all.Go(func() { a.ask("POST", target, body, append(header, "Content-Type", "image/png")...) })
		if !a.up.Await(patience, func() bool { return a.up.Live() == len(answerForms)+1 }) {
			t.Fatalf("%d answers are under way", a.up.Live())
		}
		a.everywhere("in mid-answer, the key in the " + name)
		close(release)
		all.Wait()
		a.idle()
		free(t, "the log after it, the key in the "+name, a.log.String())
		a.sentUpstream(canaryKey)
	}
}
