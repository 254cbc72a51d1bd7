package proxy_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// browser is a headless Chromium with one page, spoken to over its debugging
// protocol (https://chromedevtools.github.io/devtools-protocol/).
type browser struct {
	t    *testing.T
	ctx  context.Context
	conn *websocket.Conn
	last int
	said []string // what the page complained of
}

func openBrowser(t *testing.T, url string) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: the page is not opened")
	}
	home, err := os.MkdirTemp("", "browser")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--user-data-dir="+home, "--remote-debugging-port=0", "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+home)
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
		os.RemoveAll(home)
	})
	var port string
	if !eventually(func() bool {
		b, err := os.ReadFile(filepath.Join(home, "DevToolsActivePort"))
		port, _, _ = strings.Cut(string(b), "\n")
		return err == nil && port != ""
	}) {
		t.Skip("chromium does not run here")
	}
	resp, err := http.Get("http://127.0.0.1:" + port + "/json/list")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var pages []struct{ Type, WebSocketDebuggerURL string }
	if err := json.NewDecoder(resp.Body).Decode(&pages); err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, ctx: ctx}
	for _, p := range pages {
		if p.Type == "page" {
			if b.conn, _, err = websocket.Dial(ctx, p.WebSocketDebuggerURL, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if b.conn == nil {
		t.Fatalf("no page in %v", pages)
	}
	b.conn.SetReadLimit(64 << 20)
	b.do("Log.enable", nil)
	b.do("Runtime.enable", nil)
	b.do("Page.navigate", map[string]any{"url": url})
	return b
}

// do sends a command and returns its result.
func (b *browser) do(method string, params any) (result struct {
	Data   string
	Result struct{ Value any }
}) {
	b.t.Helper()
	b.last++
	msg, _ := json.Marshal(map[string]any{"id": b.last, "method": method, "params": params})
	if err := b.conn.Write(b.ctx, websocket.MessageText, msg); err != nil {
		b.t.Fatal(err)
	}
	for {
		_, raw, err := b.conn.Read(b.ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		var got struct {
			ID     int
			Method string
			Result json.RawMessage
		}
		if err := json.Unmarshal(raw, &got); err != nil {
			b.t.Fatal(err)
		}
		if got.Method == "Log.entryAdded" || got.Method == "Runtime.exceptionThrown" {
			b.said = append(b.said, string(raw))
		}
		if got.ID == b.last {
			json.Unmarshal(got.Result, &result)
			return result
		}
	}
}

// eval returns the value of an expression as text.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	return fmt.Sprint(b.do("Runtime.evaluate", map[string]any{"expression": expression}).Result.Value)
}

// shoot makes a picture in the folder that PAGE_SHOTS names.
func (b *browser) shoot(name string, width, height int, scheme string) {
	b.t.Helper()
	b.do("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": scheme}}})
	b.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
	wide := func() bool {
		return b.eval("Math.abs(document.querySelector('canvas').clientWidth - document.querySelector('#p-open').clientWidth) < 2") == "true"
	}
	if !eventually(wide) {
		b.t.Errorf("%s: the plots do not follow the width", name)
	}
	if over := b.eval("document.documentElement.scrollWidth - innerWidth"); strings.Trim(over, "-0123456789") != "" || over[0] != '-' && over != "0" {
		b.t.Errorf("%s: the page is %s pixels wider than the window", name, over)
	}
	dir := os.Getenv("PAGE_SHOTS")
	if dir == "" {
		return
	}
	picture, err := base64.StdEncoding.DecodeString(b.do("Page.captureScreenshot", nil).Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644)
	}
	if err != nil {
		b.t.Error(err)
	}
}

// TestPageInBrowser opens the page in a real browser, while answers stream, and
// reads what it shows.
func TestPageInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	m := &upstream.Model{Answer: strings.Repeat("word ", 400), Piece: 5, Wait: 5 * time.Millisecond,
		Fault: func(n int, q *upstream.Request) []upstream.Step {
			if n == 0 {
				return []upstream.Step{upstream.LimitBody(20_000, upstream.RST)}
			}
			return nil
		}}
	s := newStage(t, func(c *proxy.Config) { c.StallTimeout = patience })
	s.up.SetHandler(m.Handle)
	s.ask(streamPath, s.body)
	s.up.SetHandler(upstream.Always(upstream.Script{upstream.Text(first), upstream.Reset()}))
	s.ask(streamPath, s.body)
	s.up.SetHandler(m.Handle)
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				s.ask(streamPath, s.body)
			}
		}
	}()
	defer func() { close(stop); <-ended }()
	srv := httptest.NewServer(s.server.Admin())
	defer srv.Close()
	defer srv.CloseClientConnections()

	b := openBrowser(t, srv.URL+"/")
	shows := func(id, want string) {
		t.Helper()
		got, pattern := "", regexp.MustCompile(want)
		if !eventually(func() bool {
			got = b.eval("document.getElementById('" + id + "')?.textContent")
			return pattern.MatchString(got)
		}) {
			t.Errorf("%s shows %q", id, got)
		}
	}
	shows("link", "^live$")
	shows("gaveUp", "^1$")
	shows("healed", `^[1-9]\d*$`)
	shows("interruptions", `^[1-9]\d*$`)
	shows("events", `^[1-9]\d*$`)
	shows("first50", `^[\d.]+$`)
	shows("added99", `^[\d.]+$`)
	shows("causes", `^cut\d`)
	shows("groups", `default \(default\).*admitted`)
	shows("streams", "cut at .*, joined ")
	if n := b.eval("document.querySelectorAll('canvas').length"); n != "4" {
		t.Errorf("%s plots", n)
	}
	// One place is announced, and it says nothing new while all is well.
	if n := b.eval("document.querySelectorAll('[aria-live],[role=status],[role=alert]').length"); n != "1" {
		t.Errorf("%s places are announced", n)
	}
	b.eval("document.getElementById('pause').focus(); document.activeElement.click()")
	shows("pause", "^Go on$")
	b.eval("document.getElementById('pause').click()")
	shows("pause", "^Pause$")
	b.shoot("wide", 1280, 1300, "light")
	b.shoot("dark", 1280, 1300, "dark")
	b.shoot("phone", 390, 2400, "light")
	for _, said := range b.said {
		t.Errorf("the browser says: %s", said)
	}
	srv.CloseClientConnections()
	srv.Listener.Close()
	shows("link", "no connection")
}
