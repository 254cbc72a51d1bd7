package main

import (
	"bytes"
	"io"
	"strconv"
)

// body is the body of a response.
type body struct {
	c       *conn
	chunked bool
	inside  bool  // a chunk's data, or the line end behind it, is next
	left    int64 // bytes of the chunk or of the body still to come, -1 for until the end
	last    bool  // the connection closes behind the body
}

// next returns the bytes that are there, reading when there are none. They are
// good until the next call. The error is io.EOF at the end of a whole body, and
// io.ErrUnexpectedEOF when the connection ends before it.
func (b *body) next() ([]byte, error) {
	if b.chunked && b.left == 0 {
		more, err := b.nextChunk()
		if err != nil {
			return nil, broken(err)
		}
		if !more {
			return nil, io.EOF
		}
	}
	if b.left == 0 {
		return nil, io.EOF
	}
	if b.c.r == b.c.w {
		if err := b.c.fill(); err == io.EOF && b.left < 0 {
			b.last = true
			return nil, io.EOF
		} else if err != nil {
			return nil, broken(err)
		}
	}
	piece := b.c.buf[b.c.r:b.c.w]
	if b.left >= 0 {
		piece = piece[:min(b.left, int64(len(piece)))]
		b.left -= int64(len(piece))
	}
	b.c.r += len(piece)
	return piece, nil
}

// nextChunk takes the line end of one chunk and the size of the next, which is
// false for the last, whose trailer it takes too.
func (b *body) nextChunk() (bool, error) {
	if b.inside {
		if end, err := b.c.line(); err != nil {
			return false, err
		} else if len(end) > 0 {
			return false, errCode
		}
		b.inside = false
	}
	line, err := b.c.line()
	if err != nil {
		return false, err
	}
	size, _, _ := bytes.Cut(line, []byte{';'})
	n, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 62)
	if err != nil {
		return false, errCode
	}
	if n > 0 {
		b.left, b.inside = int64(n), true
		return true, nil
	}
	for {
		if line, err = b.c.line(); err != nil || len(line) == 0 {
			return false, err
		}
	}
}

// discard takes the rest of the body and returns its length.
func (b *body) discard() (n int64, err error) {
	for {
		piece, err := b.next()
		n += int64(len(piece))
		if err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

// broken is err, in a place where no end may be.
func broken(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// liner cuts lines out of pieces of a body.
type liner struct{ part []byte }

// next takes a line out of piece, or keeps the piece as part of one. The line
// has no end and is good until the next call.
func (l *liner) next(piece []byte) (line, tail []byte, ok bool) {
	i := bytes.IndexByte(piece, '\n')
	if i < 0 {
		l.part = append(l.part, piece...)
		return nil, nil, false
	}
	line = piece[:i]
	if len(l.part) > 0 {
		l.part = append(l.part, line...)
		line, l.part = l.part, l.part[:0]
	}
	return bytes.TrimSuffix(line, []byte{'\r'}), piece[i+1:], true
}
