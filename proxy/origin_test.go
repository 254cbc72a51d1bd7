package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// signedAnswer is a script that answers with a call under the given signature.
func signedAnswer(signature string) upstream.Script {
	return upstream.Script{
		upstream.Send(`data: {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f","args": {}},"thoughtSignature": "` + signature + `"}],"role": "model"},"index": 0}]}` + "\r\n\r\n"),
		upstream.Finish("STOP"),
	}
}

// history is the request that goes on with a conversation after that call.
func history(signature string) string {
	return `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"` + signature +
		`"}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}`
}

// A conversation goes on where its thoughts are known, whichever way the client
// writes the signature, and whatever surface and document it came in.
func TestThoughtSignatureStaysWithItsTarget(t *testing.T) {
	f := newFleet(t, 4, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets}}
	})
	const unary = "/v1beta/models/gemini-2.5-flash:generateContent"
	for turn := range 20 {
		signature := fmt.Sprintf("c2ln%02d/+8=", turn)
		path := streamPath
		f.play(signedAnswer(signature))
		if turn%2 == 1 {
			path = unary
			f.play(upstream.Script{upstream.Status(200, nil, `{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"},"thoughtSignature": "`+signature+`"}],"role": "model"},"finishReason": "STOP"}]}`)})
		}
		if a := f.ask(path, f.body); a.status != 200 {
			t.Fatal(a.status, a.body)
		}
		before := f.counts()
		for _, form := range []string{signature, strings.ReplaceAll(signature, "/", `\/`), fmt.Sprintf("c2ln%02d_-8", turn)} {
			f.play(whole)
			body := history(form)
			if a := f.ask(streamPath, body); a.status != 200 || f.counts() != before {
				t.Errorf("turn %d, %s: %d, at %s, want at %s", turn, form, a.status, f.counts(), before)
			}
			for _, up := range f.ups {
				if r := up.Requests(); len(r) > 0 && string(r[0].Body) != body {
					t.Errorf("the upstream got %s", r[0].Body)
				}
			}
		}
	}
}

// When that target is gone, another one goes on, without what it would refuse;
// and back at the first, it does not get what the other one made.
func TestThoughtSignatureIsNotSentElsewhere(t *testing.T) {
	for _, fallback := range []bool{false, true} {
		f := newFleet(t, 2, func(c *proxy.Config, targets []proxy.TargetConfig) {
			targets[1].Priority = 1
			c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets}}
			if fallback {
				c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets[:1], Fallback: "spare"}, {Name: "spare", Targets: targets[1:]}}
			}
		})
		f.play(signedAnswer("Zmlyc3Q="))
		f.ask(streamPath, f.body)
		// The first one is out of order.
		f.play(upstream.Script{upstream.Status(503, nil, "no")}, signedAnswer("c2Vjb25k"))
		if a := f.ask(streamPath, history("Zmlyc3Q=")); a.status != 200 {
			t.Fatal(a.status, a.body)
		}
		got := f.ups[1].Requests()
		if len(got) != 1 || strings.Contains(string(got[0].Body), "Zmlyc3Q=") || !strings.Contains(string(got[0].Body), "skip_thought_signature_validator") {
			t.Errorf("fallback %t: the other target got %+v", fallback, got)
		}
		for _, r := range f.ups[0].Requests() {
			if !strings.Contains(string(r.Body), "Zmlyc3Q=") {
				t.Errorf("fallback %t: the target got %s", fallback, r.Body)
			}
		}
		// It is back, or the other one out of order: what both have made is in
		// the conversation.
		both := strings.Replace(history("Zmlyc3Q="), `{"role":"user","parts":[{"text":"x"}]}`, `{"role":"model","parts":[{"functionCall":{"name":"f"},"thoughtSignature":"c2Vjb25k"}]},{"role":"user","parts":[{"text":"x"}]}`, 1)
		f.play(whole)
		if a := f.ask(streamPath, both); a.status != 200 {
			t.Fatal(a.status, a.body)
		}
		r := f.ups[0].Requests()
		if len(r) != 1 || strings.Contains(string(r[0].Body), "c2Vjb25k") || !strings.Contains(string(r[0].Body), "Zmlyc3Q=") {
			t.Errorf("fallback %t: the first target got %+v", fallback, r)
		}
	}
}

// Groups with keys of their own at the same upstream have the same thoughts.
func TestThoughtSignatureOfTheSameUpstream(t *testing.T) {
	f := newFleet(t, 1, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets, Secrets: secrets(1), Fallback: "spare"}, {Name: "spare", Targets: targets, Secrets: secrets(2)[1:]}}
	})
	f.up.SetHandler(byKey(map[string]upstream.Script{"1": quotaError("PerDay", "50", "1s"), "": whole}))
	body := history("dW5rbm93bg==")
	if a := f.ask(streamPath, body); a.status != 200 || f.keys() != "12" {
		t.Fatal(a.status, f.keys())
	}
	for _, r := range f.up.Requests() {
		if string(r.Body) != body {
			t.Errorf("the upstream got %s", r.Body)
		}
	}
}

// The token of a long decode that the client brings is known to the target and
// the key that made it, and to nobody else.
func TestClientsTokenStaysWithItsTarget(t *testing.T) {
	f := newFleet(t, 3, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets, Secrets: secrets(4)}}
	})
	for i := range 12 {
		name := fmt.Sprintf("T%02d", i)
		f.play(upstream.Script{token("Once ", name), upstream.Finish("CONTINUATION")})
		if a := f.ask(streamPath, f.body); a.status != 200 {
			t.Fatal(a.status, a.body)
		}
		where, key := f.counts(), f.keys()
		body := strings.Replace(f.body, "{", `{"continuationToken":"`+name+`",`, 1)
		f.play(whole)
		f.ask(streamPath, body)
		if f.counts() != where || f.keys() != key {
			t.Errorf("%s: at %s with key %s, want at %s with key %s", name, f.counts(), f.keys(), where, key)
		}
		// Also when it fails: elsewhere it would be refused.
		f.play(upstream.Script{upstream.Status(503, nil, "no")})
		f.ask(streamPath, body, "X-Proxy-Heal", "on")
		if got := strings.NewReplacer("1", "", "2", "", "3", "", "4", "", "5", "", "6", "").Replace(f.counts()); strings.Count(got, "0") != 2 {
			t.Errorf("%s: attempts %s", name, f.counts())
		}
	}
}

// keys returns the last letters of the keys that all upstreams were sent.
func (f *fleet) keys() string {
	used := ""
	for _, up := range f.ups {
		used += keysUsed(up)
	}
	return used
}

// What belongs to an upload goes where that was begun, with the same key, and
// needs no token: some clients send none, and the upload's identity is secret.
func TestUploadStaysWithItsTarget(t *testing.T) {
	f := newFleet(t, 3, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets, Secrets: secrets(4)}, {Name: "other", Secrets: secrets(1)}}
		c.Clients = []proxy.ClientConfig{tokenOf("anna", nil)}
	})
	for i := range 12 {
		for _, up := range f.ups {
			url := fmt.Sprintf("%s/upload/v1beta/files?upload_id=id-%02d&upload_protocol=resumable", up.URL(), i)
			up.SetHandler(upstream.Always(upstream.Script{upstream.Status(200, map[string]string{"X-Goog-Upload-URL": url}, "{}")}))
			up.Reset()
		}
		resp, _, err := f.post("/upload/v1beta/files", `{"file":{}}`, "x-goog-api-key", "anna")
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		where, key, url := f.counts(), f.keys(), resp.Header.Get("X-Goog-Upload-URL")
		if !strings.HasPrefix(url, "http://"+f.addr+"/") {
			t.Fatal(url)
		}
		f.play(upstream.Script{upstream.Status(200, nil, "done")})
		req, _ := http.NewRequest("POST", url, strings.NewReader(strings.Repeat("x", 100<<10)))
		req.Header.Set("X-Goog-Upload-Command", "upload, finalize")
		got, err := new(http.Transport).RoundTrip(req)
		if err != nil || got.StatusCode != 200 {
			t.Fatal(got, err)
		}
		io.Copy(io.Discard, got.Body)
		got.Body.Close()
		if f.counts() != where || f.keys() != key {
			t.Errorf("at %s with key %s, want at %s with key %s", f.counts(), f.keys(), where, key)
		}
	}
	for _, target := range []string{"/upload/v1beta/files", "/upload/v1beta/files?upload_id=id-99", "/v1beta/files?upload_id=id-01"} {
		if resp, _, err := f.post(target, "{}"); err != nil || resp.StatusCode != 401 {
			t.Errorf("%s: %v %v, want 401", target, resp, err)
		}
	}
}

// What the API keeps for the key that made it is asked for with that key: a file
// that was uploaded, a cached content, an interaction.
func TestWhatIsKeptStaysWithItsKey(t *testing.T) {
	f := newFleet(t, 2, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets, Secrets: secrets(5)}}
	})
	const streamed = "event: interaction.created\ndata: {\"interaction\":{\"id\":\"%s\"},\"event_id\":\"e1\",\"event_type\":\"interaction.created\"}\n\n" +
		"event: interaction.completed\ndata: {\"interaction\":{\"id\":\"%[1]s\"},\"event_id\":\"e3\",\"event_type\":\"interaction.completed\"}\n\nevent: done\ndata: [DONE]\n\n"
	json := func(body string) upstream.Script {
		return upstream.Script{upstream.Status(200, map[string]string{"Content-Type": "application/json"}, body)}
	}
	for i, made := range []struct {
		path, body string
		answer     func(id string) upstream.Script
		uses       func(id string) [][3]string // method, path, body
	}{
		{"/upload/v1beta/files?upload_id=x", "{}", func(id string) upstream.Script { return json(`{"file": {"name": "files/` + id + `"}}`) }, func(id string) [][3]string {
			return [][3]string{
				{"POST", streamPath, `{"contents":[{"parts":[{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/` + id + `"}}]}]}`},
				{"POST", "/v1beta/models/m:countTokens", `{"contents":[{"parts":[{"file_data":{"file_uri":"https://x/v1beta/files/` + id + `"}}]}]}`},
				{"GET", "/v1beta/files/" + id, ""}, {"DELETE", "/v1beta/files/" + id, ""}, {"GET", "/v1beta/files/" + id + ":download?alt=media", ""},
			}
		}},
		{"/v1beta/cachedContents", `{"model":"models/m"}`, func(id string) upstream.Script {
			return upstream.Script{upstream.Head(200, upstream.Chunked, "Content-Type", "application/json"), upstream.Send("{\n \"name\": \"cachedContents/" + id + "\"}"), upstream.End()}
		}, func(id string) [][3]string {
			return [][3]string{{"POST", streamPath, `{"cachedContent":"cachedContents/` + id + `","contents":[]}`}, {"PATCH", "/v1beta/cachedContents/" + id, "{}"}}
		}},
		{"/v1beta/models/m:batchGenerateContent", `{"batch":{}}`, func(id string) upstream.Script { return json(`{"name": "batches/` + id + `"}`) }, func(id string) [][3]string {
			return [][3]string{{"GET", "/v1beta/batches/" + id, ""}, {"POST", "/v1beta/batches/" + id + ":cancel", "{}"}, {"DELETE", "/v1beta/batches/" + id, ""}}
		}},
		{"/upload/v1beta/files?uploadType=media", "{}", func(id string) upstream.Script { return json(`{"file": {"name": "files/` + id + `"}}`) }, func(id string) [][3]string {
			return [][3]string{{"POST", "/v1beta/models/m:batchGenerateContent", `{"batch":{"input_config":{"file_name":"files/` + id + `"}}}`}, {"POST", "/v1beta/models/m:batchGenerateContent", `{"batch":{"inputConfig":{"fileName":"files/` + id + `"}}}`}}
		}},
		{"/v1beta/models/veo:predictLongRunning", "{}", func(id string) upstream.Script { return json(`{"name": "models/veo/operations/` + id + `"}`) }, func(id string) [][3]string {
			return [][3]string{{"GET", "/v1beta/models/veo/operations/" + id, ""}}
		}},
		{"/v1beta/openai/batches", `{"input_file_id":"files/x"}`, func(id string) upstream.Script { return json(`{"object":"batch","id":"batches/` + id + `"}`) }, func(id string) [][3]string {
			return [][3]string{{"GET", "/v1beta/openai/batches/batches%2F" + id, ""}, {"GET", "/v1beta/openai/batches/batches/" + id, ""}, {"POST", "/v1beta/openai/batches/batches%2F" + id + "/cancel", ""}}
		}},
		{"/v1beta/openai/batches", `{"input_file_id":"files/x"}`, func(id string) upstream.Script { return json(`{"id":"` + id + `","object":"batch"}`) }, func(id string) [][3]string {
			return [][3]string{{"GET", "/v1beta/openai/batches/" + id, ""}}
		}},
		{"/v1beta/openai/videos", "{}", func(id string) upstream.Script {
			return upstream.Script{upstream.Head(200, upstream.Chunked, "Content-Type", "application/json"), upstream.Sliced(7, upstream.Send(`{"id":"`+id+`","object":"video"}`)), upstream.End()}
		}, func(id string) [][3]string {
			return [][3]string{{"GET", "/v1beta/openai/videos/" + id, ""}, {"GET", "/v1beta/openai/videos/" + id + "/content", ""}}
		}},
		{"/upload/v1beta/files?uploadType=media", "{}", func(id string) upstream.Script { return json(`{"file": {"name": "files/` + id + `"}}`) }, func(id string) [][3]string {
			return [][3]string{{"POST", "/v1beta/openai/batches", `{"input_file_id":"files/` + id + `"}`}}
		}},
		{"/v1beta/fileSearchStores", "{}", func(id string) upstream.Script { return json(`{"name": "fileSearchStores/` + id + `"}`) }, func(id string) [][3]string {
			return [][3]string{
				{"POST", "/upload/v1beta/fileSearchStores/" + id + ":uploadToFileSearchStore", "{}"}, {"GET", "/v1beta/fileSearchStores/" + id + "/documents", ""},
				{"POST", streamPath, `{"contents":[],"tools":[{"fileSearch":{"fileSearchStoreNames":["fileSearchStores/` + id + `"]}}]}`},
			}
		}},
		{"/v1beta/interactions", `{"model":"m","input":"x"}`, func(id string) upstream.Script { return json(`{"id": "` + id + `"}`) }, func(id string) [][3]string {
			return [][3]string{{"POST", "/v1beta/interactions", `{"model":"m","input":"y","previous_interaction_id":"` + id + `"}`}, {"GET", "/v1beta/interactions/" + id, ""}}
		}},
		{"/v1beta/interactions", `{"model":"m","input":"x","stream":true}`, func(id string) upstream.Script {
			return upstream.Script{upstream.Head(200, upstream.Chunked, "Content-Type", "text/event-stream"), upstream.Send(fmt.Sprintf(streamed, id)), upstream.End()}
		}, func(id string) [][3]string {
			return [][3]string{{"POST", "/v1beta/interactions", `{"model":"m","input":"y","stream":true,"previous_interaction_id":"` + id + `"}`}, {"GET", "/v1beta/interactions/" + id + "?stream=true", ""}}
		}},
	} {
		for k := range 6 {
			id := fmt.Sprintf("id-%d-%d", i, k)
			f.play(made.answer(id))
			if resp, body, err := f.post(made.path, made.body); err != nil || resp.StatusCode != 200 {
				t.Fatal(made.path, resp, body, err)
			}
			where, key := f.counts(), f.keys()
			for _, use := range made.uses(id) {
				f.play(upstream.Script{upstream.ErrorBody(404, "NOT_FOUND", "x", 0)})
				f.do(use[0], use[1], use[2])
				if f.counts() != where || f.keys() != key {
					t.Errorf("%s: %s %s at %s with key %s, want at %s with key %s", id, use[0], use[1], f.counts(), f.keys(), where, key)
				}
			}
		}
	}
}

// The results of a batch are a file that belongs to the key of the batch, and is
// named when somebody asks how far it is.
func TestResultsOfABatchStayWithItsKey(t *testing.T) {
	f := newFleet(t, 2, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets, Secrets: secrets(5)}}
	})
	for k, send := range []func(string) upstream.Step{
		func(s string) upstream.Step { return upstream.Send(s) },
		func(s string) upstream.Step { return upstream.Sliced(7, upstream.Send(s)) },
	} {
		for i := range 6 {
			id := fmt.Sprintf("%d-%d", k, i)
			answer := func(body string) {
				f.play(upstream.Script{upstream.Head(200, upstream.Chunked, "Content-Type", "application/json"), send(body), upstream.End()})
			}
			note := strings.Repeat("x", 9000)
			for _, made := range [][4]string{
				{"/v1beta/models/m:batchGenerateContent", `{"name": "batches/b` + id + `","metadata": {"state": "BATCH_STATE_PENDING"}}`,
					"/v1beta/batches/b" + id, `{"name": "batches/b` + id + `","metadata": {"note": "` + note + `","output": {"responsesFile": "files/r` + id + `"}}}`},
				{"/v1beta/openai/batches", `{"id":"batches/o` + id + `","object":"batch"}`,
					"/v1beta/openai/batches/batches%2Fo" + id, `{"id":"batches/o` + id + `","metadata":{"note":"` + note + `"},"object":"batch","output_file_id":"files/r` + id + `o"}`},
			} {
				result := "r" + id + strings.Repeat("o", strings.Count(made[0], "openai"))
				answer(made[1])
				f.post(made[0], "{}")
				where, key := f.counts(), f.keys()
				answer(made[3])
				for _, path := range []string{made[2], "/download/v1beta/files/" + result + ":download?alt=media"} {
					f.do("GET", path, "")
					if f.counts() != where || f.keys() != key {
						t.Errorf("%s at %s with key %s, want at %s with key %s", path, f.counts(), f.keys(), where, key)
					}
					for _, up := range f.ups {
						up.Reset()
					}
				}
			}
		}
	}
}
