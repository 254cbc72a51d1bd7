package proxy

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// rawPair returns a rawIO with a small send buffer, and the peer it talks to.
func rawPair(t *testing.T) (*rawIO, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.(*net.TCPConn).SetWriteBuffer(4 << 10)
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); peer.Close() })
	return newRawIO(conn).(*rawIO), peer
}

// What is asked for arrives once and whole before the answer is read, however
// little the peer takes at a time and whenever its answer comes.
func TestAsk(t *testing.T) {
	for _, size := range []int{1, 1000, 1 << 20} {
		conn, peer := rawPair(t)
		request := bytes.Repeat([]byte("0123456789"), size/10+1)
		got := make(chan []byte, 1)
		go func() {
			for range 3 {
				b := make([]byte, len(request))
				io.ReadFull(peer, b)
				got <- b
				peer.Write([]byte("answer"))
			}
		}()
		answer := make([]byte, 100)
		for i := range 3 {
			conn.ask(request)
			if i == 1 {
				// A read that is too late from the start leaves it to the next.
				conn.SetReadDeadline(time.Unix(1, 0))
				if n, err := conn.Read(answer); n != 0 || !isTimeout(err) {
					t.Fatalf("%d bytes, %v", n, err)
				}
				conn.SetReadDeadline(time.Time{})
			}
			n, err := conn.Read(answer)
			if err != nil || string(answer[:n]) != "answer" {
				t.Fatalf("%q, %v", answer[:n], err)
			}
			if b := <-got; !bytes.Equal(b, request) {
				t.Fatalf("size %d: what arrived is not what was sent", size)
			}
		}
	}
}

// A peer that has closed fails the read.
func TestAskOfAPeerThatHasGone(t *testing.T) {
	conn, peer := rawPair(t)
	peer.(*net.TCPConn).SetLinger(0)
	peer.Close()
	for quiet := true; quiet; {
		conn.hold(func(fd uintptr) { quiet = silent(fd) })
	}
	conn.ask([]byte("anybody?"))
	if n, err := conn.Read(make([]byte, 10)); n != 0 || err == nil || isTimeout(err) {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

// A write in pieces takes what goes without waiting, and waits for no more than a
// piece; the deadline is for that much.
func TestWritePiece(t *testing.T) {
	conn, peer := rawPair(t)
	data := bytes.Repeat([]byte("0123456789"), 1<<17)
	got := make(chan []byte)
	begin := make(chan struct{})
	go func() {
		<-begin
		b, _ := io.ReadAll(peer)
		got <- b
	}()
	// Nobody reads: less than a piece is not enough, and none is lost of it.
	conn.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	sent, err := 0, error(nil)
	for err == nil {
		var n int
		n, err = writeTo(conn, data[sent:])
		if sent += n; err == nil && n < writePiece {
			t.Fatalf("%d bytes are a piece", n)
		}
	}
	if !isTimeout(err) || sent == len(data) {
		t.Fatalf("%d bytes, %v", sent, err)
	}
	conn.SetWriteDeadline(time.Time{})
	close(begin)
	for sent < len(data) {
		n, err := writeTo(conn, data[sent:])
		if err != nil || n < min(writePiece, len(data)-sent) {
			t.Fatalf("%d bytes, %v", n, err)
		}
		sent += n
	}
	conn.Close()
	if b := <-got; !bytes.Equal(b, data) {
		t.Errorf("%d bytes arrive, want %d as they were sent", len(b), len(data))
	}
}

// Who awaits an answer asks first, whatever the size, and reads nothing of it; a
// deadline, a close and what is there already end the wait.
func TestAwait(t *testing.T) {
	for _, size := range []int{1, 1000, 100_000} {
		conn, peer := rawPair(t)
		request := bytes.Repeat([]byte("0123456789"), size/10+1)
		answer := make([]byte, 100)
		for i := range 3 {
			conn.ask(request)
			got := make(chan []byte, 1)
			go func() {
				b := make([]byte, len(request))
				io.ReadFull(peer, b)
				got <- b
				peer.Write([]byte("answer"))
			}()
			if err := conn.await(); err != nil {
				t.Fatal(err)
			}
			if i == 1 {
				// What is there is news as well.
				if err := conn.await(); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := conn.Read(answer); err != nil || string(answer[:n]) != "answer" {
				t.Fatalf("%q, %v", answer[:n], err)
			}
			if b := <-got; !bytes.Equal(b, request) {
				t.Fatalf("size %d: what arrived is not what was sent", size)
			}
			conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			if err := conn.await(); !isTimeout(err) {
				t.Fatal(err)
			}
			conn.SetReadDeadline(time.Time{})
		}
		peer.Close()
		if err := conn.await(); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(answer); n != 0 || err != io.EOF {
			t.Fatalf("%d bytes, %v", n, err)
		}
		// The first write to a peer that is gone brings its reset, the next fails.
		for err := error(nil); err == nil; {
			conn.ask(request)
			if err = conn.await(); err == nil {
				_, err = conn.Read(answer)
			}
			if isTimeout(err) {
				t.Fatal(err)
			}
		}
	}
}
