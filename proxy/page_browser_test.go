package proxy_test

import (
	"encoding/base64"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

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

// keepsItsPlace: what has the focus keeps it while its figures change.
func (b *browser) keepsItsPlace() {
	b.t.Helper()
	const figures = "document.querySelector('#groups').textContent"
	b.eval("document.querySelector('#groups .scroll').focus()")
	before := b.eval(figures)
	if !eventually(func() bool { return b.eval(figures) != before }) {
		b.t.Errorf("the groups stay as they are: %s", before)
	}
	if at := b.eval("document.activeElement.className"); at != "scroll" {
		b.t.Errorf("the focus went to %q", at)
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
	shows("first50", `^[\d.]+ (µs|ms|s)$`)
	shows("added99", `^[\d.]+ (µs|ms|s)$`)
	shows("causes", `^cut\d`)
	shows("groups", `g \(default, \d+ retries left\).*admitted.*env:KEYS#1parked.*gemini-2.5-flash until .*`)
	shows("streams", "cut at .*, joined ")
	if n := b.eval("document.querySelectorAll('canvas').length"); n != "4" {
		t.Errorf("%s plots", n)
	}
	// An answer is drawn: its beginning, the cut, and what the continuation brought.
	if parts := b.eval(`[...document.querySelector('#streams .strip').children].map((e) => e.offsetWidth > 0 ? e.tagName : 'nothing').join()`); parts != "SPAN,I,SPAN" {
		t.Errorf("an answer is drawn as %q", parts)
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
	shows("link", "^paused$")
	b.press("Enter", 13, "\r")
	shows("pause", "^Pause$")
	shows("link", "^live$")
	// To a plot, whose figures are read one by one, and which says them in words.
	b.press("Tab", 9, "")
	if said := b.eval("document.activeElement.ariaLabel"); !regexp.MustCompile(`^Streams open over the last ten minutes: open \d+, at most [1-9]$`).MatchString(said) {
		t.Errorf("the third to have the focus says %q", said)
	}
	// Pressed again, since another second may have come before it is read.
	at := ""
	if !eventually(func() bool {
		b.press("Home", 36, "")
		at = b.eval("plots.map((p) => p.u.cursor.idx).join()")
		return at == "0,0,0,0"
	}) {
		t.Errorf("the plots show the points %s", at)
	}
	b.press("Escape", 27, "")
	if !eventually(func() bool { return b.eval("plots.every((p) => p.u.cursor.left < 0)") == "true" }) {
		t.Error("the plots do not go back to the newest point")
	}
	b.keepsItsPlace()
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
