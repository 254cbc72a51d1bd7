package proxy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
	"gemini-resilient-proxy/stream"
)

// watched is what a page is told, as far as tests look at it.
type watched struct {
	History []struct{ At int64 }
	Point   *struct {
		At     int64
		Open   int
		Events float64
	}
	Detail struct {
		Healed        int64
		GaveUp        int64 `json:"gave_up"`
		Interruptions int64
		Causes        map[string]float64
		Reasons       map[string]float64
		First         []float64
		Groups        struct {
			Groups []struct {
				Name    string
				Targets []struct{ State string }
				Keys    []map[string]any
				More    int `json:"more_keys"`
			}
		}
		Streams []struct {
			Group    string
			Attempts int
			Bytes    int64
			Text     int
			Causes   []string
			Seams    []struct {
				Cause   string
				At      int
				Joined  string
				Dropped int
			}
		}
	}
}

// onlooker is a page that is open.
type onlooker struct {
	t    *testing.T
	resp *http.Response
	raw  *bufio.Reader
	text strings.Builder // all that came
}

func (r *rig) look(t *testing.T) *onlooker {
	t.Helper()
	resp, err := r.live(t)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	return &onlooker{t: t, resp: resp, raw: bufio.NewReader(resp.Body)}
}

// live asks for the page's events.
func (r *rig) live(t *testing.T) (*http.Response, error) {
	srv := httptest.NewServer(r.server.Admin())
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL+"/live", nil)
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		t.Cleanup(func() { resp.Body.Close() })
	}
	return resp, err
}

// next returns the next event, read by the proxy's own scanner.
func (o *onlooker) next() (w watched) {
	o.t.Helper()
	line, err := o.raw.ReadString('\n')
	if err != nil {
		o.t.Fatal(err)
	}
	blank, err := o.raw.ReadString('\n')
	if err != nil || blank != "\r\n" {
		o.t.Fatalf("%q behind an event, %v", blank, err)
	}
	o.text.WriteString(line)
	var s stream.Scanner
	ev, n, ok := s.Next([]byte(line + blank))
	if !ok || n == 0 {
		o.t.Fatalf("the scanner does not take %q", line)
	}
	if err := json.Unmarshal(ev.Data, &w); err != nil {
		o.t.Fatalf("%v in %q", err, ev.Data)
	}
	return w
}

// until reads events until one is as it should be.
func (o *onlooker) until(ok func(watched) bool) watched {
	o.t.Helper()
	for {
		if w := o.next(); ok(w) {
			return w
		}
	}
}

// TestLive follows an answer that is cut, healed, and one that is given up.
func TestLive(t *testing.T) {
	t.Parallel()
	const secret = "AIzaCANARYkey"
	s := newStage(t, func(c *proxy.Config) { c.MaxConsecutiveFailures = 1 })
	o := s.look(t)
	if w := o.next(); len(w.History) == 0 && w.Point == nil && w.Detail.Healed != 0 {
		t.Errorf("the first event: %+v", w)
	}
	release := make(chan struct{})
	s.up.SetHandler(upstream.InTurn(
		upstream.Script{upstream.Text(first), upstream.Hold(release), upstream.Reset()}, rest))
	got := make(chan answer)
	go func() { got <- s.ask(streamPath, s.body, "X-Goog-Api-Key", secret) }()
	w := o.until(func(w watched) bool { return w.Point != nil && w.Point.Open == 1 })
	if w.Point.At == 0 {
		t.Error("a point without time")
	}
	close(release)
	if a := <-got; a.err != nil || a.status != 200 {
		t.Fatalf("%+v", a)
	}
	w = o.until(func(w watched) bool { return w.Detail.Healed == 1 })
	d := w.Detail
	if d.Interruptions != 1 || d.Causes["cut"] != 1 || len(d.Streams) != 1 {
		t.Fatalf("%+v", d)
	}
	h := d.Streams[0]
	if h.Group != "default" || h.Attempts != 2 || h.Bytes == 0 || len(h.Causes) != 1 || len(h.Seams) != 1 {
		t.Fatalf("%+v", h)
	}
	if h.Text <= h.Seams[0].At || h.Text > int(h.Bytes) {
		t.Errorf("%d bytes of text, cut at %d, of %d in all", h.Text, h.Seams[0].At, h.Bytes)
	}
	if m := h.Seams[0]; m.Cause != "cut" || m.At != len(first) || m.Joined == "" {
		t.Errorf("%+v", m)
	}
	o.until(func(w watched) bool { return len(w.Detail.First) == 3 && w.Detail.First[0] > 0 })
	if len(d.Groups.Groups) != 1 || len(d.Groups.Groups[0].Targets) != 1 || d.Groups.Groups[0].Targets[0].State != "admitted" {
		t.Errorf("%+v", d.Groups)
	}
	s.play(nil, upstream.Script{upstream.Text(first), upstream.Reset()})
	w = o.until(func(w watched) bool { return w.Detail.GaveUp == 1 })
	if w.Detail.Reasons["failures"] != 1 || len(w.Detail.Streams) != 1 {
		t.Errorf("%+v", w.Detail)
	}
	// A page that is opened later sees what was.
	if late := s.look(t).next(); len(late.History) < 2 {
		t.Errorf("%d points", len(late.History))
	}
	for _, word := range []string{secret, "upon", "time.", "tell me"} {
		if strings.Contains(o.text.String(), word) {
			t.Errorf("the page is told %q", word)
		}
	}
}

// TestLiveIsBounded: more pages than there may be are turned away, and a page
// that closes makes room.
func TestLiveIsBounded(t *testing.T) {
	r := newRig(t, plain, nil)
	var open []*onlooker
	for range 32 {
		open = append(open, r.look(t))
	}
	if status, _ := r.admin("GET", "/live"); status != 503 {
		t.Errorf("status %d", status)
	}
	open[0].resp.Body.Close()
	// That it closed reaches the server in its own time.
	if !eventually(func() bool { resp, err := r.live(t); return err == nil && resp.StatusCode == 200 }) {
		t.Error("a page that closed made no room")
	}
}

// TestRecentAnswers: the last hundred are shown, the newest first.
func TestRecentAnswers(t *testing.T) {
	s := newStage(t, nil)
	for i := range 103 {
		s.play(nil, upstream.Script{upstream.Text(strings.Repeat("x", i+1)), upstream.Reset()}, rest)
	}
	s.idle()
	list := s.look(t).next().Detail.Streams
	if len(list) != 100 || list[0].Seams[0].At != 103 || list[99].Seams[0].At != 4 {
		t.Errorf("%d answers, the newest cut at %d, the oldest at %d", len(list), list[0].Seams[0].At, list[len(list)-1].Seams[0].At)
	}
}

// TestAddedLatency is sampled, and events are all counted, once: those that a
// loop passes on, those before and after, and those of an answer that nobody
// hears to its end.
func TestAddedLatency(t *testing.T) {
	m := &upstream.Model{Answer: strings.Repeat("word ", 400), Piece: 5, Wait: time.Millisecond}
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			s, scheme := newStage(t, nil), "http://"
			if secure {
				s, scheme = newSecured(t, nil).stage, "https://"
			}
			s.up.SetHandler(m.Handle)
			a := s.send(scheme+s.addr+streamPath, s.body)
			if a.err != nil {
				t.Fatal(a.err)
			}
			s.idle()
			want := strings.Count(a.body, "data: ")
			if n := s.series()["gemini_proxy_stream_events_total"]; n != itoa(want) {
				t.Errorf("%s events, want %d", n, want)
			}
			if s.series()["gemini_proxy_added_latency_seconds_count"] == "0" {
				t.Error("no latency was measured")
			}
			s.up.SetHandler(upstream.Always(upstream.Script{upstream.Text(first), upstream.Text(first), upstream.Reset()}))
			s.send(scheme+s.addr+streamPath, s.body)
			s.idle()
			attempts, _ := strconv.Atoi(s.series()[`gemini_proxy_upstream_attempts_total{group="default"}`])
			if n := s.series()["gemini_proxy_stream_events_total"]; n != itoa(want+2*(attempts-1)) {
				t.Errorf("%s events after %d attempts, want %d", n, attempts, want+2*(attempts-1))
			}
		})
	}
}

// TestOtherPagesChangeNothing: a page from elsewhere, in the same browser, cannot
// have the configuration loaded.
func TestOtherPagesChangeNothing(t *testing.T) {
	r := newRig(t, plain, nil)
	for site, want := range map[string]int{"cross-site": 403, "same-site": 403, "same-origin": 422, "": 422} {
		req := httptest.NewRequest("POST", "/reload", nil)
		if site != "" {
			req.Header.Set("Sec-Fetch-Site", site)
		}
		w := httptest.NewRecorder()
		r.server.Admin().ServeHTTP(w, req)
		if w.Code != want {
			t.Errorf("from %q: status %d, want %d", site, w.Code, want)
		}
	}
}

// TestPageIsSelfContained: everything that the page loads comes from the admin
// listener, and its policy lets nothing else in.
func TestPageIsSelfContained(t *testing.T) {
	r := newRig(t, plain, nil)
	srv := httptest.NewServer(r.server.Admin())
	defer srv.Close()
	get := func(path string) (*http.Response, string) {
		t.Helper()
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 || len(b) == 0 {
			t.Errorf("%s: %d %v, %d bytes", path, resp.StatusCode, err, len(b))
		}
		csp := resp.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") {
			t.Errorf("%s: policy %q", path, csp)
		}
		return resp, string(b)
	}
	resp, html := get("/")
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") || !strings.Contains(html, `lang="en"`) {
		t.Errorf("%v", resp.Header)
	}
	if regexp.MustCompile(`(?i)<script>|<style|\son\w+=|\sstyle=`).MatchString(html) {
		t.Error("the page has what its policy forbids")
	}
	refs := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(html, -1)
	if len(refs) < 5 {
		t.Fatalf("%d references", len(refs))
	}
	types := map[string]string{".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
	for _, m := range refs {
		ref := m[1]
		if strings.Contains(ref, ":") || strings.HasPrefix(ref, "/") {
			t.Errorf("the page refers to %s", ref)
			continue
		}
		if strings.HasPrefix(ref, "#") || ref == "metrics" || ref == "groups" {
			continue
		}
		resp, body := get("/" + ref)
		if want := types[ref[strings.LastIndexByte(ref, '.'):]]; !strings.HasPrefix(resp.Header.Get("Content-Type"), want) {
			t.Errorf("%s is %s", ref, resp.Header.Get("Content-Type"))
		}
		// Names in comments and of XML are no references.
		body = strings.NewReplacer("/*! https://github.com/leeoniya/uPlot", "", "http://www.w3.org/2000/svg", "").Replace(body)
		if m := regexp.MustCompile(`(?i)(https?:)?//[a-z0-9.-]+\.[a-z]{2,}|@import|url\(`).FindString(body); m != "" {
			t.Errorf("%s refers to %s", ref, m)
		}
	}
	if _, license := get("/page/uplot.LICENSE"); !strings.Contains(license, "MIT") {
		t.Error("no license")
	}
}
