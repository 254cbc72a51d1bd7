package proxy_test

import (
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// Keys, clients and names of models are the same on every surface.
func TestGroupOnEverySurface(t *testing.T) {
	f := keyed(t, 8, func(c *proxy.Config, g *proxy.GroupConfig) {
		g.Models = map[string]string{"fast": "gemini-2.5-flash"}
		c.Clients = []proxy.ClientConfig{tokenOf("anna", func(c *proxy.ClientConfig) { c.Models = []string{"fast"} })}
	})
	const native = `{"contents":[{"role":"user","parts":[{"text":"tell me a story"}]}]}`
	for _, surface := range []struct {
		path, body, model string
		header            []string
		bearer            bool
	}{
		{"/v1beta/models/fast:streamGenerateContent?alt=sse", native, "/models/gemini-2.5-flash:", []string{"x-goog-api-key", "anna"}, false},
		{"/v1beta/models/fast:streamGenerateContent", native, "/models/gemini-2.5-flash:", []string{"x-goog-api-key", "anna"}, false},
		{"/v1beta/models/fast:generateContent", native, "/models/gemini-2.5-flash:", []string{"Authorization", "Bearer anna"}, true},
		{chatPath, `{"model":"fast","stream":true,"messages":[{"role":"user","content":"tell me"}]}`, `"model":"gemini-2.5-flash"`, []string{"Authorization", "Bearer anna"}, true},
		{chatPath, `{"model":"models/fast","messages":[{"role":"user","content":"tell me"}]}`, `"model":"models/gemini-2.5-flash"`, []string{"Authorization", "Bearer g:anna"}, true},
	} {
		model := &upstream.Model{Answer: first + second}
		bad := 0
		f.up.Reset()
		f.up.SetHandler(func(r *upstream.Request) upstream.Script {
			if bad++; bad == 1 {
				return upstream.Script{upstream.ErrorBody(429, "RESOURCE_EXHAUSTED", "quota", 0)}
			}
			return model.Handle(r)
		})
		a := f.ask(surface.path, surface.body, surface.header...)
		if a.err != nil || a.status != 200 || !strings.Contains(a.body, "Once") {
			t.Errorf("%s: %d %v %q", surface.path, a.status, a.err, a.body)
		}
		got := f.up.Requests()
		if len(got) != 2 {
			t.Errorf("%s: %d attempts, want the second with another key", surface.path, len(got))
			continue
		}
		if used := keysUsed(f.up); used[0] == used[1] {
			t.Errorf("%s: keys %s", surface.path, used)
		}
		for _, r := range got {
			all := string(r.Raw) + string(r.Body)
			if !strings.Contains(all, surface.model) || strings.Contains(all, "anna") || strings.Contains(string(r.Raw), "Bearer AIza") != surface.bearer {
				t.Errorf("%s: the upstream got\n%s", surface.path, all)
			}
		}
		// Another model is not this client's.
		path, body := strings.Replace(surface.path, "/fast:", "/slow:", 1), strings.Replace(surface.body, "fast", "slow", 1)
		if a := f.ask(path, body, surface.header...); a.status != 403 {
			t.Errorf("%s: another model: %d", surface.path, a.status)
		}
		if a := f.ask(surface.path, surface.body); a.status != 401 {
			t.Errorf("%s: without a token: %d", surface.path, a.status)
		}
	}
}

// A stream of the Interactions API is resumed where it is kept.
func TestInteractionStaysWithItsTarget(t *testing.T) {
	for range 4 {
		f := newFleet(t, 3, func(c *proxy.Config, targets []proxy.TargetConfig) {
			c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets, Secrets: secrets(3)}}
		})
		const begin = "event: interaction.created\ndata: {\"interaction\":{\"id\":\"i1\"},\"event_id\":\"e1\",\"event_type\":\"interaction.created\"}\n\n"
		const delta = "event: step.delta\ndata: {\"delta\":{\"text\":\"Once\"},\"event_id\":\"e2\",\"event_type\":\"step.delta\"}\n\n"
		const end = "event: interaction.completed\ndata: {\"interaction\":{\"id\":\"i1\"},\"event_id\":\"e3\",\"event_type\":\"interaction.completed\"}\n\nevent: done\ndata: [DONE]\n\n"
		head := upstream.Head(200, upstream.Chunked, "Content-Type", "text/event-stream")
		for _, up := range f.ups {
			up.SetHandler(upstream.InTurn(
				upstream.Script{head, upstream.Send(begin + delta), upstream.Cut()},
				upstream.Script{head, upstream.Send(end), upstream.End()},
			))
		}
		a := f.ask("/v1beta/interactions", `{"model":"m","input":"x","stream":true}`)
		if a.err != nil || a.body != begin+delta+end {
			t.Errorf("%v %q", a.err, a.body)
		}
		for _, up := range f.ups {
			if n := up.Count(); n == 1 || n == 2 && keysUsed(up)[0] != keysUsed(up)[1] {
				t.Errorf("requests %s, keys %s", f.counts(), keysUsed(up))
			}
		}
	}
}
