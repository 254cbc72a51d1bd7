package proxy_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// keyed is a fleet of one target and n keys.
func keyed(t testing.TB, n int, change func(c *proxy.Config, g *proxy.GroupConfig)) *fleet {
	t.Helper()
	return newFleet(t, 1, func(c *proxy.Config, targets []proxy.TargetConfig) {
		g := proxy.GroupConfig{Name: "g", Targets: targets, Secrets: secrets(n)}
		if change != nil {
			change(c, &g)
		}
		c.Groups = append([]proxy.GroupConfig{g}, c.Groups...)
	})
}

// byKey answers a request by the last letter of its key; "" is for all others.
func byKey(scripts map[string]upstream.Script) upstream.Handler {
	return func(r *upstream.Request) upstream.Script {
		key := r.Header.Get("X-Goog-Api-Key") + r.Header.Get("Authorization")
		if s, ok := scripts[key[max(0, len(key)-1):]]; ok {
			return s
		}
		return scripts[""]
	}
}

func quotaError(id, value, delay string) upstream.Script {
	return upstream.Script{upstream.Status(429, nil, `{"error": {"code": 429,"message": "quota","status": "RESOURCE_EXHAUSTED","details": [`+
		`{"@type": "type.googleapis.com/google.rpc.QuotaFailure","violations": [{"quotaId": "`+id+`","quotaValue": "`+value+`"}]},`+
		`{"@type": "type.googleapis.com/google.rpc.RetryInfo","retryDelay": "`+delay+`"}]}}`)}
}

// A key whose quota is used up is left out for its model, and nobody waits.
func TestKeyIsParkedForItsModel(t *testing.T) {
	f := keyed(t, 2, nil)
	f.up.SetHandler(byKey(map[string]upstream.Script{"1": quotaError("PerMinute", "15", "48s"), "": whole}))
	began := time.Now()
	for range 6 {
		if a := f.ask(streamPath, f.body); a.status != 200 || textOf(t, a.body) != first+second {
			t.Fatal(a.status, a.body)
		}
	}
	if took := time.Since(began); took > 40*time.Second {
		t.Errorf("took %v: the quota of one key was waited for", took)
	}
	if got := keysUsed(f.up); strings.Count(got, "1") != 1 || strings.Count(got, "2") != 6 {
		t.Errorf("keys %s, want the first one once", got)
	}
	f.up.SetHandler(upstream.Always(whole))
	f.up.Reset()
	other := strings.Replace(streamPath, "2.5-flash", "2.5-pro", 1)
	for range 4 {
		f.ask(other, f.body)
	}
	if got := keysUsed(f.up); strings.Count(got, "1") == 0 {
		t.Errorf("keys %s: the quota is of one model", got)
	}
	if strings.Contains(f.log.String(), "CANARY") {
		t.Error("a key is in the log")
	}
}

// In the middle of an answer the only key is waited for, when that is not long.
func TestOnlyKeyIsWaitedFor(t *testing.T) {
	f := keyed(t, 1, nil)
	f.up.SetHandler(upstream.InTurn(upstream.Script{upstream.Text(first), upstream.Cut()}, quotaError("PerMinute", "15", "0.2s"), rest))
	if a := f.ask(streamPath, f.body); a.err != nil || textOf(t, a.body) != first+second {
		t.Errorf("%v %q", a.err, a.body)
	}
	// And not when it is for long: then the stream says that it is broken.
	f.up.SetHandler(upstream.InTurn(upstream.Script{upstream.Text(first), upstream.Cut()}, quotaError("PerDay", "50", "0.2s"), rest))
	f.up.Reset()
	if a := f.ask(streamPath, f.body); !strings.Contains(a.body, "UNAVAILABLE") || f.up.Count() != 2 {
		t.Errorf("%d attempts, %q", f.up.Count(), a.body)
	}
}

// When the quotas of all keys are used up, the client is told when the first is
// back, and the upstream is left alone.
func TestAllKeysParked(t *testing.T) {
	f := keyed(t, 3, nil)
	f.up.SetHandler(byKey(map[string]upstream.Script{
		"1": quotaError("GenerateRequestsPerDayPerProject", "50", "1s"), "2": quotaError("PerMinute", "0", "1s"), "": quotaError("PerMinute", "15", "45s"),
	}))
	for i := range 3 {
		a := f.ask(streamPath, f.body)
		if a.status != 429 || !strings.Contains(a.body, "RESOURCE_EXHAUSTED") {
			t.Fatalf("%d %q", a.status, a.body)
		}
		if n, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || n < 40 || n > 45 {
			t.Errorf("request %d: Retry-After: %s, want that of the third key", i, a.header.Get("Retry-After"))
		}
	}
	if f.up.Count() != 3 {
		t.Errorf("%d attempts, want one a key", f.up.Count())
	}
	f.isParked(3)
}

// isParked checks that so many answers were given up for want of a key, and none
// because the upstream asked for a long wait.
func (f *fleet) isParked(n int) {
	f.t.Helper()
	for reason, want := range map[string]string{"parked": itoa(n), "retry_after": "0"} {
		if got := f.metric(`gemini_proxy_given_up_total{group="g",reason="` + reason + `"}`); got != want {
			f.t.Errorf("%s answers given up as %s, want %s", got, reason, want)
		}
	}
}

// A key that the upstream does not take is left out, and the request goes on.
func TestRefusedKeyIsEjected(t *testing.T) {
	const invalid = `{"error": {"code": 400,"message": "API key not valid.","status": "INVALID_ARGUMENT","details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo","reason": "API_KEY_INVALID"}]}}`
	for _, answer := range []upstream.Step{
		upstream.Status(400, nil, invalid), upstream.ErrorBody(401, "UNAUTHENTICATED", "no", 0), upstream.ErrorBody(403, "PERMISSION_DENIED", "no", 0),
	} {
		f := keyed(t, 8, nil)
		bad := upstream.Script{answer}
		f.up.SetHandler(byKey(map[string]upstream.Script{"8": whole, "": bad}))
		for range 3 {
			if a := f.ask(streamPath, f.body); a.status != 200 || textOf(t, a.body) != first+second {
				t.Fatal(a.status, a.body)
			}
		}
		if got := f.up.Count(); got != 10 {
			t.Errorf("%d attempts, want 7 refused and 3 answered", got)
		}
		if got := strings.Count(f.log.String(), "key ejected"); got != 7 || strings.Contains(f.log.String(), "CANARY") {
			t.Errorf("%d lines of ejected keys", got)
		}
		if got := f.metric(`gemini_proxy_keys_ejected_total{group="g"}`); got != "7" {
			t.Errorf("%s keys ejected", got)
		}
		f.up.SetHandler(upstream.Always(bad))
		if a := f.ask(streamPath, f.body); a.status != 503 || a.header.Get("Retry-After") == "" || strings.Contains(a.body, "not valid") {
			t.Errorf("with no key left: %d %q", a.status, a.body)
		}
		f.isParked(1)
	}
}

// A 401 is about the key also where its body breaks off.
func TestRefusalOutlivesItsBody(t *testing.T) {
	f := keyed(t, 2, nil)
	f.up.SetHandler(byKey(map[string]upstream.Script{
		"2": whole, "": steps(upstream.Head(401, upstream.Length(100)), upstream.Send("{"), upstream.Cut()),
	}))
	for _, target := range []string{streamPath, unaryPath} {
		if a := f.ask(target, f.body); a.status != 200 {
			t.Errorf("%s: %d %q", target, a.status, a.body)
		}
	}
	if got := f.metric(`gemini_proxy_keys_ejected_total{group="g"}`); got != "1" {
		t.Errorf("%s keys ejected", got)
	}
	// What a 403 is about nobody knows then.
	f.up.SetHandler(upstream.Always(steps(upstream.Head(403, upstream.Length(100)), upstream.Send("{"), upstream.Cut())))
	if a := f.ask("/v1beta/models/m:countTokens", f.body); a.status != 403 {
		t.Errorf("%d %q", a.status, a.body)
	}
	if got := f.metric(`gemini_proxy_keys_ejected_total{group="g"}`); got != "1" {
		t.Errorf("%s keys ejected", got)
	}
}

// Where there is no other key, a refusal that comes as the first event is told as
// one that comes as a status: it may name the key.
func TestRefusalOfAKeyStaysHere(t *testing.T) {
	refusal := `{"error": {"code": 403,"message": "Consumer 'api_key:` + string(secrets(1)[0].Secret) + `' has been suspended.","status": "PERMISSION_DENIED"}}`
	for name, script := range map[string]upstream.Script{
		"status": {upstream.Status(403, nil, refusal)},
		"event":  {upstream.Head(200, upstream.Chunked, "Content-Type", "text/event-stream"), upstream.Send("data: " + refusal + "\r\n\r\n"), upstream.End()},
	} {
		f := keyed(t, 1, nil)
		f.play(script)
		if a := f.ask(streamPath, f.body); a.status != 503 || !strings.Contains(a.body, "takes none of the keys") || strings.Contains(a.body, "CANARY") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// A key refused in the middle of an answer is none of the client's business.
func TestRefusedKeyInMidAnswer(t *testing.T) {
	f := keyed(t, 3, nil)
	f.up.SetHandler(func(r *upstream.Request) upstream.Script {
		switch r.Seq {
		case 0:
			return upstream.Script{upstream.Text(first), upstream.Cut()}
		case 1:
			return upstream.Script{upstream.ErrorBody(403, "PERMISSION_DENIED", "no", 0)}
		}
		return rest
	})
	if a := f.ask(streamPath, f.body); a.err != nil || textOf(t, a.body) != first+second {
		t.Errorf("%v %q", a.err, a.body)
	}
	if got := keysUsed(f.up); len(got) != 3 || got[0] == got[1] || got[1] == got[2] {
		t.Errorf("keys %s: a continuation prefers another one", got)
	}
}

// A 400 that is about the request is the client's, to the byte.
func TestOtherRefusalsAreTheClients(t *testing.T) {
	f := keyed(t, 2, nil)
	for _, status := range []int{400, 404} {
		f.play(upstream.Script{upstream.Status(status, map[string]string{"X-Y": "z"}, "as it came")})
		if a := f.ask(streamPath, f.body); a.status != status || a.body != "as it came" || a.header.Get("X-Y") != "z" || f.up.Count() != 1 {
			t.Errorf("%d: %d %q after %d attempts", status, a.status, a.body, f.up.Count())
		}
	}
}

// A key that the client brings stays, unless the group says otherwise.
func TestClientKeys(t *testing.T) {
	for setting, want := range map[string]string{"": "own", "keep": "own", "replace": "AIzaCANARY-of-the-pool-key1"} {
		f := keyed(t, 1, func(_ *proxy.Config, g *proxy.GroupConfig) { g.ClientKeys = setting })
		f.play(whole)
		f.ask(streamPath, f.body, "x-goog-api-key", "g:own")
		f.ask(streamPath, f.body, "Authorization", "Bearer own")
		f.ask(streamPath, f.body)
		r := f.up.Requests()
		if len(r) != 3 {
			t.Fatalf("%d requests", len(r))
		}
		if got := r[0].Header.Get("X-Goog-Api-Key"); got != want || r[0].Header.Get("Authorization") != "" {
			t.Errorf("%q: %s", setting, got)
		}
		if got := r[1].Header.Get("Authorization"); got != "Bearer "+want || r[1].Header.Get("X-Goog-Api-Key") != "" {
			t.Errorf("%q: %s", setting, got)
		}
		if got := r[2].Header.Get("X-Goog-Api-Key"); got != "AIzaCANARY-of-the-pool-key1" {
			t.Errorf("%q: %s", setting, got)
		}
	}
	// One that is refused is the client's own trouble.
	f := keyed(t, 1, nil)
	f.play(upstream.Script{upstream.ErrorBody(403, "PERMISSION_DENIED", "yours", 0)})
	if a := f.ask(streamPath, f.body, "x-goog-api-key", "own"); a.status != 403 || f.up.Count() != 1 || strings.Contains(f.log.String(), "key ejected") {
		t.Errorf("%d after %d attempts", a.status, f.up.Count())
	}
}

// What stands in for a key is a client's own credential, too: with one of the
// group besides, the API would see two callers.
func TestClientsOwnTokens(t *testing.T) {
	f := keyed(t, 1, nil)
	f.play(whole)
	for _, c := range []struct {
		query, authorization string
		own                  bool
	}{
		{"&access_token=auth_tokens/x", "", true}, {"&oauth_token=x", "", true}, {"", "Token auth_tokens/x", true},
		{"&access_token=", "", false}, {"", "Bearer", false}, {"&x_access_token=y", "", false},
	} {
		f.up.Reset()
		f.ask(streamPath+c.query, f.body, "Authorization", c.authorization)
		r := f.up.Requests()[0]
		if key := r.Header.Get("X-Goog-Api-Key"); (key == "") != c.own || r.Header.Get("Authorization") != c.authorization || !strings.HasSuffix(r.Target, c.query) {
			t.Errorf("%+v: %s with key %q and Authorization %q", c, r.Target, key, r.Header.Get("Authorization"))
		}
	}
}

// A key that is refused is no fault of its target: the group's other keys come
// before the fallback.
func TestRefusedKeyIsNotTheTargetsFault(t *testing.T) {
	f := newFleet(t, 2, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{
			{Name: "g", Targets: targets[:1], Secrets: secrets(4), Fallback: "spare"},
			{Name: "spare", Targets: targets[1:], Secrets: secrets(1)},
		}
	})
	f.play(whole)
	f.up.SetHandler(byKey(map[string]upstream.Script{"4": whole, "": {upstream.ErrorBody(401, "UNAUTHENTICATED", "no", 0)}}))
	if a := f.ask(streamPath, f.body); a.status != 200 || f.counts() != "4 0" {
		t.Errorf("%d, attempts %s, want all in the group itself", a.status, f.counts())
	}
}

// Whoever asks for what belongs to somebody else gets the 403, and no key is
// blamed for it.
func TestRefusalOfAFileIsTheClients(t *testing.T) {
	f := keyed(t, 3, nil)
	const told = "You do not have permission to access the File abc or it may not exist."
	for _, path := range []string{streamPath, "/v1beta/models/gemini-2.5-flash:generateContent", "/v1beta/models/gemini-2.5-flash:countTokens"} {
		f.play(upstream.Script{upstream.ErrorBody(403, "PERMISSION_DENIED", told, 0)})
		if a := f.ask(path, f.body); a.status != 403 || !strings.Contains(a.body, told) || f.up.Count() != 1 {
			t.Errorf("%s: %d %q after %d attempts", path, a.status, a.body, f.up.Count())
		}
	}
	if got := f.metric(`gemini_proxy_keys_ejected_total{group="g"}`); got != "0" {
		t.Errorf("%s keys ejected", got)
	}
}

// An upstream that asks for no wait at all is not asked again at once.
func TestKeyIsParkedEvenForNoTime(t *testing.T) {
	f := keyed(t, 1, func(c *proxy.Config, _ *proxy.GroupConfig) { c.MaxConsecutiveFailures = 2 })
	f.up.SetHandler(upstream.Always(quotaError("PerMinute", "15", "0s")))
	a := f.ask(streamPath, f.body)
	if a.status != 429 || a.header.Get("Retry-After") != "1" || f.up.Count() != 3 {
		t.Errorf("%d, Retry-After: %s, %d attempts", a.status, a.header.Get("Retry-After"), f.up.Count())
	}
}

// What waiting does not bring back is not waited for, with a key of the client's
// either.
func TestSpentQuotaIsNotWaitedFor(t *testing.T) {
	for _, spent := range []upstream.Script{quotaError("GenerateRequestsPerDay", "50", "0.001s"), quotaError("PerMinute", "0", "0.001s")} {
		f := newFleet(t, 1, func(c *proxy.Config, targets []proxy.TargetConfig) {
			c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets}}
		})
		f.play(spent)
		if a := f.ask(streamPath, f.body, "x-goog-api-key", "own"); a.status != 429 || !strings.Contains(a.body, "quotaId") || f.up.Count() != 1 {
			t.Errorf("%d %q after %d attempts", a.status, a.body, f.up.Count())
		}
	}
	// The fallback is another quota; another target is not.
	f := newFleet(t, 3, func(c *proxy.Config, targets []proxy.TargetConfig) {
		targets[1].Priority = 1
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets[:2], Fallback: "spare"}, {Name: "spare", Targets: targets[2:]}}
	})
	f.play(quotaError("GenerateRequestsPerDay", "50", "40s"), whole)
	if a := f.ask(streamPath, f.body, "x-goog-api-key", "own"); a.status != 200 || f.counts() != "1 0 1" {
		t.Errorf("%d, attempts %s", a.status, f.counts())
	}
}

// The soonest key is told of, also when it is the fallback's.
func TestSoonestKeyOfTheFallback(t *testing.T) {
	f := newFleet(t, 2, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{
			{Name: "g", Targets: targets[:1], Secrets: secrets(2), Fallback: "spare"}, {Name: "spare", Targets: targets[1:], Secrets: secrets(1)},
		}
	})
	f.play(quotaError("PerDay", "50", "1s"), quotaError("PerMinute", "15", "45s"))
	for i := range 2 {
		a := f.ask(streamPath, f.body)
		if n, err := strconv.Atoi(a.header.Get("Retry-After")); a.status != 429 || err != nil || n < 40 || n > 45 {
			t.Errorf("request %d: %d, Retry-After: %s, want that of the fallback", i, a.status, a.header.Get("Retry-After"))
		}
	}
	if f.counts() != "2 1" {
		t.Errorf("attempts %s", f.counts())
	}
}
