package main

import (
	"bytes"
	"errors"
	"io"
)

// reader reads the answers that come on one connection and tells stats what it
// sees.
type reader struct {
	stats *stats
	id    int // of the connection
	order order
	ours  bool // the load upstream, if it is one, was given the order

	lines liner

	// The answer being read.
	begun    int64 // its planned begin, in Unix nanoseconds
	want     int   // number of the next event
	events   int
	last     int64 // when the last event came
	written  int64 // when it was written
	finished bool
}

var (
	dataField    = []byte("data:")
	finishReason = []byte(`"finishReason"`)
	errorObject  = []byte(`"error"`)

	errUnfinished = errors.New("the stream ended without a finish")
	errInStream   = errors.New("the stream ended with an error event")
)

// read reads one answer to its end.
func (r *reader) read(b *body, begun int64) error {
	r.lines.part = r.lines.part[:0]
	r.begun, r.want, r.events, r.finished = begun, 0, 0, false
	defer func() {
		if r.events > 0 {
			r.stats.open.Add(-1)
		}
	}()
	for {
		piece, err := b.next()
		if err == io.EOF {
			return r.end()
		} else if err != nil {
			return err
		}
		if r.stats.inside(b.c.at) {
			r.stats.bytes.Add(int64(len(piece)))
		}
		for {
			line, tail, ok := r.lines.next(piece)
			if !ok {
				break
			}
			if err := r.line(line, b.c.at); err != nil {
				return err
			}
			piece = tail
		}
	}
}

// line takes a line that came at a moment.
func (r *reader) line(line []byte, at int64) error {
	data, ok := bytes.CutPrefix(line, dataField)
	if !ok {
		return nil
	}
	marked := false
	for {
		m, tail, ok := nextMark(data)
		if !ok {
			break
		}
		marked = true
		r.event(at)
		r.mark(m, at)
		data = tail
	}
	switch {
	case bytes.Contains(data, finishReason):
		r.finished = true
	case marked:
	case bytes.Contains(data, errorObject):
		return errInStream
	default:
		r.event(at)
	}
	return nil
}

// event takes an event, whoever wrote it.
func (r *reader) event(at int64) {
	inside := r.stats.inside(at)
	if inside {
		r.stats.events.Add(1)
	}
	if r.events++; r.events == 1 {
		r.stats.open.Add(1)
		if inside {
			r.stats.record(r.id, first, at-r.begun)
		}
	} else if inside {
		r.stats.record(r.id, gap, at-r.last)
	}
	r.last = at
}

// mark takes what the load upstream says about an event.
func (r *reader) mark(m mark, at int64) {
	switch {
	case m.seq < r.want:
		r.stats.fail(doubled, 1, nil)
		return
	case m.seq > r.want:
		r.stats.fail(lost, m.seq-r.want, nil)
	}
	r.want = m.seq + 1
	if r.stats.inside(at) {
		r.stats.record(r.id, transit, at-m.written)
		r.stats.record(r.id, late, m.late)
		r.stats.record(r.id, latency, at-m.written+m.late)
		if r.order.cut && m.seq == r.order.middle() {
			r.stats.record(r.id, seam, at-r.written)
		}
	}
	r.written = m.written
}

// end judges an answer whose body has ended as it should.
func (r *reader) end() error {
	if !r.finished {
		return errUnfinished
	}
	if r.ours && r.want < r.order.events && (r.want > 0 || r.events == 0) {
		r.stats.fail(lost, r.order.events-r.want, nil)
	}
	if r.stats.inside(r.last) {
		r.stats.streams.Add(1)
	}
	return nil
}
