package proxy

import "io"

// unaryBody is the body of the response.
type unaryBody struct{ h *healer }

// SupportsBodyWriteTo tells fasthttp to call WriteTo.
func (b *unaryBody) SupportsBodyWriteTo() bool { return true }

// Read is not called, see SupportsBodyWriteTo.
func (b *unaryBody) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// WriteTo writes the answer, whole or as it comes. After an error fasthttp
// closes the connection without an end of the body.
func (b *unaryBody) WriteTo(w io.Writer) (n int64, err error) {
	h := b.h
	defer h.e.s.recovered("unary", &err)
	h.e.first()
	if h.one.spilled {
		err = b.spill(w)
	} else {
		err = b.write(w, h.one.body)
	}
	return h.e.record.bytes, err
}

// spill writes what is known of an answer that is too large to be held, and
// goes on with it until it is whole.
func (b *unaryBody) spill(w io.Writer) error {
	h, one := b.h, b.h.one
	for h.phase != phaseComplete {
		one.body = one.folder.Spill(one.body[:0])
		if err := b.write(w, one.body); err != nil {
			return err
		}
		h.gather()
		if h.phase == phaseGiveUp || h.phase == phaseGone {
			return errIncomplete
		}
	}
	return b.write(w, one.folder.Append(one.body[:0]))
}

// write writes a piece of the body.
func (b *unaryBody) write(w io.Writer, p []byte) error {
	if _, err := b.h.e.client.writeFirst(w, p, b.h.one.spilled); err != nil {
		return b.h.clientFailed(err)
	}
	b.h.e.record.bytes += int64(len(p))
	return nil
}

// Close is called by fasthttp when the response is over, however it ended.
func (b *unaryBody) Close() error {
	b.h.finish()
	return nil
}
