package proxy

import (
	"io"

	"gemini-resilient-proxy/stream"
)

// conclude ends an answer of which all has come, while its last bytes are still
// to be sent: the end of the response then leaves in one write with them, where
// fasthttp would need another for five bytes. It does not wait, and leaves it to
// judge what the verdict means for everything but the client.
//
// It is not inlined, see readMore.
//
//go:noinline
func (h *healer) conclude() {
	b := &h.attempt.body
	if !b.complete() || !h.pending() || h.phase != phaseRead || h.met != stream.More || h.one != nil ||
		h.src != io.Reader(b) || !h.splice.Finished() {
		return
	}
	if _, some := h.scanner.Rest(h.in.bytes()); some {
		return
	}
	h.out, h.met = h.splice.End(h.out, stream.Event{}, false)
	if h.met == stream.Complete || h.met == stream.Policy {
		h.out = h.splice.AppendEnd(h.out)
		h.closing = true
	}
}

// seal makes a chunk of what is pending, with the end of the response behind
// it when there is nothing to follow.
func (h *healer) seal() []byte {
	frame := sealFrame(h.out)
	if h.closing {
		frame = append(frame, lastChunk...)
		h.e.client.closed = true // or will be, with what is unsent
	}
	return frame
}

// sendFirst sends the head of the response, which is in fasthttp's buffer before
// w, with the first bytes of the answer.
func (h *healer) sendFirst(w io.Writer) error {
	c, first := h.e.client, h.out[frameRoom:]
	h.e.record.bytes += int64(len(first))
	if !h.closing || len(first) > gathered {
		h.closing = false
		_, err := c.writeFirst(w, first, true)
		return err
	}
	return c.writeWhole(w, first)
}
