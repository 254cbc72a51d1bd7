package proxy

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// sender is a client that sends more of its request, a piece for each read.
type sender struct {
	net.Conn
	pieces []int
	room   []int // that reads had
}

func (s *sender) SetReadDeadline(time.Time) error { return nil }

func (s *sender) Read(p []byte) (int, error) {
	s.room = append(s.room, len(p))
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := min(s.pieces[0], len(p))
	s.pieces = s.pieces[1:]
	return n, nil
}

// A connection of which the rest is read that nobody wants waits for it with
// little memory, and has more while more comes.
func TestLingerHoldsLittle(t *testing.T) {
	const most = len(copyBuffer{})
	s := &sender{pieces: []int{1, most, most, 1, 1}}
	newClientConn(s, s, time.Minute).linger(time.Minute)
	if want := []int{smallRead, smallRead, most, most, smallRead, smallRead}; !slices.Equal(s.room, want) {
		t.Errorf("reads of %d bytes, must be %d", s.room, want)
	}
}
