package proxy

import (
	"testing"
	"time"
)

// closing tells that it was closed.
type closing struct{ closed bool }

func (c *closing) Close() error {
	c.closed = true
	return nil
}

// TestSlowHandshakesGiveWay: nobody has to while there is room, and nobody who
// is not slow.
func TestSlowHandshakesGiveWay(t *testing.T) {
	h := handshakes{most: 2}
	at := func(d time.Duration) time.Time { return time.Unix(1000, 0).Add(d) }
	var all [5]closing
	h.begin(&all[0], at(0))
	second := h.begin(&all[1], at(100*time.Millisecond))
	h.begin(&all[2], at(200*time.Millisecond))
	if all[0].closed {
		t.Error("a handshake was ended that is not slow")
	}
	h.end(second)
	h.begin(&all[3], at(time.Second))
	if !all[0].closed || all[1].closed || all[2].closed {
		t.Errorf("not the oldest has given way: %+v", all)
	}
	h.end(second) // again: nothing
	if n := h.list.Len(); n != 2 {
		t.Errorf("%d handshakes, want 2", n)
	}
	h.begin(&all[4], at(1100*time.Millisecond))
	if all[2].closed || all[3].closed {
		t.Error("the second oldest is not slow yet")
	}
}
