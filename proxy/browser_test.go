package proxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
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
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && path == "" {
			path = found
		}
	}
	if path == "" {
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
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
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
		cancel()
		cmd.Wait()
		t.Fatalf("%s does not run here: %s", path, &complaints)
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

// press presses a key.
func (b *browser) press(key string, code int, text string) {
	b.t.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		b.do("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text})
		text = ""
	}
}
