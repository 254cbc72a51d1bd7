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
	"strconv"
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
	from []string // what it loaded
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
	b.do("Network.enable", nil)
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
			Params struct{ Request struct{ URL string } }
		}
		if err := json.Unmarshal(raw, &got); err != nil {
			b.t.Fatal(err)
		}
		if got.Method == "Log.entryAdded" || got.Method == "Runtime.exceptionThrown" {
			b.said = append(b.said, string(raw))
		}
		if got.Method == "Network.requestWillBeSent" {
			b.from = append(b.from, got.Params.Request.URL)
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
	// A phone makes its window as wide as the page.
	if n, err := strconv.Atoi(b.eval("document.documentElement.scrollWidth")); n > width || err != nil {
		b.t.Errorf("%s: the page is %d pixels wide, the window %d, %v", name, n, width, err)
	}
	if faint := b.eval(faintText); faint != "" {
		b.t.Errorf("%s: text with too little contrast: %s", name, faint)
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

// faintText lists the texts whose contrast with what is behind them is below 4.5
// (https://www.w3.org/TR/WCAG22/#contrast-minimum).
const faintText = `(() => {
	const rgba = (c) => (c.match(/[\d.]+/g) || []).map(Number);
	const light = (c) => {
		const [r, g, b] = rgba(c).map((v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
		return .2126 * r + .7152 * g + .0722 * b;
	};
	const behind = (el) => {
		for (; el; el = el.parentElement) {
			const c = getComputedStyle(el).backgroundColor, v = rgba(c);
			if (v.length === 3 || v[3] === 1) return c;
		}
		return 'rgb(255, 255, 255)';
	};
	const faint = new Set(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	let texts = 0;
	while (walk.nextNode()) {
		const el = walk.currentNode.parentElement;
		if (!walk.currentNode.data.trim() || !el.getClientRects().length) continue;
		texts++;
		const [a, b] = [light(getComputedStyle(el).color), light(behind(el))].sort((x, y) => y - x);
		if ((a + .05) / (b + .05) < 4.5) faint.add(walk.currentNode.data);
	}
	return texts < 30 ? 'only ' + texts + ' texts' : [...faint].join('; ');
})()`

// press presses a key.
func (b *browser) press(key string, code int, text string) {
	b.t.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		b.do("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text})
		text = ""
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
	s := keyed(t, 3, func(c *proxy.Config, _ *proxy.GroupConfig) { c.StallTimeout = patience })
	s.up.SetHandler(byKey(map[string]upstream.Script{"1": quotaError("PerMinute", "15", "48s"), "": whole}))
	for range 3 {
		s.ask(streamPath, s.body)
	}
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
	shows("groups", `g \(default\).*admitted.*env:KEYS#1parked.*gemini-2.5-flash until .*`)
	shows("streams", "cut at .*, joined ")
	if n := b.eval("document.querySelectorAll('canvas').length"); n != "4" {
		t.Errorf("%s plots", n)
	}
	// One place is announced, and it says nothing new while all is well.
	if n := b.eval("document.querySelectorAll('[aria-live],[role=status],[role=alert]').length"); n != "1" {
		t.Errorf("%s places are announced", n)
	}
	// By keyboard: past the link to the figures, to the button, which is pressed.
	b.press("Tab", 9, "")
	if at := b.eval("document.activeElement.className"); at != "skip" {
		t.Errorf("the first to have the focus is %q", at)
	}
	b.press("Tab", 9, "")
	if at := b.eval("document.activeElement.id + ' ' + getComputedStyle(document.activeElement).outlineStyle"); at != "pause solid" {
		t.Errorf("the second to have the focus is %q", at)
	}
	b.press("Enter", 13, "\r")
	shows("pause", "^Go on$")
	b.press("Enter", 13, "\r")
	shows("pause", "^Pause$")
	b.shoot("wide", 1280, 1300, "light")
	b.shoot("dark", 1280, 1300, "dark")
	b.shoot("phone", 390, 2400, "light")
	if len(b.from) < 5 {
		t.Errorf("it loaded %q", b.from)
	}
	for _, url := range b.from {
		if !strings.HasPrefix(url, srv.URL+"/") {
			t.Errorf("it loaded %s", url)
		}
	}
	for _, said := range b.said {
		t.Errorf("the browser says: %s", said)
	}
	srv.CloseClientConnections()
	srv.Listener.Close()
	shows("link", "no connection")
}
