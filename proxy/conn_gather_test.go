package proxy

import (
	"bufio"
	"bytes"
	"net"
	"strings"
	"testing"
	"time"
)

// segments is a connection that keeps each write.
type segments struct {
	net.Conn
	all    [][]byte
	closed bool
}

func (s *segments) Write(p []byte) (int, error) {
	s.all = append(s.all, bytes.Clone(p))
	return len(p), nil
}

func (s *segments) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (s *segments) Close() error                     { s.closed = true; return nil }
func (s *segments) SetWriteDeadline(time.Time) error { return nil }

// TestWriteFirst: head and body leave in one write, whatever their sizes, and
// all of it has left when there is nothing more to come.
func TestWriteFirst(t *testing.T) {
	for head := range writerSize {
		for _, body := range []int{1, 2, writerSize - head - 1, writerSize - head, writerSize - head + 1, writerSize, 2*writerSize - head, 2 * writerSize, 9000} {
			for end, flushed := range map[string]bool{"flushed": true, "read": false, "closed": false} {
				if body <= 0 {
					continue
				}
				out := &segments{}
				c := newClientConn(out, out, time.Minute)
				w := bufio.NewWriterSize(c, writerSize)
				w.WriteString(strings.Repeat("h", head))
				last := w.Flush
				if flushed {
					last = func() error { return nil }
				}
				p := []byte(strings.Repeat("b", body))
				first := flushing{w, flushed}
				if n, err := c.writeFirst(first, p, flushed); n != body || err != nil {
					t.Fatal(n, err)
				}
				last()
				switch end {
				case "read":
					c.Read(make([]byte, 1))
				case "closed":
					c.Close()
				}
				if len(out.all) != 1 || string(out.all[0]) != strings.Repeat("h", head)+string(p) {
					t.Fatalf("head %d, body %d, %s: %d writes, the first of %d bytes", head, body, end, len(out.all), len(out.all[0]))
				}
			}
		}
	}
}

// flushing is a writer that is flushed after each write, as fasthttp does with
// chunks.
type flushing struct {
	*bufio.Writer
	on bool
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if f.on {
		f.Flush()
	}
	return n, err
}

// TestWriteFirstOfMuch: a large body is not copied to be in one piece with its
// head, and comes in order.
func TestWriteFirstOfMuch(t *testing.T) {
	out := &segments{}
	c := newClientConn(out, out, time.Minute)
	w := bufio.NewWriterSize(c, writerSize)
	w.WriteString("head")
	p := bytes.Repeat([]byte("0123456789"), 50000)
	c.writeFirst(w, p, false)
	w.Flush()
	if all := bytes.Join(out.all, nil); string(all) != "head"+string(p) {
		t.Errorf("%d bytes", len(all))
	}
	if len(out.all[0]) != writerSize {
		t.Errorf("the first write has %d bytes", len(out.all[0]))
	}
}

// TestWriteWhole: head, body and end leave in one write, the end of which fasthttp
// writes again is not, and what follows that is.
func TestWriteWhole(t *testing.T) {
	for _, head := range []int{0, 1, writerSize - 1, writerSize, 3 * writerSize} {
		for _, body := range []int{1, writerSize, gathered} {
			for _, next := range []string{"", "HTTP/1.1 200 OK\r\n"} {
				out := &segments{}
				c := newClientConn(out, out, time.Minute)
				w := bufio.NewWriterSize(c, writerSize)
				w.WriteString(strings.Repeat("h", head))
				before := string(bytes.Join(out.all, nil))
				out.all = nil
				p := []byte(strings.Repeat("b", body))
				if err := c.writeWhole(flushing{w, true}, p); err != nil {
					t.Fatal(err)
				}
				if len(out.all) != 1 || before+string(out.all[0]) != strings.Repeat("h", head)+string(p)+lastChunk {
					t.Fatalf("head %d, body %d: %d writes", head, body, len(out.all))
				}
				if n, err := w.WriteString(lastChunk + next); n != len(lastChunk+next) || err != nil {
					t.Fatal(n, err)
				}
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
				if all := string(bytes.Join(out.all[1:], nil)); all != next {
					t.Errorf("%q follows", all)
				}
				if n, err := c.Write([]byte("more")); n != 4 || err != nil || string(out.all[len(out.all)-1]) != "more" {
					t.Error(n, err)
				}
			}
		}
	}
}

// TestWriteClosed: a response that goes on behind its end is an error, which
// closes the connection.
func TestWriteClosed(t *testing.T) {
	for _, p := range []string{"0\r\n", "0\r\nTrailer: x\r\n\r\n", "5\r\nhello\r\n", "HTTP/1.1 200 OK\r\n\r\n"} {
		out := &segments{}
		c := newClientConn(out, out, time.Minute)
		c.closed = true
		if n, err := c.Write([]byte(p)); n != 0 || err != errNotClosed || len(out.all) > 0 {
			t.Errorf("%q: %d, %v, %q", p, n, err, out.all)
		}
	}
}
