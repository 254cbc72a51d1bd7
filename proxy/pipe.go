package proxy

import (
	"errors"
	"io"
	"net"
	"time"
)

// pipe is one direction of a tunnel.
type pipe struct {
	t        *tunnel
	src, dst net.Conn
	patience time.Duration // that a write may take
	srcGone  error         // why the tunnel is over when src breaks
	dstGone  error         // when dst does
	dstStall error         // when dst takes nothing for patience
	first    []byte        // to be written before anything is read
	bytes    int64         // written
	ended    bool          // src has said that it sends no more

	armed      bool // src has a read deadline that is not past
	writeUntil time.Time
	large      *copyBuffer // memory to read into, nil while there is nothing to read
	small      []byte
	busy       bool // the last read left no room
}

// smallRead is what is held for a connection that cannot say whether there is
// something to read, as one under TLS.
const smallRead = 1 << 10

// run copies from src to dst. It returns nil when src has ended, else why the
// tunnel is over.
func (p *pipe) run() error {
	defer p.giveBack()
	if err := p.write(p.first); err != nil {
		return err
	}
	p.first = nil
	for {
		if err := p.arm(); err != nil {
			return err
		}
		b, err := p.read()
		if werr := p.write(b); werr != nil {
			return werr
		}
		switch {
		case err == nil:
		case p.t.err() != nil:
			return p.t.err()
		case isTimeout(err):
			if p.armed = false; !time.Now().Before(p.t.quietUntil()) {
				return errIdle
			}
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			// The second is TLS without its closing alert. What is missing, if
			// anything, the two sides know by their own framing.
			p.ended = true
			return nil
		default:
			return p.srcGone
		}
	}
}

// arm lets the next read wait as long as the tunnel may be silent. The deadline
// is moved only when it has passed: it is then seen whether there was silence.
// What wakes a read by a past deadline is noted before, and seen here after.
func (p *pipe) arm() error {
	for !p.armed {
		half := p.t.half.Load()
		p.src.SetReadDeadline(p.t.quietUntil())
		p.armed = half == p.t.half.Load()
	}
	return p.t.err()
}

// read reads what there is. The bytes live until the next read. While nothing
// comes, no more than smallRead is held.
func (p *pipe) read() ([]byte, error) {
	if r, ok := p.src.(interface{ readSpace(space) (int, error) }); ok {
		n, err := r.readSpace(p)
		if n == 0 {
			return nil, err
		}
		return p.large[:n], err
	}
	var b []byte
	if p.busy {
		b = p.lend()
	} else {
		p.giveBack()
		if p.small == nil {
			p.small = make([]byte, smallRead)
		}
		b = p.small
	}
	n, err := p.src.Read(b)
	p.busy = n == len(b)
	return b[:n], err
}

func (p *pipe) lend() []byte {
	if p.large == nil {
		p.large = copyBuffers.Get().(*copyBuffer)
	}
	return p.large[:]
}

func (p *pipe) giveBack() {
	if p.large != nil {
		copyBuffers.Put(p.large)
		p.large = nil
	}
}

// write writes b. Nothing is read from src before dst has taken it.
func (p *pipe) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	now := time.Now()
	p.t.touch(now)
	if at := now.Add(p.patience); p.writeUntil.Before(at) {
		p.writeUntil = at.Add(slack(p.patience))
		p.dst.SetWriteDeadline(p.writeUntil)
	}
	if err := p.t.err(); err != nil {
		return err
	}
	n, err := p.dst.Write(b)
	p.bytes += int64(n)
	switch {
	case err == nil:
		return nil
	case p.t.err() != nil:
		return p.t.err()
	case isTimeout(err):
		return p.dstStall
	}
	return p.dstGone
}

// closeWrite says to the peer of c that nothing more will come.
func closeWrite(c net.Conn) {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		w.CloseWrite()
		return
	}
	if raw := rawConn(c); raw != nil {
		raw.Control(shutWrite)
	}
}
