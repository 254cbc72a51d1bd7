package proxy_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

const prefillRefused = "Requests ending with a model turn are not supported."

// path is the stream of a model.
func path(model string) string {
	return "/v1beta/models/" + model + ":streamGenerateContent?alt=sse"
}

// goesOn is an upstream that cuts the first attempt and goes on from a model
// turn, from one without a user turn behind it only when prefill says so.
func goesOn(prefill bool) upstream.Handler {
	return func(r *upstream.Request) upstream.Script {
		turns, err := r.Contents()
		switch n := len(turns); {
		case err != nil:
			return upstream.Script{upstream.ErrorBody(400, "INVALID_ARGUMENT", err.Error(), 0)}
		case n == 1:
			return upstream.Script{upstream.Text(first), upstream.Cut()}
		case turns[n-1].Role == "model" && !prefill:
			return upstream.Script{upstream.ErrorBody(400, "INVALID_ARGUMENT", prefillRefused, 0)}
		}
		return rest
	}
}

// endings tells how the contents of each request end: with a turn of "user" or
// "model", and how many turns there are.
func endings(r *rig) string {
	var all []string
	for _, q := range r.up.Requests() {
		turns, _ := q.Contents()
		all = append(all, turns[len(turns)-1].Role)
	}
	return strings.Join(all, ",")
}

func TestContinueMode(t *testing.T) {
	f := func(mode, model string, prefill bool, want string) {
		t.Helper()
		r := newRig(t, goesOn(prefill), func(c *proxy.Config) { c.ContinueMode = mode })
		_, body, err := r.post(path(model), ask("tell me"))
		if err != nil || textOf(t, body) != first+second {
			t.Errorf("%s, %s: %q, %v", mode, model, body, err)
		}
		if got := endings(r); got != want {
			t.Errorf("%s, %s: contents end with %s, want %s", mode, model, got, want)
		}
		r.stop()
	}
	f("auto", "gemini-2.5-flash", true, "user,model")
	f("auto", "gemini-3-pro", true, "user,model")
	f("auto", "gemini-3.1-pro", true, "user,model")
	f("auto", "gemini-3.5-flash", true, "user,model")
	f("auto", "gemini-3.5-flash-lite", true, "user,user")
	f("auto", "gemini-3.6-flash", true, "user,user")
	f("auto", "gemini-4", true, "user,user")
	f("prompt", "gemini-2.5-flash", true, "user,user")
	f("prefill", "gemini-4", true, "user,model")
	// Refused, and healed by the prompt all the same.
	f("auto", "gemini-2.5-flash", false, "user,model,user")
	f("prefill", "gemini-4", false, "user,model,user")
}

// textOf returns the answer text of a stream, and fails on anything that a
// strict client would not read.
func textOf(t *testing.T, body string) string {
	t.Helper()
	got, err := read(body)
	if err != nil {
		t.Errorf("%v in %q", err, body)
	}
	return got.text
}

func TestRefusedPrefillIsRememberedByModel(t *testing.T) {
	r := newRig(t, goesOn(false), func(c *proxy.Config) { c.ContinueMode = "auto" })
	for _, model := range []string{"gemini-2.5-flash", "gemini-2.5-flash", "gemini-2.5-pro"} {
		if _, body, err := r.post(path(model), ask("tell me")); err != nil || textOf(t, body) != first+second {
			t.Errorf("%s: %q, %v", model, body, err)
		}
	}
	if got, want := endings(r), "user,model,user,user,user,user,model,user"; got != want {
		t.Errorf("contents end with %s, want %s", got, want)
	}
}

func TestHealingCanBeTurnedOff(t *testing.T) {
	f := func(heal string, header ...string) {
		t.Helper()
		r := newRig(t, upstream.Always(upstream.Script{upstream.Text(first), upstream.Finish("SAFETY")}), func(c *proxy.Config) { c.Heal = heal })
		_, body, err := r.post(streamPath, ask("tell me"), header...)
		if err != nil || !strings.Contains(body, `"SAFETY"`) || r.up.Count() != 1 {
			t.Errorf("%s, %v: %q, %v after %d attempts", heal, header, body, err, r.up.Count())
		}
		if got := r.up.Requests()[0].Header.Get("X-Proxy-Heal"); got != "" {
			t.Errorf("X-Proxy-Heal: %s went upstream", got)
		}
		r.stop()
	}
	f("off")
	f("shadow")
	f("on", "X-Proxy-Heal", "off")
	f("on", "X-Proxy-Heal", "OFF")
}

func TestShadowCountsAndChangesNothing(t *testing.T) {
	f := func(cause string, script ...upstream.Step) {
		t.Helper()
		r := newRig(t, upstream.Always(script), func(c *proxy.Config) { c.Heal = "shadow" })
		direct := newRig(t, upstream.Always(script), func(c *proxy.Config) { c.Heal = "off" })
		_, got, err := r.post(streamPath, ask("tell me"))
		_, want, wantErr := direct.post(streamPath, ask("tell me"))
		if got != want || (err == nil) != (wantErr == nil) {
			t.Errorf("%s: got %q, %v, want %q, %v", cause, got, err, want, wantErr)
		}
		r.stop()
		direct.stop()
		metrics := scrape(r)
		series := `gemini_proxy_shadow_interruptions_total{cause="` + cause + `",group="default"} 1`
		if counted := strings.Contains(metrics, series); counted != (cause != "") {
			t.Errorf("%q: counted %t in\n%s", cause, counted, grep(metrics, "shadow"))
		}
	}
	f("", upstream.Text(first), upstream.TextFinish(second, "STOP"))
	f("", upstream.Text(first), upstream.Finish("PROHIBITED_CONTENT"))
	f("", upstream.ErrorBody(400, "INVALID_ARGUMENT", "no", 0))
	f("cut", upstream.Text(first), upstream.Cut())
	f("cut", upstream.Text(first), upstream.End())
	f("finish", upstream.Text(first), upstream.Finish("SAFETY"))
	f("empty", upstream.Finish("STOP"))
	f("stream_error", upstream.Text(first), upstream.ErrorEvent(503, "UNAVAILABLE", "busy"))
	f("status", upstream.ErrorBody(503, "UNAVAILABLE", "busy", 0))
	f("connect_failed", upstream.Reset())
}

// scrape returns the metrics of a rig.
func scrape(r *rig) string {
	w := httptest.NewRecorder()
	r.server.Admin().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func grep(text, word string) string {
	var found []string
	for line := range strings.SplitSeq(text, "\n") {
		if strings.Contains(line, word) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "\n")
}

func TestChaosCutsEveryStreamAndHealsIt(t *testing.T) {
	m := &upstream.Model{Answer: "It was a dark and stormy night; the rain fell in torrents, except at occasional intervals, when it was checked " +
		"by a violent gust of wind which swept up the streets, rattling along the housetops, and fiercely agitating the scanty flame " +
		"of the lamps that struggled against the darkness.", Piece: 20}
	r := newRig(t, m.Handle, func(c *proxy.Config) { c.ChaosCutAfter = 3 })
	_, body, err := r.post(streamPath, ask("tell me"))
	if got := textOf(t, body); err != nil || got != m.Answer {
		t.Errorf("%q, %v", got, err)
	}
	if n := r.up.Count(); n < 2 {
		t.Errorf("%d attempts, none was cut", n)
	}
}

// Text of a continuation is held back until it is known how it joins, but not
// for longer than a second. What is the beginning of a repeat for longer is held for
// another one once it is none.
func TestHeldTextIsReleasedInTime(t *testing.T) {
	testHeldText(t, upstream.Text("and the second "))
	testHeldText(t, upstream.Text("The"), upstream.Pause(1500*time.Millisecond), upstream.Text("n the second "))
}

func testHeldText(t *testing.T, begins ...upstream.Step) {
	t.Helper()
	release := make(chan struct{})
	r := newRig(t, upstream.InTurn(
		upstream.Script{upstream.Text("The first half of all that there is to say is here, "), upstream.Cut()},
		append(begins, upstream.Hold(release), upstream.TextFinish("follows.", "STOP")),
	), func(c *proxy.Config) {
		c.ContinuePrompt, c.StallTimeout = proxy.DefaultConfig().ContinuePrompt, 5*time.Second
	})
	c := r.dial()
	body := ask("tell me")
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: proxy\r\nContent-Length: %d\r\n\r\n%s", streamPath, len(body), body)
	br, got := reader(c), ""
	for !strings.Contains(got, "second") {
		line, err := br.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		got += line
	}
	close(release)
	for !strings.Contains(got, "STOP") {
		line, err := br.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		got += line
	}
	if strings.Count(got, "follows.") != 1 || r.up.Count() != 2 {
		t.Errorf("%d attempts, got %q", r.up.Count(), got)
	}
}
