package proxy

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
	"slices"
	"time"
)

// pageFiles are the live page: its own files, and uPlot with its license.
//
//go:embed page
var pageFiles embed.FS

const (
	// liveWatchers bounds how many pages are open at once.
	liveWatchers = 32
	// liveWrite is how long a page may take to take an event.
	liveWrite = 10 * time.Second
)

// pagePolicy lets the page load its own files and talk to where it came from,
// and nothing else (https://www.w3.org/TR/CSP3/).
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// addPage adds the live page to the admin listener.
func (s *Server) addPage(mux *http.ServeMux) {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		guard(w)
		http.ServeFileFS(w, r, files, "page.html")
	})
	mux.HandleFunc("GET /page/{name}", func(w http.ResponseWriter, r *http.Request) {
		guard(w)
		http.ServeFileFS(w, r, files, r.PathValue("name"))
	})
	mux.HandleFunc("GET /live", s.serveLive)
}

// guard sets the headers that keep the page to itself.
func guard(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
}

// serveLive sends the page an event a second, in the form in which the proxy
// itself writes and reads events: a line of JSON, and CR LF CR LF.
func (s *Server) serveLive(w http.ResponseWriter, r *http.Request) {
	point, ok := s.live.watch()
	if !ok {
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer s.live.unwatch(point)
	guard(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	c := http.NewResponseController(w)
	for all := true; ; all = false {
		event := s.liveEvent(all)
		c.SetWriteDeadline(time.Now().Add(liveWrite))
		if _, err := w.Write(event); err != nil || event == nil || c.Flush() != nil {
			return
		}
		select {
		case <-point:
		case <-r.Context().Done():
			return
		case <-s.stop:
			return
		}
	}
}

// liveEvent returns what a page is told, as it is sent. What is told of the newest
// point is made once for all pages: of some thousand groups it is a megabyte.
func (s *Server) liveEvent(all bool) []byte {
	if all {
		return liveBytes(s.liveMessage(true))
	}
	l := &s.live
	l.making.Lock()
	defer l.making.Unlock()
	l.mu.Lock()
	newest := l.lastAt
	l.mu.Unlock()
	if l.event == nil || !l.made.Equal(newest) {
		l.event, l.made = liveBytes(s.liveMessage(false)), newest
	}
	return l.event
}

// liveBytes returns a message as an event, nil when it has none.
func liveBytes(m liveMessage) []byte {
	b, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	return slices.Concat([]byte("data: "), b, []byte("\r\n\r\n"))
}

// watch returns a channel that has a value when there is a new point.
func (l *live) watch() (chan struct{}, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.watchers) >= liveWatchers {
		return nil, false
	}
	if l.watchers == nil {
		l.watchers = map[chan struct{}]struct{}{}
	}
	point := make(chan struct{}, 1)
	l.watchers[point] = struct{}{}
	return point, true
}

func (l *live) unwatch(point chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.watchers, point)
}
