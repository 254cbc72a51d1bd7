package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
)

// keeper is an upstream that keeps things for the key that made them, each under
// the name that its request gives, as the API does: whoever comes with another key
// is refused. Its signatures are its own, too.
type keeper struct {
	up    *upstream.Upstream
	mu    sync.Mutex
	owner map[string]string // by name
	wrong int               // requests that came with another key, or to another keeper
}

func newKeeper(t *testing.T) *keeper {
	k := &keeper{owner: map[string]string{}}
	var err error
	if k.up, err = upstream.New(k.handle); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.up.Close)
	return k
}

// made is what an answer says, by the path that the request went to.
var made = map[string]string{
	"/upload/v1beta/files":                  `{"file":{"name":"files/%s"}}`,
	"/v1beta/cachedContents":                `{"name":"cachedContents/%s"}`,
	"/v1beta/interactions":                  `{"id":"%s","status":"completed"}`,
	"/v1beta/models/m:batchGenerateContent": `{"name":"batches/%s"}`,
	"/v1beta/models/m:predictLongRunning":   `{"name":"models/m/operations/%s"}`,
	"/v1beta/fileSearchStores":              `{"name":"fileSearchStores/%s"}`,
	"/v1beta/models/m:generateContent":      `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"},"thoughtSignature":"%s"}],"role":"model"},"finishReason":"STOP"}]}`,
	"/v1beta/models/decode:generateContent": `{"candidates":[{"content":{"parts":[{"text":"x"}],"role":"model"},"continuationToken":"%s","finishReason":"CONTINUATION"}]}`,
	"/v1beta/interactions/stream":           "event: interaction.created\ndata: {\"interaction\":{\"id\":\"%s\"},\"event_id\":\"e1\",\"event_type\":\"interaction.created\"}\n\n",
}

const (
	makes = "CANARY-make-"
	uses  = "CANARY-use-"
)

// handle keeps what a body says that it makes, and looks for what it uses.
func (k *keeper) handle(r *upstream.Request) upstream.Script {
	path, query, _ := strings.Cut(r.Target, "?")
	key := r.Header.Get("X-Goog-Api-Key")
	k.mu.Lock()
	defer k.mu.Unlock()
	text := r.Target + string(r.Body)
	if _, name, some := strings.Cut(text, uses); some {
		name, _, _ = strings.Cut(name, "!")
		if k.owner[name] != key {
			k.wrong++
			return upstream.Script{upstream.ErrorBody(403, "PERMISSION_DENIED", "You do not have permission to access it or it may not exist.", 0)}
		}
	}
	_, name, some := strings.Cut(text, makes)
	if !some {
		return upstream.Script{upstream.Status(200, map[string]string{"Content-Type": "application/json"}, `{"candidates":[{"content":{"parts":[{"text":"x"}],"role":"model"},"finishReason":"STOP"}]}`)}
	}
	name, _, _ = strings.Cut(name, "!")
	k.owner[name] = key
	if strings.Contains(query, "resumable") {
		url := k.up.URL() + "/upload/v1beta/files?upload_id=" + uses + name + "!"
		return upstream.Script{upstream.Status(200, map[string]string{"X-Goog-Upload-URL": url}, "{}")}
	}
	if strings.Contains(text, `"stream":true`) {
		return upstream.Script{upstream.Head(200, upstream.Chunked, "Content-Type", "text/event-stream"), upstream.Send(fmt.Sprintf(made["/v1beta/interactions/stream"], uses+name+"!")),
			upstream.Send("event: interaction.completed\ndata: {\"interaction\":{\"id\":\"" + uses + name + "!\"},\"event_id\":\"e3\",\"event_type\":\"interaction.completed\"}\n\nevent: done\ndata: [DONE]\n\n"), upstream.End()}
	}
	return upstream.Script{upstream.Status(200, map[string]string{"Content-Type": "application/json"}, fmt.Sprintf(made[path], uses+name+"!"))}
}

// pairs are a request that makes something and one that uses it, %s being the name.
var pairs = map[string][2][3]string{
	"file in a path":      {{"POST", "/upload/v1beta/files", makes + "%s!"}, {"GET", "/v1beta/files/" + uses + "%s!", ""}},
	"file in a body":      {{"POST", "/upload/v1beta/files", makes + "%s!"}, {"POST", "/v1beta/models/m:generateContent", `{"contents":[{"parts":[{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/` + uses + `%s!"}}]}]}`}},
	"cached content":      {{"POST", "/v1beta/cachedContents", `{"x":"` + makes + `%s!"}`}, {"POST", "/v1beta/models/m:streamGenerateContent?alt=sse", `{"contents":[],"cachedContent":"cachedContents/` + uses + `%s!"}`}},
	"interaction":         {{"POST", "/v1beta/interactions", `{"model":"m","input":"` + makes + `%s!"}`}, {"POST", "/v1beta/interactions", `{"model":"m","input":"y","previous_interaction_id":"` + uses + `%s!"}`}},
	"streamed one":        {{"POST", "/v1beta/interactions", `{"model":"m","stream":true,"input":"` + makes + `%s!"}`}, {"GET", "/v1beta/interactions/" + uses + "%s!", ""}},
	"batch":               {{"POST", "/v1beta/models/m:batchGenerateContent", `{"x":"` + makes + `%s!"}`}, {"GET", "/v1beta/batches/" + uses + "%s!", ""}},
	"operation":           {{"POST", "/v1beta/models/m:predictLongRunning", `{"x":"` + makes + `%s!"}`}, {"GET", "/v1beta/models/m/operations/" + uses + "%s!", ""}},
	"file search store":   {{"POST", "/v1beta/fileSearchStores", `{"x":"` + makes + `%s!"}`}, {"DELETE", "/v1beta/fileSearchStores/" + uses + "%s!", ""}},
	"long decode":         {{"POST", "/v1beta/models/decode:generateContent", `{"contents":[{"parts":[{"text":"` + makes + `%s!"}]}]}`}, {"POST", "/v1beta/models/decode:generateContent", `{"continuationToken":"` + uses + `%s!","contents":[]}`}},
	"upload without keys": {{"POST", "/upload/v1beta/files?uploadType=resumable", makes + "%s!"}, {"PUT", "/upload/v1beta/files?upload_id=" + uses + "%s!", "bytes"}},
}

// send sends a request and returns the status of the answer.
func (s *service) send(request [3]string, name, token string) int {
	s.t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.public)
	}}}
	text := func(part string) string { return strings.ReplaceAll(part, "%s", name) }
	req, err := http.NewRequest(request[0], "http://proxy"+text(request[1]), strings.NewReader(text(request[2])))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("X-Goog-Api-Key", token)
	}
	resp, err := c.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

const originsConfig = `
groups:
  default: {targets: ["%s"], keys: "env:KEYS"}
clients:
  - {name: CANARY-client, token: "sha256:%x"}
`

func originServices(t *testing.T, k *keeper, server *redisServer, n int) (all []*service, file string) {
	file = configFile(t, fmt.Sprintf(originsConfig, k.up.URL(), sha256.Sum256([]byte("CANARY-token"))))
	for range n {
		all = append(all, servingWith(t, upstream.Always(nil), []string{"-config", file}, server.url(), "KEYS=CANARY-a\nCANARY-b\nCANARY-c\nCANARY-d\nCANARY-e"))
	}
	for _, s := range all {
		s.shows("/metrics", fmt.Sprintf("\ngemini_proxy_shared_replicas %d\n", n))
	}
	return all, file
}

// crossed makes things through one replica and uses them through the other.
func crossed(t *testing.T, k *keeper, one, other *service, rounds int, prefix string) (wrong int) {
	t.Helper()
	k.mu.Lock()
	before := k.wrong
	k.mu.Unlock()
	for what, pair := range pairs {
		for i := range rounds {
			name := fmt.Sprintf("%s-%d-%s", prefix, i, strings.ReplaceAll(what, " ", "-"))
			if status := one.send(pair[0], name, "CANARY-token"); status != 200 {
				t.Fatalf("%s: status %d", name, status)
			}
			token := "CANARY-token"
			if strings.HasPrefix(what, "upload") {
				token = ""
			}
			if status := other.send(pair[1], name, token); status != 200 && status != 403 && status != 401 {
				t.Errorf("%s: status %d", name, status)
			} else if status == 401 {
				wrong++
			}
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return wrong + k.wrong - before
}

// What the API keeps for a key is used with that key, also through a replica that
// has not seen how it was made: at once, after a reload that gives the keys other
// places, and when the server is back with what it was not told meanwhile. While
// the server is gone or slow, requests go on without it.
func TestReplicasShareOrigins(t *testing.T) {
	server := newRedisServer(t)
	k := newKeeper(t)
	all, _ := originServices(t, k, server, 2)
	one, other := all[0], all[1]
	// Whoever names nothing of the kind asks nobody.
	for range 3 {
		one.send([3]string{"POST", "/v1beta/models/m:streamGenerateContent?alt=sse", `{"contents":[{"role":"user","parts":[{"text":"x"}]}]}`}, "", "CANARY-token")
	}
	for _, answer := range []string{"found", "unknown", "none"} {
		one.shows("/metrics", `gemini_proxy_shared_origins_total{answer="`+answer+`"} 0`)
	}
	if n := crossed(t, k, one, other, 4, "plain"); n != 0 {
		t.Errorf("%d requests came with another key", n)
	}
	if n := crossed(t, k, other, one, 2, "back"); n != 0 {
		t.Errorf("%d requests came with another key", n)
	}
	outage := func(name string, begin, end func()) {
		t.Helper()
		begin()
		for _, s := range all {
			s.shows("/metrics", "\ngemini_proxy_shared_joined 0\n")
		}
		crossed(t, k, one, other, 1, name)
		one.send(pairs["file in a path"][0], name+"-meanwhile", "CANARY-token")
		end()
		for _, s := range all {
			s.shows("/metrics", "\ngemini_proxy_shared_joined 1\n")
		}
		// The replica is told of what was made meanwhile.
		for end := time.Now().Add(patience); other.send(pairs["file in a path"][1], name+"-meanwhile", "CANARY-token") != 200; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("what was made meanwhile is not found")
			}
		}
		if n := crossed(t, k, one, other, 1, name+"-over"); n != 0 {
			t.Errorf("%s: %d requests came with another key", name, n)
		}
	}
	outage("stopped", server.stop, server.start)
	outage("slow", server.slow, server.quick)
	if server.cmd != nil {
		outage("frozen", server.freeze, server.thaw)
	}
	if dump := server.dump(); strings.Contains(dump, "CANARY") || !strings.Contains(dump, "origins") {
		t.Errorf("the server holds %q", dump)
	}
	for _, s := range all {
		pages := s.page("/metrics") + s.page("/groups")
		s.cmd.Process.Signal(syscall.SIGTERM)
		s.ends(0)
		if strings.Contains(s.stderr.String(), "CANARY-make") || strings.Contains(s.stderr.String(), redisPassword) || strings.Contains(pages, "CANARY-make") {
			t.Error(s.stderr.String())
		}
	}
}

// A replica that is new, or whose configuration was loaded again with its keys in
// other places, finds what others have made, and what it made itself before.
func TestOriginsOutliveReplicas(t *testing.T) {
	server := newRedisServer(t)
	k := newKeeper(t)
	all, _ := originServices(t, k, server, 1)
	keys := strings.Split("CANARY-a CANARY-b CANARY-c CANARY-d CANARY-e", " ")
	for i := range 8 {
		all[0].send(pairs["file in a path"][0], fmt.Sprintf("old-%d", i), "CANARY-token")
	}
	all[0].cmd.Process.Signal(syscall.SIGTERM)
	all[0].ends(0)
	dir := t.TempDir()
	write := func(order ...int) {
		text := ""
		for _, i := range order {
			text += keys[i] + "\n"
		}
		if err := os.WriteFile(dir+"/keys", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(4, 2, 0, 3, 1)
	file := configFile(t, strings.Replace(fmt.Sprintf(originsConfig, k.up.URL(), sha256.Sum256([]byte("CANARY-token"))), "env:KEYS", "file:"+dir+"/keys", 1))
	next := servingWith(t, upstream.Always(nil), []string{"-config", file}, server.url())
	next.shows("/metrics", "\ngemini_proxy_shared_joined 1\n")
	use := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			if status := next.send(pairs["file in a path"][1], fmt.Sprintf("old-%d", i), "CANARY-token"); status != 200 {
				t.Errorf("%d: status %d", i, status)
			}
		}
	}
	use(0, 4)
	write(3, 1, 4, 0, 2)
	c := next.dial(next.admin)
	io.WriteString(c, "POST /reload HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	if status, body, err := reply(c); status != 200 {
		t.Fatal(status, body, err)
	}
	use(4, 8)
	next.shows("/metrics", `gemini_proxy_shared_origins_total{answer="found"} 8`)
}

// What a server has lost, since it was started again without its data, or emptied, it
// is told again.
func TestOriginsOutliveTheServersData(t *testing.T) {
	server := newRedisServer(t)
	k := newKeeper(t)
	all, _ := originServices(t, k, server, 2)
	one, other := all[0], all[1]
	told := func(what string) {
		t.Helper()
		for end := time.Now().Add(patience); server.count("{gemini_proxy}:origins:kept") < 8; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %s", what, server.dump())
			}
		}
	}
	loses := func(what string, lose func()) {
		t.Helper()
		for i := range 8 {
			one.send(pairs["file in a path"][0], fmt.Sprint(what, i), "CANARY-token")
		}
		told("it is not told")
		lose()
		told("it is not told again")
		for i := range 8 {
			if status := other.send(pairs["file in a path"][1], fmt.Sprint(what, i), "CANARY-token"); status != 200 {
				t.Errorf("%s%d: status %d", what, i, status)
			}
		}
	}
	loses("restarted", func() {
		server.stop()
		for _, s := range all {
			s.shows("/metrics", "\ngemini_proxy_shared_joined 0\n")
		}
		server.start()
	})
	loses("emptied", func() { server.empty() })
}

// A conversation goes on where its thoughts are known, through whichever replica.
func TestReplicasShareSignatures(t *testing.T) {
	server := newRedisServer(t)
	var ups []*keeper
	var urls []string
	for range 4 {
		k := newKeeper(t)
		ups, urls = append(ups, k), append(urls, `"`+k.up.URL()+`"`)
	}
	file := configFile(t, "groups:\n  default: {targets: ["+strings.Join(urls, ", ")+"]}\n")
	var all []*service
	for range 2 {
		all = append(all, servingWith(t, upstream.Always(nil), []string{"-config", file}, server.url()))
	}
	for _, s := range all {
		s.shows("/metrics", "\ngemini_proxy_shared_replicas 2\n")
	}
	ask := [3]string{"POST", "/v1beta/models/m:generateContent", `{"contents":[{"role":"user","parts":[{"text":"` + makes + `%s!"}]}]}`}
	goOn := [3]string{"POST", "/v1beta/models/m:generateContent", `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"` + uses + `%s!"}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}`}
	for i := range 30 {
		name := fmt.Sprintf("turn-%d", i)
		if a, b := all[i%2].send(ask, name, "KEY"), all[1-i%2].send(goOn, name, "KEY"); a != 200 || b != 200 {
			t.Errorf("%s: status %d, then %d", name, a, b)
		}
	}
	for _, k := range ups {
		if k.wrong > 0 {
			t.Errorf("%d turns went to another target", k.wrong)
		}
	}
}
