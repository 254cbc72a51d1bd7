package proxy

import (
	"context"
	"log/slog"
	"testing"
)

// TestLiveEventIsMadeOnce for all pages that are told of one point.
func TestLiveEventIsMadeOnce(t *testing.T) {
	cfg := DefaultConfig()
	cfg.UpstreamURLBase = "http://127.0.0.1:1"
	s, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Drain(context.Background()) })
	for range 3 {
		// A point may come between the two.
		if a, b := s.liveEvent(false), s.liveEvent(false); &a[0] == &b[0] {
			return
		}
	}
	t.Error("each page has the event made for itself")
}
