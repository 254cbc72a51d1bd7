package proxy

import (
	"bytes"
	"compress/gzip"
	"io"
)

// isEventStream tells whether a response claims to be server-sent events. One
// without a type gets the benefit of the doubt.
func isEventStream(contentType []byte) bool {
	t, _, _ := bytes.Cut(contentType, []byte(";"))
	t = bytes.TrimSpace(t)
	return len(t) == 0 || bytes.EqualFold(t, []byte("text/event-stream"))
}

// decoded returns the attempt's body without content coding. ok is false for
// a coding that was not asked for and is not understood.
func decoded(a *attempt) (src io.Reader, ok bool) {
	switch coding := a.head.ContentEncoding(); {
	case len(coding) == 0, bytes.EqualFold(coding, []byte("identity")):
		return &a.body, true
	case bytes.EqualFold(coding, []byte("gzip")), bytes.EqualFold(coding, []byte("x-gzip")):
		return &gunzip{src: &a.body}, true
	}
	return nil, false
}

// gunzip decodes gzip as it comes. The decoder is made at the first read,
// since making it reads.
type gunzip struct {
	src io.Reader
	zr  *gzip.Reader
	err error
}

func (g *gunzip) Read(p []byte) (n int, err error) {
	if g.err != nil {
		return 0, g.err
	}
	if g.zr == nil {
		if g.zr, g.err = gzip.NewReader(g.src); g.err != nil {
			if g.err == io.EOF {
				g.err = io.ErrUnexpectedEOF
			}
			return 0, g.err
		}
	}
	n, g.err = g.zr.Read(p)
	return n, g.err
}
