package proxy_test

import (
	"strconv"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// relayed are requests that are not healed, of every surface that keys and names
// of models count for, and where the upstream is to find the model.
var relayedRequests = []struct{ method, path, body, model string }{
	{"POST", "/v1beta/models/fast:countTokens", `{"generateContentRequest":{"model":"models/fast","contents":[]}}`, `"model":"models/gemini-2.5-flash"`},
	{"POST", "/v1beta/models/fast:embedContent", `{"model":"models/fast","content":{}}`, `"model":"models/gemini-2.5-flash"`},
	{"POST", "/v1beta/models/fast:batchEmbedContents", `{"requests":[{"model":"models/fast"}]}`, `"model":"models/gemini-2.5-flash"`},
	{"POST", "/v1beta/models/fast:batchGenerateContent", `{"batch":{"inputConfig":{"requests":{"requests":[{"request":{"model":"models/fast","contents":[]}}]}}}}`, `"model":"models/gemini-2.5-flash"`},
	{"POST", "/v1/publishers/google/models/fast:predict", `{"instances":[]}`, "/models/gemini-2.5-flash:predict"},
	{"POST", "/v1beta/openai/embeddings", `{"input":"x","model":"fast"}`, `"model":"gemini-2.5-flash"`},
	{"POST", "/v1beta/interactions", `{"model":"fast","input":"x"}`, `"model":"gemini-2.5-flash"`},
	{"GET", "/v1beta/models/fast", "", "/models/gemini-2.5-flash"},
}

// A relayed request is sent again with another key when the upstream refuses the
// first, whatever it says of it, since it was not served.
func TestRelayedRequestGoesOnWithAnotherKey(t *testing.T) {
	const invalid = `{"error": {"code": 400,"message": "API key not valid.","status": "INVALID_ARGUMENT","details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo","reason": "API_KEY_INVALID"}]}}`
	for name, refusal := range map[string]upstream.Script{
		"invalid": {upstream.Status(400, nil, invalid)}, "401": {upstream.ErrorBody(401, "UNAUTHENTICATED", "no", 0)},
		"403": {upstream.ErrorBody(403, "PERMISSION_DENIED", "no", 0)}, "quota": quotaError("PerMinute", "15", "48s"),
	} {
		f := keyed(t, 3, func(_ *proxy.Config, g *proxy.GroupConfig) { g.Models = map[string]string{"fast": "gemini-2.5-flash"} })
		for _, q := range relayedRequests {
			f.up.SetHandler(byKey(map[string]upstream.Script{"1": refusal, "": {upstream.Status(200, nil, "done")}}))
			f.up.Reset()
			for range 3 {
				resp, body, err := f.do(q.method, q.path, q.body)
				if err != nil || resp.StatusCode != 200 || body != "done" {
					t.Fatalf("%s %s: %v %q %v", name, q.path, resp, body, err)
				}
			}
			for _, r := range f.up.Requests() {
				if all := string(r.Raw) + string(r.Body); !strings.Contains(all, q.model) || strings.Contains(all, "fast") {
					t.Errorf("%s: the upstream got\n%s", q.path, all)
				}
			}
			// A quota is one of a model, which is always the same here: the
			// first key is tried once altogether.
			if got := strings.Count(keysUsed(f.up), "1"); got != 0 && q.path != relayedRequests[0].path {
				t.Errorf("%s %s: keys %s", name, q.path, keysUsed(f.up))
			}
		}
	}
}

// The quota of a model that is relayed is left alone until it is back.
func TestRelayedQuotas(t *testing.T) {
	f := keyed(t, 2, nil)
	const embed = "/v1beta/models/gemini-embedding-001:embedContent"
	f.up.SetHandler(byKey(map[string]upstream.Script{
		"1": quotaError("EmbedRequestsPerDay", "1000", "1s"), "": quotaError("PerMinute", "15", "45s"),
	}))
	for i := range 3 {
		resp, body, err := f.post(embed, `{"content":{}}`)
		if err != nil || resp.StatusCode != 429 || !strings.Contains(body, "RESOURCE_EXHAUSTED") {
			t.Fatalf("%v %q %v", resp, body, err)
		}
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || n < 40 || n > 45 {
			t.Errorf("request %d: Retry-After: %q, want that of the second key", i, resp.Header.Values("Retry-After"))
		}
	}
	if f.up.Count() != 2 {
		t.Errorf("%d attempts, want one a key", f.up.Count())
	}
	// Refused keys are not shown to the client as its own.
	f = keyed(t, 2, nil)
	f.play(upstream.Script{upstream.ErrorBody(401, "UNAUTHENTICATED", "API key not valid", 0)})
	if resp, body, err := f.post(embed, `{"content":{}}`); err != nil || resp.StatusCode != 503 || strings.Contains(body, "not valid") || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%v %q %v", resp, body, err)
	}
	// What is not about the key is passed on, once.
	f = keyed(t, 2, nil)
	f.play(upstream.Script{upstream.Status(400, map[string]string{"X-Y": "z"}, "as it came")})
	if resp, body, err := f.post(embed, `{"content":{}}`); err != nil || resp.StatusCode != 400 || body != "as it came" || resp.Header.Get("X-Y") != "z" || f.up.Count() != 1 {
		t.Errorf("%v %q %v", resp, body, err)
	}
}

// A relayed request is told apart from one that was served: it goes to another
// target, or to the fallback, when no connection could be made, and only then.
func TestRelayedRequestFindsAnotherTarget(t *testing.T) {
	for _, fallback := range []string{"", "spare"} {
		f := newFleet(t, 2, func(c *proxy.Config, targets []proxy.TargetConfig) {
			c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets}}
			if fallback != "" {
				c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets[:1], Fallback: fallback}, {Name: fallback, Targets: targets[1:]}}
			}
		})
		f.play(upstream.Script{upstream.Status(200, nil, "done")})
		f.ups[0].Close()
		for range 10 {
			if resp, body, err := f.post("/v1beta/models/m:countTokens", `{}`); err != nil || resp.StatusCode != 200 || body != "done" {
				t.Fatalf("%v %q %v", resp, body, err)
			}
		}
	}
	f := newFleet(t, 2, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets}}
	})
	f.play(upstream.Script{upstream.Reset()})
	if resp, _, err := f.post("/v1beta/models/m:countTokens", `{}`); err != nil || resp.StatusCode != 502 || f.ups[0].Count()+f.ups[1].Count() != 1 {
		t.Errorf("%v %v after %s attempts", resp, err, f.counts())
	}
}

// A quota that is used up without a model is none of any model.
func TestQuotaOfNoModel(t *testing.T) {
	f := keyed(t, 1, nil)
	f.play(quotaError("PerMinute", "15", "48s"))
	if resp, _, err := f.do("GET", "/v1beta/files", ""); err != nil || resp.StatusCode != 429 {
		t.Fatal(resp, err)
	}
	f.play(whole)
	if a := f.ask(streamPath, f.body); a.status != 200 {
		t.Error(a.status, a.body)
	}
	if resp, _, err := f.do("GET", "/v1beta/files", ""); err != nil || resp.StatusCode != 429 || f.up.Count() != 1 {
		t.Errorf("%v %v, %d attempts", resp, err, f.up.Count())
	}
}

// A client that may ask some models may ask those by whatever surface.
func TestModelsOfClientsOnRelayedSurfaces(t *testing.T) {
	f := keyed(t, 1, func(c *proxy.Config, g *proxy.GroupConfig) {
		g.Models = map[string]string{"fast": "gemini-2.5-flash"}
		c.Clients = []proxy.ClientConfig{tokenOf("anna", func(c *proxy.ClientConfig) { c.Models = []string{"fast"} })}
	})
	f.play(upstream.Script{upstream.Status(200, nil, "done")})
	for _, q := range relayedRequests {
		if resp, body, err := f.do(q.method, q.path, q.body, "x-goog-api-key", "anna"); err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %v %q %v", q.path, resp, body, err)
		}
		path, body := strings.Replace(q.path, "fast", "slow", 1), strings.Replace(q.body, `fast"`, `slow"`, 1)
		for _, other := range [][2]string{{path, body}, {path, q.body}, {q.path, body}} {
			if other == [2]string{q.path, q.body} {
				continue
			}
			if resp, _, err := f.do(q.method, other[0], other[1], "x-goog-api-key", "anna"); err != nil || resp.StatusCode != 403 {
				t.Errorf("%s %s: another model: %v %v", other[0], other[1], resp, err)
			}
		}
	}
}
