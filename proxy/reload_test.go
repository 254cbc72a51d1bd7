package proxy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
	"gemini-resilient-proxy/routing"
)

// reloaded is a fleet of two targets whose configuration can be loaded again.
// next is what is loaded then.
type reloaded struct {
	*fleet
	mu   sync.Mutex
	next proxy.Config
	err  error
}

func newReloaded(t testing.TB) *reloaded {
	t.Helper()
	r := &reloaded{}
	r.fleet = newFleet(t, 2, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets[:1]}}
		r.next = *c
		r.next.DefaultGroup = "g"
		r.next.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets[1:]}, {Name: "new", Targets: targets[1:]}}
	})
	r.server.SetSource(func() (proxy.Config, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.next, r.err
	})
	return r
}

// What runs keeps the configuration it began with, what comes has the new one.
func TestReloadHarmsNothingThatRuns(t *testing.T) {
	r := newReloaded(t)
	free := make(chan struct{})
	r.ups[0].SetHandler(held(free))
	r.ups[1].SetHandler(upstream.Always(whole))
	g := r.sit()
	if status, body := r.admin("POST", "/reload"); status != 200 {
		t.Fatal(status, body)
	}
	for _, key := range []string{"k", "new:k"} {
		if a := r.ask(streamPath, r.body, "x-goog-api-key", key); a.status != 200 {
			t.Errorf("%s: %d", key, a.status)
		}
	}
	if got := r.counts(); got != "1 2" {
		t.Errorf("requests %s, want the new ones at the new target", got)
	}
	// The old stream breaks: its continuation knows the old target.
	r.ups[0].SetHandler(upstream.Always(rest))
	close(free)
	g.leaves()
	if got := r.metric("gemini_proxy_config_last_reload_successful"); got != "1" {
		t.Errorf("gauge %s", got)
	}
}

func TestBrokenReloadChangesNothing(t *testing.T) {
	r := newReloaded(t)
	r.ups[0].SetHandler(upstream.Always(whole))
	r.err = errors.New(`config.yaml:3:7: stall_timeout: "x": must be a duration`)
	status, body := r.admin("POST", "/reload")
	if status != 422 || !strings.Contains(body, "config.yaml:3:7") {
		t.Errorf("%d %s", status, body)
	}
	if got := r.metric("gemini_proxy_config_last_reload_successful"); got != "0" {
		t.Errorf("gauge %s, want 0", got)
	}
	if _, body := r.admin("GET", "/groups"); !strings.Contains(body, "config.yaml:3:7") {
		t.Error(body)
	}
	// A state that cannot be built is none either.
	r.err, r.next.Groups = nil, []proxy.GroupConfig{{Name: "g", Targets: []proxy.TargetConfig{{URL: "nonsense"}}}}
	if status, _ := r.admin("POST", "/reload"); status != 422 {
		t.Error(status)
	}
	if a := r.ask(streamPath, r.body); a.status != 200 || r.counts() != "1 0" {
		t.Errorf("%d, requests %s", a.status, r.counts())
	}
	if status, _ := r.admin("GET", "/reload"); status != 405 {
		t.Errorf("GET /reload: %d", status)
	}
}

// Streams that the process cannot have descriptors for are refused by a reload as
// they are at the start.
func TestReloadKeepsToTheLimits(t *testing.T) {
	r := newReloaded(t)
	r.next.MaxStreams = 1_000_000
	if proxy.CheckLimits(&r.next) == nil {
		t.Skip("this process may open two million descriptors")
	}
	if status, body := r.admin("POST", "/reload"); status != 422 || !strings.Contains(body, "MAX_STREAMS") || !strings.Contains(body, "LimitNOFILE=") {
		t.Errorf("%d %s", status, body)
	}
}

// What has been learnt of targets and keys outlives a reload.
func TestReloadKeepsWhatWasLearnt(t *testing.T) {
	f := keyed(t, 2, nil)
	next := proxy.DefaultConfig()
	next.GroupMapping, next.DefaultGroup = nil, "g"
	next.Groups = []proxy.GroupConfig{{Name: "g", Targets: []proxy.TargetConfig{{URL: f.up.URL()}}, Secrets: secrets(2)}}
	f.server.SetSource(func() (proxy.Config, error) { return next, nil })
	f.up.SetHandler(byKey(map[string]upstream.Script{"1": quotaError("PerDay", "5", "1s"), "": whole}))
	for range 3 {
		f.ask(streamPath, f.body)
	}
	if err := f.server.Reload(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		f.ask(streamPath, f.body)
	}
	if got := strings.Count(keysUsed(f.up), "1"); got != 1 {
		t.Errorf("the parked key was used %d times", got)
	}
}

// A thousand reloads leave nothing behind.
func TestManyReloads(t *testing.T) {
	r := newReloaded(t)
	r.play(whole)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	load := func(n int) {
		for range n {
			if err := r.server.Reload(); err != nil {
				t.Fatal(err)
			}
		}
		r.log.mu.Lock()
		r.log.b.Reset()
		r.log.mu.Unlock()
	}
	load(100)
	before, goroutines := heap(), runtime.NumGoroutine()
	load(1000)
	if after := heap(); after > before+before/5+1<<20 {
		t.Errorf("heap from %d to %d bytes", before, after)
	}
	if n := runtime.NumGoroutine(); n > goroutines+5 {
		t.Errorf("goroutines from %d to %d", goroutines, n)
	}
}

func TestGroupsOfTheAdminListener(t *testing.T) {
	f := keyed(t, 2, func(c *proxy.Config, _ *proxy.GroupConfig) {
		c.Clients = []proxy.ClientConfig{tokenOf("anna", nil)}
	})
	f.up.SetHandler(byKey(map[string]upstream.Script{"1": quotaError("PerDay", "5", "1s"), "": {upstream.ErrorBody(403, "PERMISSION_DENIED", "no", 0)}}))
	f.ask(streamPath, f.body, "x-goog-api-key", "anna")
	_, body := f.admin("GET", "/groups")
	var view struct {
		Groups []struct {
			Targets []struct{ URL, State string }
			Keys    []struct {
				Name, Tail, State, Reason, Until string
				Parked                           map[string]time.Time
			}
		}
		Clients []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(body), &view); err != nil {
		t.Fatal(err, body)
	}
	g := view.Groups[0]
	if g.Targets[0].URL != f.up.URL() || g.Targets[0].State != "admitted" || view.Clients[0].Name != "anna" {
		t.Error(body)
	}
	until := g.Keys[0].Parked["gemini-2.5-flash"]
	if k := g.Keys[0]; strings.Contains(body, "-0") && strings.Contains(body, ":00-") || k.Name != "env:KEYS#1" || k.Tail != "key1" || k.State != "parked" || k.Reason != "status 429" || until.Minute() != 0 || time.Until(until) > 25*time.Hour {
		t.Errorf("%+v", k)
	}
	if k := g.Keys[1]; k.State != "ejected" || k.Reason != "status 403" || k.Until == "" {
		t.Errorf("%+v", k)
	}
	if strings.Contains(body, "CANARY") {
		t.Error("a key is shown")
	}
}

// A file that changes is loaded, once it is left alone; also the files of keys.
func TestWatchFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, keys := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "keys")
	r := newRig(t, upstream.Always(whole), nil)
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	config := func(path string) string {
		return fmt.Sprintf("listen_addr: 127.0.0.1:0\ngroups:\n  default:\n    path: %s\n    targets: [%s]\n    keys: file:%s\n", path, r.up.URL(), keys)
	}
	write(keys, "AIzaCANARY-one-and-only\n")
	write(file, config("/one"))
	r.server.SetSource(func() (proxy.Config, error) {
		return proxy.LoadConfig(file, func(string) (string, bool) { return "", false })
	})
	if err := r.server.Reload(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { r.server.WatchFiles(file); close(done) }()
	saw := func(path, key string) {
		t.Helper()
		if !eventually(func() bool {
			r.up.Reset()
			r.post(streamPath, ask("x"))
			list := r.up.Requests()
			return len(list) == 1 && strings.HasPrefix(list[0].Target, path+"/") && list[0].Header.Get("X-Goog-Api-Key") == key
		}) {
			t.Fatalf("requests do not go to %s with %s", path, key)
		}
	}
	saw("/one", "AIzaCANARY-one-and-only")
	time.Sleep(10 * time.Millisecond) // for another time of modification
	write(file, config("/two"))
	saw("/two", "AIzaCANARY-one-and-only")
	write(keys, "AIzaCANARY-another-one\n")
	saw("/two", "AIzaCANARY-another-one")
	write(file, "groups: [")
	if !eventually(func() bool { return r.metric("gemini_proxy_config_last_reload_successful") == "0" }) {
		t.Fatal("a broken file is not noticed")
	}
	saw("/two", "AIzaCANARY-another-one")
	if !strings.Contains(r.log.String(), file+":1:9: ") || strings.Contains(r.log.String(), "CANARY") {
		t.Error("the log does not say where the mistake is, or says a key")
	}
	r.stop()
	<-done
}

// A file that goes on changing while it is loaded is loaded again, and so is one
// whose mistake is mended in a file that it names: of keys, of a token, of
// systemd's credentials.
func TestWatchFilesThatAreBeingWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, later := filepath.Join(dir, "config.yaml"), ""
	r := newRig(t, upstream.Always(whole), nil)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := func(path, more string) string {
		return fmt.Sprintf("listen_addr: 127.0.0.1:0\ngroups: {default: {path: %s, targets: [\"%s\"], keys: credential:keys}}\n%s", path, r.up.URL(), more)
	}
	const clients = "clients: [{name: anna, token: file:%s}]\n"
	write("config.yaml", config("/one", ""))
	write("keys", "AIzaCANARY-one-and-only\n")
	r.server.SetSource(func() (proxy.Config, error) {
		c, err := proxy.LoadConfig(file, func(name string) (string, bool) { return dir, name == "CREDENTIALS_DIRECTORY" })
		if later != "" {
			write("config.yaml", later)
			later = ""
		}
		return c, err
	}, file)
	if err := r.server.Reload(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { r.server.WatchFiles(file); close(done) }()
	saw := func(token, path, key string) {
		t.Helper()
		if !eventually(func() bool {
			r.up.Reset()
			r.post(streamPath, ask("x"), "x-goog-api-key", token)
			list := r.up.Requests()
			return len(list) == 1 && strings.HasPrefix(list[0].Target, path+"/") && list[0].Header.Get("X-Goog-Api-Key") == key
		}) {
			t.Fatalf("requests do not go to %s with %s", path, key)
		}
	}
	saw("", "/one", "AIzaCANARY-one-and-only")
	// While the second one is loaded, the third is written.
	later = config("/three", "")
	write("config.yaml", config("/second", ""))
	saw("", "/three", "AIzaCANARY-one-and-only")
	write("keys", "# none yet\n")
	if !eventually(func() bool { return r.metric("gemini_proxy_config_last_reload_successful") == "0" }) {
		t.Fatal("a file without keys is not noticed")
	}
	write("keys", "# none yet\nAIzaCANARY-another-one\n")
	saw("", "/three", "AIzaCANARY-another-one")
	// The token's file is not there yet.
	token := filepath.Join(dir, "token")
	write("config.yaml", config("/four", fmt.Sprintf(clients, token)))
	if !eventually(func() bool { return r.metric("gemini_proxy_config_last_reload_successful") == "0" }) {
		t.Fatal("a file that is missing is not noticed")
	}
	write("token", routing.HashToken([]byte("first"))+"\n")
	saw("first", "/four", "AIzaCANARY-another-one")
	write("token", routing.HashToken([]byte("second"))+"\n\n")
	saw("second", "/four", "AIzaCANARY-another-one")
	if strings.Contains(r.log.String(), "CANARY") {
		t.Error("the log says a key")
	}
	r.stop()
	<-done
}

// A change that comes while the one before is being loaded is not lost.
func TestFileChangesWhileItIsLoaded(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.yaml")
	r := newRig(t, upstream.Always(whole), nil)
	write := func(path string) {
		text := fmt.Sprintf("groups:\n  default:\n    path: %s\n    targets: [%s]\n", path, r.up.URL())
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
	write("/one")
	r.server.SetSource(func() (proxy.Config, error) {
		c, err := proxy.LoadConfig(file, func(string) (string, bool) { return "", false })
		if err == nil && c.Groups[0].Path == "/second" {
			write("/the-third")
		}
		return c, err
	})
	if err := r.server.Reload(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { r.server.WatchFiles(file); close(done) }()
	goTo := func(path string) {
		t.Helper()
		if !eventually(func() bool {
			r.up.Reset()
			r.post(streamPath, ask("x"))
			list := r.up.Requests()
			return len(list) == 1 && strings.HasPrefix(list[0].Target, path+"/")
		}) {
			t.Fatalf("requests do not go to %s", path)
		}
	}
	goTo("/one")
	write("/second")
	goTo("/the-third")
	r.stop()
	<-done
}
