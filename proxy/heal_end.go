package proxy

import (
	"io"

	"gemini-resilient-proxy/stream"
)

// concludes tells that all of the answer has come, and its last bytes are still to
// be sent. The end of the response then leaves in one write with them, where
// fasthttp would need another for five bytes. A loop leaves both to the stream's
// goroutine, which would have to wake up for the end anyway.
func (h *healer) concludes() bool {
	b := &h.attempt.body
	if !b.complete() || !h.pending() || h.phase != phaseRead || h.met != stream.More || h.one != nil ||
		h.src != io.Reader(b) || !h.splice.Finished() {
		return false
	}
	_, some := h.scanner.Rest(h.in.bytes())
	return !some
}

// conclude ends the answer, if it concludes. It does not wait.
//
// It is not inlined, see readMore.
//
//go:noinline
func (h *healer) conclude() {
	if !h.concludes() {
		return
	}
	h.out, h.met = h.splice.End(h.out, stream.Event{}, false)
	if h.met == stream.Complete || h.met == stream.Policy {
		h.judge(h.met, nil, nil)
		h.closing = true
	}
}

// close counts the answer, of which only the last bytes are to be written.
func (h *healer) close() {
	h.noteJoined()
	h.sum()
	h.e.tally()
}

// seal makes a chunk of what is pending, with the end of the response behind
// it when there is nothing to follow.
func (h *healer) seal() []byte {
	frame := sealFrame(h.out)
	if h.closing {
		frame = append(frame, lastChunk...)
		h.e.client.closed = true
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
	h.close()
	return c.writeWhole(w, first)
}
