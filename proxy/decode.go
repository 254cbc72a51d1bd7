package proxy

import (
	"bytes"
	"compress/gzip"
	"io"

	"gemini-resilient-proxy/stream"
)

// claim is what a response says that its body is.
type claim uint8

const (
	claimsOther claim = iota
	claimsNothing
	claimsEvents
	claimsJSON
	claimsLines // of JSON
)

// claimOf reads a Content-Type.
func claimOf(contentType []byte) claim {
	t, _, _ := bytes.Cut(contentType, []byte(";"))
	t = bytes.TrimSpace(t)
	var room [32]byte
	switch string(lower(room[:0], t)) {
	case "":
		return claimsNothing
	case "text/event-stream":
		return claimsEvents
	case "application/json":
		return claimsJSON
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines",
		"application/json-seq", "application/stream+json":
		return claimsLines
	}
	return claimsOther
}

// typeOf returns the content type of an answer in framing f, and whether one
// that came with the claim c is as good.
func typeOf(f stream.Framing, c claim) (name string, good bool) {
	if f == stream.Array || f == stream.Document {
		return jsonType, c == claimsJSON
	}
	return "text/event-stream", c == claimsEvents
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
