package upstream

import (
	"compress/gzip"
	"maps"
	"slices"
	"strings"
	"time"
)

// Script is an answer: its steps are played in order. One that ends without
// Cut, Reset, End, Close or Stall ends with End. Steps after an ending one are
// not played.
type Script []Step

// Step is one act of a Script. The functions of this package make them; a Step
// holds no state and may stand in many scripts.
type Step interface {
	play(*answer) error
}

type act func(*answer) error

func (f act) play(a *answer) error { return f(a) }

// Send sends body bytes: one chunk, one write. b may be any part of an event.
// Sending nothing makes no write.
func Send[T ~string | ~[]byte](b T) Step {
	p := append([]byte(nil), b...)
	return act(func(a *answer) error { return a.body(p) })
}

// Wire writes raw bytes to the connection, without framing. After a Head they
// stand where a chunk would. Before any head they take the whole answer over:
// no head is added, and End only closes the connection.
func Wire(b string) Step {
	return act(func(a *answer) error {
		if a.over {
			return nil
		}
		if !a.begun {
			a.begun, a.framing = true, UntilClose
		}
		head := len(a.out)
		a.out = append(a.out, b...)
		a.left -= int64(len(b))
		return a.flush(head)
	})
}

// Status sends a whole answer that is no stream, in one write: a head with the
// Content-Length of body, then body. Without a Content-Type in header it is
// JSON. Data steps after it have no effect; Pause, Close, Cut and Reset do.
// There is no body in answer to HEAD and with code 204 or 304.
func Status(code int, header map[string]string, body string) Step {
	fields := []string{"Content-Type", "application/json; charset=UTF-8"}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if strings.EqualFold(name, fields[0]) {
			fields[1] = header[name]
		} else {
			fields = append(fields, name, header[name])
		}
	}
	return act(func(a *answer) error {
		p := []byte(body)
		if a.zip != nil {
			a.zip.Write(p)
			a.zip.Close()
			p = a.coded.Bytes()
		}
		a.head(code, Length(int64(len(p))), fields)
		if a.req.Method == "HEAD" || code == 204 || code == 304 {
			p, a.left = nil, 0
		}
		err := a.send(p)
		if err == nil && len(p) == 0 {
			err = a.flush(len(a.out))
		}
		a.over = true
		return err
	})
}

// Pause waits for d with the connection open.
func Pause(d time.Duration) Step {
	return act(func(a *answer) error {
		if d <= 0 {
			return nil
		}
		return a.wait(d, nil)
	})
}

// Hold waits until c is closed.
func Hold(c <-chan struct{}) Step {
	return act(func(a *answer) error { return a.wait(0, c) })
}

// Do calls f on the goroutine of the answer, between the steps around it.
func Do(f func(*Request)) Step {
	return act(func(a *answer) error {
		f(a.req)
		return nil
	})
}

// Stall sends nothing more and waits until the peer leaves or the Upstream is
// closed.
func Stall() Step {
	return act(func(a *answer) error { return a.wait(0, nil) })
}

// Cut closes the connection (FIN) without the end of the answer. As the first
// step it closes without a byte.
func Cut() Step { return act(func(*answer) error { return endCut }) }

// Reset resets the connection (RST) once all bytes written before it have gone
// out to the peer.
func Reset() Step { return act(func(*answer) error { return endReset }) }

// End completes the answer, which for Chunked means the last chunk, and keeps
// the connection, unless the client asked to close it, the framing needs a
// close, or a Length body has another length.
func End() Step { return act(func(*answer) error { return endKeep }) }

// Close is End followed by a close of the connection.
func Close() Step { return act(func(*answer) error { return endClose }) }

// Sliced plays steps and sends their body in writes of n bytes, each its own
// chunk. The client may still read several in one piece. It does not slice Wire
// nor the end of a gzip coding.
func Sliced(n int, steps ...Step) Step {
	return act(func(a *answer) error {
		outer := a.slice
		a.slice = n
		defer func() { a.slice = outer }()
		return a.run(steps)
	})
}

// Gzip codes the body with gzip, flushed after each Send or event. It belongs
// before the head and the data.
func Gzip() Step {
	return act(func(a *answer) error {
		a.zip = gzip.NewWriter(&a.coded)
		return nil
	})
}

// LimitBody ends the answer right after n bytes of the body were sent, counted
// without the framing and after the coding. What has been sent until then is
// well framed: of a Send across the limit, the first part goes out as a chunk
// of its own. With n 0 only a head is sent. A shorter body ends as usual.
func LimitBody(n int, how How) Step {
	return act(func(a *answer) error {
		a.bytes = limit{on: true, left: int64(n), how: how}
		return nil
	})
}

// LimitWire ends the answer right after n bytes were sent behind the head,
// counted with the framing and Wire bytes, so that it can fall into a chunk-size
// line, between a chunk and its CRLF, or into the last chunk. Clean there writes
// the last chunk wherever the limit fell.
func LimitWire(n int, how How) Step {
	return act(func(a *answer) error {
		a.wire = limit{on: true, left: int64(n), how: how}
		return nil
	})
}
