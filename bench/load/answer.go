package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// order is what a client wants of the load upstream.
type order struct {
	events int
	rate   float64 // events a second, 0 for as fast as they are taken
	size   int     // bytes of an event
	cut    bool    // break off at the middle, once
}

// parseOrder reads a query. What cannot be read has its default.
func parseOrder(query []byte) order {
	o := order{events: 20, rate: 20, size: 350}
	q, _ := url.ParseQuery(string(query))
	if n, err := strconv.Atoi(q.Get("events")); err == nil && n >= 0 {
		o.events = n
	}
	if r, err := strconv.ParseFloat(q.Get("rate"), 64); err == nil && r >= 0 {
		o.rate = r
	}
	if n, err := strconv.Atoi(q.Get("size")); err == nil && n >= 0 && n <= maxEvent {
		o.size = n
	}
	o.cut = q.Get("cut") == "1"
	return o
}

// query is the order as parseOrder reads it.
func (o order) query() string {
	s := fmt.Sprintf("events=%d&rate=%g&size=%d", o.events, o.rate, o.size)
	if o.cut {
		s += "&cut=1"
	}
	return s
}

// middle is the number of events before a cut.
func (o order) middle() int { return (o.events + 1) / 2 }

// share is what a request gets of the order: events from first up to last, and
// whether the answer ends there with a finish.
func (o order) share(goesOn bool) (first, last int, finish bool) {
	switch {
	case !o.cut:
		return 0, o.events, true
	case goesOn:
		return o.middle(), o.events, true
	}
	return 0, o.middle(), false
}

const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

var shortAnswer = func() []byte {
	const head, tail = `{"candidates": [{"content": {"parts": [{"text": "`,
		`"}],"role": "model"},"finishReason": "STOP","index": 0}],"modelVersion": "gemini-2.5-flash"}` + "\n"
	body := head + prose[:1024-len(head)-len(tail)] + tail
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}()

var errCut = errors.New("cut as ordered")

// stream answers with events, one chunk and one write each, the first with the
// head, the finish with the end of the body. Event i is due i/rate after the
// first; what is overdue is written at once.
func (p *peer) stream(o order) error {
	first, last, finish := o.share(o.cut && holdsModelTurn(p.body))
	p.out = append(p.out[:0], streamHead...)
	start := time.Now()
	due := start
	for i := first; i < last; i++ {
		now := time.Now()
		if o.rate > 0 {
			due = start.Add(time.Duration(float64(i-first) / o.rate * float64(time.Second)))
			if now.Before(due) {
				if err := p.wait(due, now); err != nil {
					return err
				}
				now = time.Now()
			}
		} else {
			due = now
		}
		p.event = appendEvent(p.event[:0], mark{i, now.UnixNano(), int64(now.Sub(due))}, o.size)
		p.out = appendChunk(p.out, p.event)
		if _, err := p.c.Write(p.out); err != nil {
			return err
		}
		p.out = p.out[:0]
	}
	if !finish {
		return errCut
	}
	p.event = append(p.event[:0], finishEvent...)
	p.out = appendChunk(p.out, p.event)
	p.out = append(p.out, "0\r\n\r\n"...)
	_, err := p.c.Write(p.out)
	return err
}

// wait waits until due. In a long wait it notices a peer that leaves.
func (p *peer) wait(due, now time.Time) error {
	if due.Sub(now) < time.Second {
		time.Sleep(due.Sub(now))
		return nil
	}
	p.c.SetReadDeadline(due)
	_, err := p.br.Peek(1)
	p.c.SetReadDeadline(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if err == nil {
		time.Sleep(time.Until(due))
	}
	return err
}

var (
	role      = []byte(`"role"`)
	modelName = []byte(`"model"`)
)

// holdsModelTurn says whether a request body has a turn of the model's.
func holdsModelTurn(body []byte) bool {
	for {
		i := bytes.Index(body, role)
		if i < 0 {
			return false
		}
		body = body[i+len(role):]
		if bytes.HasPrefix([]byte(strings.TrimLeft(string(body[:min(len(body), 32)]), " \t\r\n:")), modelName) {
			return true
		}
	}
}
