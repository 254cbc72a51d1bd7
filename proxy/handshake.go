package proxy

import (
	"container/list"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// slowHandshake is how long a handshake takes that has to give way to others.
// CLIENT_HEADER_TIMEOUT ends it in any case.
const slowHandshake = time.Second

// handshakes are the TLS handshakes that have begun and are not over, the
// oldest first. Each is made by the connection's own goroutine, so that nobody
// waits for another's. While there are more than most, each that begins ends a
// slow one: whoever opens connections and says nothing takes no place from
// those who do.
type handshakes struct {
	most int

	mu   sync.Mutex
	list list.List // of *handshake
}

type handshake struct {
	conn  io.Closer
	begun time.Time
}

// begin notes the handshake on conn, which is closed if it has to give way.
func (h *handshakes) begin(conn io.Closer, now time.Time) *list.Element {
	h.mu.Lock()
	var slow *handshake
	if front := h.list.Front(); front != nil && h.list.Len() >= h.most {
		if oldest := front.Value.(*handshake); now.Sub(oldest.begun) >= slowHandshake {
			h.list.Remove(front)
			slow = oldest
		}
	}
	this := h.list.PushBack(&handshake{conn, now})
	h.mu.Unlock()
	if slow != nil {
		slow.conn.Close()
	}
	return this
}

// end forgets a handshake that is over, or has given way.
func (h *handshakes) end(this *list.Element) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list.Remove(this)
}

// spokePlain answers, in plain HTTP, a client whose handshake failed with err
// because it speaks that. It tells whether it has: there may be more of the request.
func spokePlain(below net.Conn, err error) bool {
	var other tls.RecordHeaderError
	if !errors.As(err, &other) {
		return false
	}
	switch string(other.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "PATCH", "DELET":
		const body = "this listener speaks HTTPS\n"
		below.SetWriteDeadline(time.Now().Add(slowHandshake))
		io.WriteString(below, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"+body)
		closeWrite(below)
		return true
	}
	return false
}
