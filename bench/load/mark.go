package main

import (
	"bytes"
	"strconv"
)

// mark is what the load upstream says about an event, in the event's text:
// #seq.written.late#, decimal numbers.
type mark struct {
	seq     int   // number of the event in its answer, from 0
	written int64 // when it was written, in Unix nanoseconds
	late    int64 // how long after its planned moment that was, in nanoseconds
}

// append appends the mark to dst.
func (m mark) append(dst []byte) []byte {
	dst = append(dst, '#')
	dst = strconv.AppendInt(dst, int64(m.seq), 10)
	dst = append(dst, '.')
	dst = strconv.AppendInt(dst, m.written, 10)
	dst = append(dst, '.')
	dst = strconv.AppendInt(dst, m.late, 10)
	return append(dst, '#')
}

// nextMark finds the first mark in b and returns it with what follows it.
func nextMark(b []byte) (m mark, tail []byte, ok bool) {
	for {
		i := bytes.IndexByte(b, '#')
		if i < 0 {
			return mark{}, nil, false
		}
		b = b[i+1:]
		seq, rest, ok := number(b, '.')
		if !ok {
			continue
		}
		written, rest, ok := number(rest, '.')
		if !ok {
			continue
		}
		late, rest, ok := number(rest, '#')
		if !ok {
			continue
		}
		return mark{int(seq), written, late}, rest, true
	}
}

// number reads a decimal number that ends with end.
func number(b []byte, end byte) (n int64, tail []byte, ok bool) {
	for i, c := range b {
		switch {
		case c == end && i > 0:
			return n, b[i+1:], true
		case c < '0' || c > '9' || i == 19:
			return 0, nil, false
		}
		n = n*10 + int64(c-'0')
	}
	return 0, nil, false
}
