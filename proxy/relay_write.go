package proxy

import "io"

// writeWhole writes a body that came with its head.
func (r *relayed) writeWhole(w io.Writer) (int64, error) {
	body := r.a.body.takeEarly()
	if r.learns {
		r.see(body)
	}
	n, err := r.e.client.writeFirst(w, body, false)
	r.e.record.bytes += int64(n)
	if err != nil {
		r.err = r.e.clientWriteError(err)
		return int64(n), r.err
	}
	r.ended()
	return int64(n), nil
}

// write writes one frame: through fasthttp while the head is still in its
// buffer, after that to the connection itself. The last one takes the end of the
// body along.
func (r *relayed) write(w io.Writer, frame []byte, chunked bool) (err error) {
	c, data := r.e.client, frame[frameRoom:]
	last := r.src == nil && len(r.ahead) == 0 && r.a.body.complete()
	if last {
		r.close()
	}
	last = last && chunked // else there is no end to write
	switch {
	case !r.direct && last && len(data) <= gathered:
		return c.writeWhole(w, data)
	case !r.direct:
		_, err = c.writeFirst(w, data, chunked)
		// A body of known size stays with fasthttp: it is all there already.
		r.direct = chunked
	case last:
		_, err = c.writeLast(append(sealFrame(frame), lastChunk...))
	case chunked:
		_, err = c.Write(sealFrame(frame))
	default:
		_, err = c.Write(data)
	}
	return err
}

// ended notes that the body has come to its end, before or after its last bytes
// were written.
func (r *relayed) ended() {
	if r.over {
		return
	}
	r.over = true
	if r.learns && len(r.seen) > r.looked {
		r.look()
	}
	if !r.judged {
		r.e.record.verdict(outcomeOf(nil))
	}
	r.e.settle(relayOutcome(r.a.head.StatusCode()), r.a.head.StatusCode())
}

// close counts the answer, of which only the last bytes are to be written.
func (r *relayed) close() {
	if r.shadow != nil {
		r.shadow.end(io.EOF)
	}
	r.ended()
	r.e.tally()
}
